// Command bench measures whole syncs through the service, each beside the
// fastest that its source can be read at all, and reads and commands beside what
// a server and a disk can do at all, in turn on the same machine in the same run.
// `make bench` runs it; it makes its data and starts its own servers.
//
// A file here is a work that is measured; those that follow a log are in changes. They
// stand on rig (the service, databases, two sides in turn) and load (requests from a
// process of their own). What knows no service lies beside: report (rows and tables),
// widetable and tpch (data), history (events), processes (memory and time of the processor).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"headwater/cmd/bench/changes"
	"headwater/cmd/bench/load"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
)

func main() {
	if played, err := load.Play(os.Getenv(load.Variable), os.Stdin, os.Stdout, map[string]func(io.Reader, io.Writer) error{"drain": drainStream}); played {
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are what a run can be told.
type settings struct {
	rig       rig.Settings
	only      string
	readme    string
	parallel  int
	tpchScale float64
	largeRows int
}

// run measures the works that were asked for and prints the table. Its error
// joins what went wrong; a missed target is none.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.rig.Cache, "cache", filepath.Join(os.TempDir(), "headwater-bench"), "folder for the data, which is kept; servers must be able to read below it")
	flags.StringVar(&s.only, "only", "", "works to run, by the start of their names, separated by commas: "+strings.Join(names(), ", "))
	flags.IntVar(&s.rig.Runs, "n", 5, "measured runs of each side; the median counts")
	flags.BoolVar(&s.rig.Quick, "quick", false, "a tenth of the rows")
	flags.StringVar(&s.readme, "readme", "", "write the tables into this file, between the comments that name them, such as bench:sync")
	flags.IntVar(&s.parallel, "parallel", 4, "connections of the works that read a table over several")
	flags.StringVar(&s.rig.Program, "headwater", "", "the service to measure; built from ./cmd/headwater when absent")
	flags.Float64Var(&s.tpchScale, "scale", 1, "of the TPC-H-shaped database: 1 is 8.66 million rows")
	flags.IntVar(&s.largeRows, "large", 50_000_000, "rows of the large table that changes land in; a database of 50,000,000 takes 20 GB and some minutes to make")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || s.rig.Runs < 1 || s.parallel < 2 || s.tpchScale <= 0 || s.largeRows < changes.LargeBeside {
		return errors.New("no arguments beside flags; -n is at least 1, -parallel at least 2, -scale above 0, and -large no less than the small table")
	}
	chosen, err := choose(s.only)
	if err != nil {
		return err
	}
	if s.rig.Quick {
		s.tpchScale /= rig.QuickDivisor
	}
	if s.readme != "" && (s.rig.Quick || s.tpchScale != 1 || !wholeTables(chosen)) {
		return errors.New("-readme takes whole tables: leave out -quick and -scale, and name all works of a table or none")
	}
	shared, err := rig.New(ctx, s.rig, stderr)
	if err != nil {
		return err
	}
	defer shared.Close()
	b := &bench{Rig: shared, settings: s}

	rows := map[string][]report.Row{}
	var failed []error
	for _, w := range chosen {
		found, err := w.run(b, ctx)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", w.name, err))
			b.Say("%s: %v", w.name, err)
			found = append(found, report.Row{Work: w.name, Failed: true})
		}
		rows[w.table] = append(rows[w.table], found...)
		if ctx.Err() != nil {
			break
		}
	}
	where := report.Machine(ctx, b.Versions())
	for _, name := range report.Tables {
		if len(rows[name]) == 0 {
			continue
		}
		table := report.Render(name, rows[name], where, s.rig.Runs, s.rig.Quick)
		fmt.Fprintln(stdout, table)
		if s.readme != "" && len(failed) == 0 {
			failed = append(failed, report.WriteBetween(s.readme, name, table))
		}
	}
	return errors.Join(failed...)
}
