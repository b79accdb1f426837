package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"headwater/cmd/bench/report"
	"headwater/connectors/drivertest/servers"
)

// Rows of the full-size data.
const (
	wideRows     = 2_000_000
	accountRows  = 5_000_000
	csvRows      = 4_000_000
	apiRecords   = 100_000
	narrowRows   = 5_000_000
	narrowTimes  = 4 // as many in the larger table
	apiPage      = 100
	quickDivisor = 10
)

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
	{"changes-postgres", report.TableChanges, (*bench).changesPostgres},
	{"changes-mariadb", report.TableChanges, (*bench).changesMariaDB},
	{"transaction", report.TableChanges, (*bench).transaction},
	{"visible", report.TableFresh, (*bench).visible},
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

func names() []string {
	var all []string
	for _, w := range works {
		all = append(all, w.name)
	}
	return all
}

// bench is what the works of a run share. Servers and the service are started
// by the first work that needs them.
type bench struct {
	settings
	out      io.Writer
	versions []string
	closers  []func()

	postgres *servers.Server
	loaded   map[string]bool
	service  *service
	listed   *reading

	ordered   *service // that takes commands
	orderable []string // its sources
}

func newBench(ctx context.Context, s settings, out io.Writer) (*bench, error) {
	b := &bench{settings: s, out: out, loaded: map[string]bool{}}
	// Servers do not run as root, and must reach their folders.
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return nil, err
	}
	if b.program == "" {
		b.program = filepath.Join(b.cache, "headwater")
		b.say("building the service")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.program, "./cmd/headwater")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the service: %w: %s", err, out)
		}
	}
	return b, nil
}

// close stops what was started, in reverse.
func (b *bench) close() {
	for _, c := range slices.Backward(b.closers) {
		c()
	}
	b.closers = nil
}

func (b *bench) onClose(f func()) { b.closers = append(b.closers, f) }

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.out, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

// rows returns the size of a table in this run.
func (b *bench) rows(full int) int {
	if b.quick {
		return full / quickDivisor
	}
	return full
}

// folder makes a folder of this run that is removed at its end.
func (b *bench) folder(name string) (string, error) {
	dir, err := os.MkdirTemp(b.cache, "run-"+name+"-")
	if err != nil {
		return "", err
	}
	b.onClose(func() { _ = os.RemoveAll(dir) })
	return dir, nil
}

// uses notes a program's version for the table.
func (b *bench) uses(version string) {
	if !slices.Contains(b.versions, version) {
		b.versions = append(b.versions, version)
	}
}

// versionOf asks a program for its version and returns the first line.
func versionOf(ctx context.Context, program string, args ...string) string {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// side is one of the two things that are compared: it does its work once and
// returns how long that took.
type side func(context.Context) (time.Duration, error)

// pair runs ours and the limit in turn, once unmeasured and then n times each,
// and returns the medians.
func (b *bench) pair(ctx context.Context, name string, ours, limit side) (our, lim time.Duration, err error) {
	return b.pairIn(ctx, name, 1, ours, limit)
}

// pairIn is pair whose runs each consist of so many turns of both sides, for
// what depends on a disk that is quick one moment and slow the next.
func (b *bench) pairIn(ctx context.Context, name string, turns int, ours, limit side) (our, lim time.Duration, err error) {
	var a, z []time.Duration
	for i := range b.runs + 1 {
		var x, y time.Duration
		for range turns {
			took, err := ours(ctx)
			if err != nil {
				return 0, 0, fmt.Errorf("ours: %w", err)
			}
			x += took
			if took, err = limit(ctx); err != nil {
				return 0, 0, fmt.Errorf("the limit: %w", err)
			}
			y += took
		}
		if i == 0 {
			continue // caches are warm now, on both sides
		}
		a, z = append(a, x), append(z, y)
		b.say("%s %d/%d: %.2f s, limit %.2f s, ratio %.2f", name, i, b.runs, x.Seconds(), y.Seconds(), x.Seconds()/y.Seconds())
	}
	return median(a), median(z), nil
}

func median(all []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(all))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// drain runs a program, throws away what it prints and returns how long it took.
func drain(ctx context.Context, env []string, program string, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), env...)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = null, &said
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, errors.Join(fmt.Errorf("%s: %w", filepath.Base(program), err), errors.New(said.String()))
	}
	return time.Since(began), nil
}
