package groupcommit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/bustest/broker"
)

// makeStream makes the folder of a stream as the broker does.
func makeStream(t *testing.T, dir string) {
	t.Helper()
	at := streamOf(dir, "EVENTS")
	if err := errors.Join(os.MkdirAll(filepath.Join(at, "msgs"), 0o700), os.WriteFile(filepath.Join(at, "meta.inf"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestStagingIsOurs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := stagingOf(dir, "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	link := batchesOf(dir, "EVENTS")
	makeStream(t, dir)
	if err := s.Begin(); err != nil {
		t.Skip("there is no memory to stage batches in:", err)
	}
	t.Cleanup(func() { _ = s.End() })
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Readlink(link); err != nil {
		t.Errorf("our own link was removed: %v", err)
	}
	// A copy of the folder has the link of the original.
	copied := filepath.Join(t.TempDir(), "copy")
	c, err := stagingOf(copied, "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(batchesOf(copied, "EVENTS")), 0o700), os.Symlink(s.target("EVENTS"), batchesOf(copied, "EVENTS")), c.check()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(batchesOf(copied, "EVENTS")); err == nil {
		t.Error("the copy follows the link of the original")
	}
	// After a restart of the machine the folder is gone, or another's.
	if err := errors.Join(os.RemoveAll(s.root), s.check()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(link); err == nil {
		t.Error("a link that leads to nothing is left for whoever makes it first")
	}
}

// A broker that nobody has looked at, or a store with something else where the
// batches lie, is refused with what to do, and nothing of ours is left in it.
func TestAnUnknownLayoutIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(t *testing.T, s *Staging)
		says   string
	}{
		"another version": {func(_ *testing.T, s *Staging) { s.version = "2.99.0" }, "build with that one"},
		"no settings":     {func(t *testing.T, s *Staging) { remove(t, streamOf(s.dir, "EVENTS"), "meta.inf") }, knownVersion},
		"no messages":     {func(t *testing.T, s *Staging) { remove(t, streamOf(s.dir, "EVENTS"), "msgs") }, knownVersion},
		"a file for a folder": {func(t *testing.T, s *Staging) {
			if err := os.WriteFile(batchesOf(s.dir, "EVENTS"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "remove it"},
	} {
		dir := t.TempDir()
		makeStream(t, dir)
		s, err := stagingOf(dir, "EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		c.change(t, s)
		if err := s.Begin(); !errors.Is(err, ErrLayout) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; wanted a refusal that says %q", name, err, c.says)
		}
		if isLink(batchesOf(dir, "EVENTS")) {
			t.Errorf("%s: a link was made", name)
		}
	}
}

// What a known broker left, an unknown one must not follow.
func TestAnUnknownBrokerFollowsNoLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeStream(t, dir)
	s, err := stagingOf(dir, "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(); err != nil {
		t.Skip("there is no memory to stage batches in:", err)
	}
	t.Cleanup(func() { _ = s.End() })
	s.version = "2.99.0"
	if err := s.check(); err != nil || isLink(batchesOf(dir, "EVENTS")) {
		t.Errorf("the link is still there: %v", err)
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// The broker that is linked in stages a batch where this package says, and takes
// the link that leads into memory.
func TestTheBrokersLayout(t *testing.T) {
	t.Parallel()
	if err := checkVersion(server.VERSION); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s, err := Prepare(dir, "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.NewServer(&server.Options{JetStream: true, StoreDir: dir, DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
		if err := s.End(); err != nil || isLink(batchesOf(dir, "EVENTS")) {
			t.Errorf("the link stays: %v", err)
		}
	})
	if !srv.ReadyForConnections(broker.Limit) {
		t.Fatal("the broker does not start")
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}, AllowAtomicPublish: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(); errors.Is(err, ErrLayout) {
		t.Fatal(err)
	} else if err != nil {
		t.Skip("there is no memory to stage batches in:", err)
	}
	begun := nats.NewMsg("events.a") // a batch that is not whole
	begun.Header.Set(headerBatch, "begun")
	begun.Header.Set(headerBatchPlace, "1")
	if _, err := nc.RequestMsg(begun, broker.Limit); err != nil {
		t.Fatal(err)
	}
	if found, err := os.ReadDir(s.target("EVENTS")); err != nil || len(found) != 1 {
		t.Errorf("in memory lie %v, %v; wanted the batch that was begun", found, err)
	}
	var messages []*nats.Msg
	for i := range 7 {
		messages = append(messages, nats.NewMsg("events."+strconv.Itoa(i)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), broker.Limit)
	defer cancel()
	last, err := Batches(nc)(ctx, messages)
	if err != nil || last != 7 {
		t.Errorf("a batch of 7 ends at %d, %v", last, err)
	}
	if stored, err := stream.GetMsg(ctx, 4); err != nil || !InBatch(stored.Header) {
		t.Errorf("the fourth message: %v, %v; wanted one of a batch", stored, err)
	}
}

// FuzzAck holds that no answer of a broker makes a sequence that the batch cannot
// have.
func FuzzAck(f *testing.F) {
	for _, seed := range []string{`{"stream":"EVENTS","seq":7,"batch":"b","count":7}`, `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence"}}`, `{"seq":2}`, `{"seq":-1}`, `{}`, `[]`, ``} {
		f.Add([]byte(seed), 5)
	}
	f.Fuzz(func(t *testing.T, answer []byte, messages int) {
		messages = max(1, messages)
		last, err := readAck(answer, messages)
		if (err == nil) != (last >= uint64(messages)) {
			t.Errorf("%q for %d messages: %d, %v", answer, messages, last, err)
		}
	})
}
