package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"headwater/cmd/bench/load"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
)

const (
	lonelyCommands  = 2000 // of one caller, a run
	crowdCommands   = 7680
	crowd           = 64  // callers
	turnsOfRun      = 10  // between the sides in one run: the disk's pace changes by the second
	appended        = 400 // bytes of an append, about what a command or an event takes
	commandMessages = 2   // that a command costs at least: itself, and the event that it leads to
)

// appending is the side that appends so many messages to a file, each of them
// synced before the next.
func appending(dir string, count int) rig.Side {
	return func(context.Context) (took time.Duration, err error) {
		f, err := os.CreateTemp(dir, "append-")
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
		message := bytes.Repeat([]byte("m"), appended)
		began := time.Now()
		for range count {
			if _, err := f.Write(message); err != nil {
				return 0, err
			}
			if err := f.Sync(); err != nil {
				return 0, err
			}
		}
		return time.Since(began), nil
	}
}

// commanded returns a service with a source for every caller, started by the
// first work that asks.
func (b *bench) commanded(ctx context.Context) (*rig.Service, []string, error) {
	if b.ordered != nil {
		return b.ordered, b.orderable, nil
	}
	files, err := b.Folder("sources")
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(filepath.Join(files, "narrow.csv"), []byte("id,name\n1,one\n"), 0o644); err != nil {
		return nil, nil, err
	}
	s, err := b.Start(ctx, files)
	if err != nil {
		return nil, nil, err
	}
	var sources []rig.Object
	for i := range crowd {
		sources = append(sources, rig.Object{"type": "csv", "name": fmt.Sprintf("source_%02d", i), "connection_config": rig.Object{"path": "narrow.csv"}})
	}
	var data struct {
		Connected []struct{ ID string } `json:"connected_sources"`
	}
	if err := s.Call(ctx, "POST", "connect", rig.Object{"sources": sources}, &data); err != nil {
		return nil, nil, err
	}
	if len(data.Connected) != crowd {
		return nil, nil, fmt.Errorf("%d of %d sources are connected", len(data.Connected), crowd)
	}
	for _, source := range data.Connected {
		b.orderable = append(b.orderable, source.ID)
	}
	b.ordered = s
	return s, b.orderable, nil
}

// command measures how long one caller waits for a command.
func (b *bench) command(ctx context.Context) ([]report.Row, error) {
	ours, limit, name, err := b.order(ctx, "command sent to result readable over REST, 1 caller", 1, lonelyCommands)
	if err != nil {
		return nil, err
	}
	r := report.Ratio(name, "two appends of 400 B with fsync", 1, ours/lonelyCommands, limit/lonelyCommands, 4)
	r.Ours, r.Limit = milliseconds(ours/lonelyCommands), milliseconds(limit/lonelyCommands)
	return []report.Row{r}, nil
}

// commands measures how many commands many callers get done.
func (b *bench) commands(ctx context.Context) ([]report.Row, error) {
	ours, limit, name, err := b.order(ctx, fmt.Sprintf("commands over REST, %d callers", crowd), crowd, crowdCommands)
	if err != nil {
		return nil, err
	}
	return []report.Row{report.Pace(name, "appends of 400 B with fsync / 2 messages", crowdCommands, ours, limit, 0.8)}, nil
}

// order measures so many commands beside the appends that they cannot do
// without.
func (b *bench) order(ctx context.Context, name string, callers, count int) (ours, limit time.Duration, _ string, err error) {
	s, sources, err := b.commanded(ctx)
	if err != nil {
		return 0, 0, "", err
	}
	dir, err := b.Folder("appends")
	if err != nil {
		return 0, 0, "", err
	}
	o := load.Orders{Address: strings.TrimPrefix(s.Base, "http://"), Token: s.Token, Path: rig.DataPath, Sources: sources[:callers], Each: count / callers / turnsOfRun}
	ours, limit, err = b.PairIn(ctx, name, turnsOfRun, o.Apart, appending(dir, commandMessages*count/turnsOfRun))
	return ours, limit, name, err
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}
