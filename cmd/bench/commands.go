package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"headwater/cmd/bench/report"
)

const (
	lonelyCommands  = 2000 // of one caller, a run
	crowdCommands   = 7680
	crowd           = 64  // callers
	turnsOfRun      = 10  // between the sides in one run: the disk's pace changes by the second
	appended        = 400 // bytes of an append, about what a command or an event takes
	commandMessages = 2   // that a command costs at least: itself, and the event that it leads to
)

// orders is what the generator of commands is told. Each caller has a source of
// its own, which it removes and restores again and again: commands that ask
// nothing of anybody outside.
type orders struct {
	Address string
	Token   string
	Sources []string // one a caller
	Each    int      // commands of one caller, an even number
}

// ordering is the side that sends commands from a process of its own. A command
// has ended when its answer is there, which comes once the result can be read.
func ordering(o orders) side {
	return func(ctx context.Context) (time.Duration, error) { return apart(ctx, "order", o) }
}

// generate sends the commands, one after another for each caller, and returns
// how long that took.
func (o orders) generate() (time.Duration, error) {
	conns := make([]net.Conn, len(o.Sources))
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("tcp", o.Address); err != nil {
			return 0, err
		}
		defer conns[i].Close()
	}
	errs := make([]error, len(conns))
	var all sync.WaitGroup
	began := time.Now()
	for i, conn := range conns {
		all.Go(func() {
			requests := [2][]byte{o.request("cleanup", o.Sources[i]), o.request("restore", o.Sources[i])}
			answers := bufio.NewReaderSize(conn, 16<<10)
			for n := range o.Each {
				if _, errs[i] = conn.Write(requests[n%2]); errs[i] != nil {
					return
				}
				if errs[i] = done(answers); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began), errors.Join(errs...)
}

func (o orders) request(call, source string) []byte {
	body, _ := json.Marshal(object{"source_ids": []string{source}}) // texts always marshal
	return fmt.Appendf(nil, "POST %s%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		dataPath, call, o.Address, o.Token, len(body), body)
}

// done reads an answer, which must say that the command was carried out.
func done(in *bufio.Reader) error {
	status, length, err := readHead(in)
	if err != nil {
		return err
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(in, body); err != nil {
		return err
	}
	if status != "200" || !bytes.HasPrefix(body, []byte(`{"status":"success"`)) {
		return fmt.Errorf("the answer is %s: %s", status, body)
	}
	return nil
}

// appending is the side that appends so many messages to a file, each of them
// synced before the next.
func appending(dir string, count int) side {
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
func (b *bench) commanded(ctx context.Context) (*service, []string, error) {
	if b.ordered != nil {
		return b.ordered, b.orderable, nil
	}
	files, err := b.folder("sources")
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(filepath.Join(files, "narrow.csv"), []byte("id,name\n1,one\n"), 0o644); err != nil {
		return nil, nil, err
	}
	s, err := b.start(ctx, files)
	if err != nil {
		return nil, nil, err
	}
	var sources []object
	for i := range crowd {
		sources = append(sources, object{"type": "csv", "name": fmt.Sprintf("source_%02d", i), "connection_config": object{"path": "narrow.csv"}})
	}
	var data struct {
		Connected []struct{ ID string } `json:"connected_sources"`
	}
	if err := s.call(ctx, "POST", "connect", object{"sources": sources}, &data); err != nil {
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
	dir, err := b.folder("appends")
	if err != nil {
		return 0, 0, "", err
	}
	o := orders{strings.TrimPrefix(s.base, "http://"), s.token, sources[:callers], count / callers / turnsOfRun}
	ours, limit, err = b.pairIn(ctx, name, turnsOfRun, ordering(o), appending(dir, commandMessages*count/turnsOfRun))
	return ours, limit, name, err
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}
