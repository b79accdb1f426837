package bus

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/event"
)

func TestDurableNames(t *testing.T) {
	t.Parallel()
	var got []string
	for _, c := range streamConfigs(1, true) {
		got = append(got, c.Name+" "+strings.Join(c.Subjects, ","))
	}
	want := []string{
		"HEADWATER_EVENTS headwater.events.>",
		"HEADWATER_COMMANDS headwater.commands.>",
		"HEADWATER_DEADLETTERS headwater.deadletters.>",
		"KV_HEADWATER_SECRETS $KV.HEADWATER_SECRETS.>",
		"KV_HEADWATER_CATALOG $KV.HEADWATER_CATALOG.>",
		"KV_HEADWATER_IDEMPOTENCY $KV.HEADWATER_IDEMPOTENCY.>",
		"KV_HEADWATER_WEBHOOKS $KV.HEADWATER_WEBHOOKS.>",
		"KV_HEADWATER_POSTPONED $KV.HEADWATER_POSTPONED.>",
		"OBJ_HEADWATER_PAYLOADS $O.HEADWATER_PAYLOADS.C.>,$O.HEADWATER_PAYLOADS.M.>",
		"OBJ_HEADWATER_SNAPSHOTS $O.HEADWATER_SNAPSHOTS.C.>,$O.HEADWATER_SNAPSHOTS.M.>",
	}
	if !slices.Equal(got, want) {
		t.Errorf("streams are now\n%s\nwanted\n%s\nrenaming one strands what it holds", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := DurableFor("SyncSource"); got != "workers-SyncSource" {
		t.Errorf("the durable of SyncSource is %q: renaming it hands every command out again", got)
	}
}

func TestOpenMakesAFolderForTheOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "broker")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	openBus(t, Config{Dir: dir})
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v; wanted 0700", info.Mode(), err)
	}
}

func TestOpenRefusesAFolderInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openBus(t, Config{Dir: dir})
	if _, err := Open(t.Context(), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := openBus(t, Config{Dir: dir})
	first := testEvent(testAddress, &event.SyncStarted{SyncID: "syn_1"})
	if _, err := b.Append(t.Context(), 0, first); err != nil {
		t.Fatal(err)
	}
	large := testEvent(testAddress, &event.SyncFailed{SyncID: "syn_1", Message: strings.Repeat("x", 2*MaxInline)})
	if _, err := b.Append(t.Context(), first.Sequence, large); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Bucket(BucketCatalog).Create(t.Context(), "a.b", []byte("kept"), 0); err != nil {
		t.Fatal(err)
	}
	before, err := b.EventsState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	closeBus(t, b)

	b = openBus(t, Config{Dir: dir})
	after, err := b.EventsState(t.Context())
	if err != nil || after != before || after.Last != 2 {
		t.Errorf("state %+v, %v; was %+v", after, err, before)
	}
	got := readEvents(t, b, 0, 2)
	if got[0].ID != first.ID || got[1].Data.(*event.SyncFailed).Message != large.Data.(*event.SyncFailed).Message {
		t.Error("the events are not what was appended")
	}
	entry, err := b.Bucket(BucketCatalog).Get(t.Context(), "a.b")
	if err != nil || string(entry.Value) != "kept" {
		t.Errorf("bucket holds %q, %v", entry.Value, err)
	}
}

func TestOpenRefusesUnsafeSettings(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(c *jetstream.StreamConfig){
		"storage": func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"persist_mode": func(c *jetstream.StreamConfig) {
			c.PersistMode, c.AllowAtomicPublish = jetstream.AsyncPersistMode, false
		},
		"max_age":          func(c *jetstream.StreamConfig) { c.MaxAge = dedupWindow },
		"max_msgs":         func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 },
		"discard":          func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"deny_delete":      func(c *jetstream.StreamConfig) { c.DenyDelete = false },
		"duplicate_window": func(c *jetstream.StreamConfig) { c.Duplicates = dedupWindow / 2 },
		"subjects":         func(c *jetstream.StreamConfig) { c.Subjects = []string{"headwater.events.acme.>"} },
		"no_ack":           func(c *jetstream.StreamConfig) { c.NoAck = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := startServer(t, t.TempDir(), 0).ClientURL()
			foreign := streamConfigs(1, true)[0]
			change(&foreign)
			nc, err := nats.Connect(url)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := js.CreateStream(t.Context(), foreign); err != nil {
				t.Fatal(err)
			}
			_, err = Open(t.Context(), Config{URL: url})
			if !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), StreamEvents) {
				t.Errorf("opened over a foreign stream: %v", err)
			}
		})
	}
}

func TestOpenNeverMakesLostStateAgain(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{StreamEvents, StreamCommands, kvStream(BucketSecrets), kvStream(BucketCatalog), objStream(ObjectsPayloads)} {
		t.Run(lost, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			b := openBus(t, Config{Dir: dir})
			if _, err := b.Append(t.Context(), 0, testEvent(testAddress, &event.SyncStarted{})); err != nil {
				t.Fatal(err)
			}
			if err := b.publish.DeleteStream(t.Context(), lost); err != nil {
				t.Fatal(err)
			}
			closeBus(t, b)
			if _, err := Open(t.Context(), Config{Dir: dir}); !errors.Is(err, ErrHistoryMissing) || !strings.Contains(err.Error(), lost) {
				t.Errorf("opened without %s: %v", lost, err)
			}
		})
	}
}

func TestBusyPortNamesTheWayOut(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Open(t.Context(), Config{Dir: t.TempDir(), Listen: l.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), "--nats-listen") || !strings.Contains(err.Error(), "off") {
		t.Errorf("the error does not say what to do: %v", err)
	}
}

func TestListenOffTakesNobody(t *testing.T) {
	t.Parallel()
	if at := openBus(t, Config{Listen: "off"}).Listening(); at != "" {
		t.Errorf("listens at %s", at)
	}
}

func TestCloseTwice(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	closeBus(t, b)
	closeBus(t, b)
	if _, err := b.Jobs(JobsConfig{Command: "SyncSource"}); !errors.Is(err, ErrClosed) {
		t.Errorf("jobs after close: %v", err)
	}
	if _, err := b.Append(t.Context(), 0, testEvent(testAddress, &event.SyncStarted{})); !errors.Is(err, ErrUnavailable) {
		t.Errorf("append after close: %v", err)
	}
}
