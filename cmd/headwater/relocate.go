package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"headwater/bus"
	"headwater/cmd/headwater/terminal"
	"headwater/handlers/landing"
)

// RelocateCmd tells a data directory where its lake is, after either was moved.
type RelocateCmd struct {
	Config
	From string `help:"URL of the former lake, with its options if it is a bucket (default: where the catalog says that its tables are)."`
}

// Run changes the location of every table to --lake, and prints how many
// changed. Its error says what to change; tables before the one it names have
// been changed, and the command may be repeated.
func (c *RelocateCmd) Run(ctx context.Context, s terminal.Streams) (err error) {
	if err := c.Validate(); err != nil {
		return err
	}
	if c.NATSURL == "" {
		if _, err := os.Stat(c.path("bus")); err != nil {
			return fmt.Errorf("--data-dir: %w: it is no data directory of a service", err)
		}
	}
	log := newLog(s.Err, slog.LevelWarn)
	wire, err := bus.Open(ctx, bus.Config{Dir: c.path("bus"), URL: c.NATSURL, Creds: c.NATSCreds, Replicas: c.Replicas, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, wire.Close(context.WithoutCancel(ctx))) }()
	lake, err := landing.Open(ctx, c.Lake, wire.Bucket(bus.BucketCatalog), log)
	if err != nil {
		return fmt.Errorf("--lake: %w", err)
	}
	defer func() { err = errors.Join(err, lake.Close()) }()
	home, err := c.home()
	if err != nil {
		return err
	}
	done, err := lake.Relocate(ctx, home, c.From)
	s.Note("%s now in %s, %d of them there before; copied %s", terminal.Several(done.Tables, "table"), lake.Location(), done.Already, terminal.Several(done.Copied, "file"))
	if done.Tables > 0 {
		s.Note("'headwater where' shows them there at once; location in list and schema is as of each table's last sync")
	}
	if done.Copied > 0 {
		s.Note("what was copied is still at the former place, which no cleanup reaches: remove it there once the service runs")
	}
	return err
}
