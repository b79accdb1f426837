package main

import (
	"context"
	"fmt"
	"strings"

	"headwater/cmd/bench/changes"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
)

// Rows of the full-size data.
const (
	accountRows = 5_000_000
	apiRecords  = 100_000
	narrowRows  = 5_000_000
	narrowTimes = 4 // as many in the larger table
	apiPage     = 100
)

// bench is what the works of a run share.
type bench struct {
	*rig.Rig
	settings

	listed    *reading
	ordered   *rig.Service // that takes commands
	orderable []string     // its sources
}

// work is one part of the bench; it may give several rows of its table.
type work struct {
	name  string
	table string
	run   func(*bench, context.Context) ([]report.Row, error)
}

var works = []work{
	{"postgres-wide", report.TableSync, (*bench).postgresWide},
	{"postgres-accounts", report.TableSync, (*bench).postgresAccounts},
	{"mariadb", report.TableSync, (*bench).mariadbWide},
	{"csv", report.TableSync, (*bench).csv},
	{"sqlite", report.TableSync, (*bench).sqlite},
	{"api", report.TableSync, (*bench).api},
	{"memory", report.TableSync, (*bench).memory},
	{"incremental", report.TableSync, (*bench).incremental},
	{"verify", report.TableSync, (*bench).verify},
	{"changes-postgres", report.TableChanges, following(changes.Postgres)},
	{"changes-mariadb", report.TableChanges, following(changes.MariaDB)},
	{"transaction", report.TableChanges, following(changes.Transaction)},
	{"visible", report.TableFresh, following(changes.Visible)},
	{"large", report.TableFresh, (*bench).large},
	{"schedules", report.TableFresh, (*bench).schedules},
	{"tpch", report.TableTPCH, (*bench).tpch},
	{"list", report.TableHistory, (*bench).list},
	{"schema", report.TableHistory, (*bench).schema},
	{"unchanged", report.TableHistory, (*bench).unchanged},
	{"scan", report.TableHistory, (*bench).scan},
	{"scale", report.TableHistory, (*bench).scale},
	{"commits", report.TableHistory, (*bench).commits},
	{"rebuild", report.TableHistory, (*bench).rebuild},
	{"command-one", report.TableHistory, (*bench).command},
	{"command-many", report.TableHistory, (*bench).commands},
	{"start", report.TableStart, (*bench).starts},
	{"requests", report.TableBucket, (*bench).requests},
	{"uploads", report.TableBucket, (*bench).uploads},
	{"merge", report.TableLake, (*bench).merges},
	{"day", report.TableLake, (*bench).day},
}

// following is a work that knows nothing but the rig.
func following(measure func(context.Context, *rig.Rig) ([]report.Row, error)) func(*bench, context.Context) ([]report.Row, error) {
	return func(b *bench, ctx context.Context) ([]report.Row, error) { return measure(ctx, b.Rig) }
}

// large measures changes to a table of as many rows as the run is told.
func (b *bench) large(ctx context.Context) ([]report.Row, error) {
	return changes.Large(ctx, b.Rig, b.largeRows)
}

func names() []string {
	var all []string
	for _, w := range works {
		all = append(all, w.name)
	}
	return all
}

// choose returns the works whose names begin with one of the parts of only, all
// for none.
func choose(only string) ([]work, error) {
	if only == "" {
		return works, nil
	}
	var chosen []work
	for part := range strings.SplitSeq(only, ",") {
		found := false
		for _, w := range works {
			if strings.HasPrefix(w.name, strings.TrimSpace(part)) {
				chosen, found = append(chosen, w), true
			}
		}
		if !found {
			return nil, fmt.Errorf("-only: there is no work %q; there are %s", part, strings.Join(names(), ", "))
		}
	}
	return chosen, nil
}

// wholeTables reports whether works are all of every table that they are of.
func wholeTables(chosen []work) bool {
	parts := map[string]map[string]bool{}
	for _, w := range chosen {
		if parts[w.table] == nil {
			parts[w.table] = map[string]bool{}
		}
		parts[w.table][w.name] = true
	}
	for _, w := range works {
		if parts[w.table] != nil && !parts[w.table][w.name] {
			return false
		}
	}
	return true
}
