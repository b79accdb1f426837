package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"headwater/bus/busbench"
	"headwater/cmd/bench/history"
	"headwater/cmd/bench/load"
	"headwater/cmd/bench/report"
)

const (
	historyEvents = 1_000_000
	// historyVersion goes up with every change of what history.Of makes.
	historyVersion = 1
)

// rebuild measures `headwater rebuild --verify` beside the bare drain of the
// same stream, each by a process of its own.
func (b *bench) rebuild(ctx context.Context) ([]report.Row, error) {
	count := b.Rows(historyEvents)
	dir, err := b.history(ctx, count)
	if err != nil {
		return nil, err
	}
	var peak int64
	ours := func(ctx context.Context) (time.Duration, error) {
		took, memory, err := b.fold(ctx, dir, count)
		peak = max(peak, memory)
		return took, err
	}
	drained := func(ctx context.Context) (time.Duration, error) {
		told, err := json.Marshal(drainage{filepath.Join(dir, "bus"), count})
		if err != nil {
			return 0, err
		}
		cmd, err := load.Self(ctx, "drain", told)
		if err != nil {
			return 0, err
		}
		out, err := cmd.Output()
		if err != nil {
			return 0, fmt.Errorf("drain: %w: %s", err, load.StderrOf(err))
		}
		return time.ParseDuration(strings.TrimSpace(string(out)))
	}
	name := fmt.Sprintf("rebuild of the projection, %d events", count)
	our, limit, err := b.Pair(ctx, name, ours, drained)
	if err != nil {
		return nil, err
	}
	name += fmt.Sprintf(", at most %d MiB", peak>>20)
	return []report.Row{report.Pace(name, "bare ordered consumer, the same stream", count, our, limit, 0.5)}, nil
}

// history returns a data directory whose bus holds so many events, made by the
// first run that needs it.
func (b *bench) history(ctx context.Context, count int) (string, error) {
	dir := filepath.Join(b.Cache, fmt.Sprintf("history-%d-v%d", count, historyVersion))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	b.Say("publishing %d events", count)
	making := dir + ".making"
	if err := os.RemoveAll(making); err != nil {
		return "", err
	}
	if err := os.MkdirAll(making, 0o755); err != nil {
		return "", err
	}
	if err := busbench.Fill(ctx, filepath.Join(making, "bus"), history.Of(count)); err != nil {
		return "", fmt.Errorf("publish a history: %w", err)
	}
	return dir, os.Rename(making, dir)
}

var foldedLine = regexp.MustCompile(`(?m)^(\d+) events folded in (\S+)$`)

// fold has the service fold the history into a fresh projection, and compare
// that with the one of the run before. It returns how long folding took and the
// most memory that the process held, in bytes.
func (b *bench) fold(ctx context.Context, dir string, count int) (took time.Duration, peak int64, err error) {
	cmd := exec.CommandContext(ctx, b.Program, "rebuild", "--verify", "--data-dir", dir)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("rebuild: %w: %s%s", err, out, &said)
	}
	found := foldedLine.FindSubmatch(out)
	if found == nil || string(found[1]) != strconv.Itoa(count) {
		return 0, 0, fmt.Errorf("rebuild of %d events said: %s", count, out)
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		peak = usage.Maxrss << 10
	}
	took, err = time.ParseDuration(string(found[2]))
	return took, peak, err
}

// drainage is what a process that drains a stream is told.
type drainage struct {
	Dir   string
	Count int
}

// drainStream reads all events of a stream and prints how long that took.
func drainStream(in io.Reader, out io.Writer) error {
	var d drainage
	if err := json.NewDecoder(in).Decode(&d); err != nil {
		return err
	}
	events, took, err := busbench.Drain(context.Background(), d.Dir)
	if err != nil {
		return err
	}
	if events != d.Count {
		return errors.New("the stream holds " + strconv.Itoa(events) + " events")
	}
	_, err = fmt.Fprintln(out, took)
	return err
}
