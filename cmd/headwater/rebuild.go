package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"headwater/bus"
	"headwater/cmd/headwater/terminal"
	"headwater/projections"
)

// RebuildCmd rebuilds the read model from the log.
type RebuildCmd struct {
	Config
	Verify bool `required:"" help:"Compare the new read model with the stored one, table by table; nothing is changed."`
}

// Run prints the hash of every table of the stored and of the rebuilt read
// model. It returns an error if they differ.
func (c *RebuildCmd) Run(ctx context.Context, s terminal.Streams) (err error) {
	if err := c.Validate(); err != nil {
		return err
	}
	// The process does nothing else: a third more memory makes it about 6 %
	// faster.
	defer debug.SetGCPercent(debug.SetGCPercent(200))
	log := newLog(s.Err, slog.LevelWarn)
	wire, err := bus.Open(ctx, bus.Config{Dir: c.path("bus"), URL: c.NATSURL, Creds: c.NATSCreds, Replicas: c.Replicas, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, wire.Close(context.WithoutCancel(ctx))) }()

	stored, err := fold(ctx, wire, c.path("projection"), log)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(c.DataDir, "rebuild-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	fresh, err := fold(ctx, wire, scratch, log)
	if err != nil {
		return err
	}

	differ := projections.Differing(stored.tables, fresh.tables)
	fmt.Fprintf(s.Out, "%-24s %10s  %s\n", "table", "keys", "sha-256")
	for _, t := range fresh.tables {
		mark := "same"
		if slices.Contains(differ, t.Table) {
			mark = "DIFFERS"
		}
		fmt.Fprintf(s.Out, "%-24s %10d  %s  %s\n", t.Table, t.Keys, t.Hash, mark)
	}
	fmt.Fprintf(s.Out, "%d events folded in %s\n", fresh.position, fresh.took.Round(time.Millisecond))
	if stored.position != fresh.position {
		return fmt.Errorf("the stored projection is at sequence %d, history at %d", stored.position, fresh.position)
	}
	if len(differ) > 0 {
		return fmt.Errorf("the stored projection differs from history in %s: remove %s and start the service with --snapshot-events 0 to rebuild it", strings.Join(differ, ", "), c.path("projection"))
	}
	return nil
}

// folded is the state of a read model at the end of the log.
type folded struct {
	took     time.Duration // until everything was flushed
	position uint64
	tables   []projections.TableHash
}

// fold applies the log to the read model in dir up to its end, and closes it.
func fold(ctx context.Context, wire *bus.Bus, dir string, log *slog.Logger) (f folded, err error) {
	began := time.Now()
	view, err := projections.Open(projections.Options{Dir: dir, Log: log})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	following, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- view.Follow(following, eventLog{wire}) }()
	select {
	case <-view.Ready():
		f.took = time.Since(began)
	case err := <-ended:
		stop()
		return f, errors.Join(err, ctx.Err())
	}
	stop()
	if err := <-ended; err != nil {
		return f, err
	}
	f.position = view.Position()
	f.tables, err = view.HashTables(ctx)
	return f, err
}
