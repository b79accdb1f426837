package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/bus"
	"headwater/bus/bustest"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/seal"
	"headwater/connectors"
	"headwater/connectors/file"
	"headwater/connectors/mysql"
	"headwater/connectors/postgres"
	"headwater/connectors/sqlite"
	"headwater/handlers/landing"
	"headwater/handlers/readmodel"
	"headwater/handlers/syncing"
	"headwater/projections"
)

func TestMain(m *testing.M) {
	bustest.CheckEvents()
	os.Exit(m.Run())
}

const patience = time.Minute

// How a table of a sync has ended.
const (
	tableCompleted = "completed"
	tableFailed    = "failed"
)

// world is a whole node but its API: broker, projection, vault, lake, connectors
// and workers, with a source of its own making.
type world struct {
	t         *testing.T
	bus       *bus.Bus
	store     *projections.Store
	vault     *seal.Vault
	lake      *landing.Lake
	source    *fakeSource
	files     string // the folder that file sources may read
	address   event.Address
	seams     *seams
	handlers  *Handlers
	log       *slog.Logger
	lastID    atomic.Int64
	historyMu sync.Mutex
	history   []*event.Event
	// Faults put in the way of the real parts; nil lets everything pass.
	faults faults
	// What a source's server says of itself where a command does not end; nil for none.
	asks func() string
}

type faults struct {
	append   func(*event.Event) error
	commit   func(table string, final bool) error
	begin    func(landing.Target) error
	drop     func() error
	maintain func(table string) error
	deaf     bool // the lake does not hear that it is to stop
}

// quick are options under which nothing waits longer than it must.
func quick() Options {
	return Options{Options: syncing.Options{
		RetryDelay: 10 * time.Millisecond, ProgressEvery: 20 * time.Millisecond, HeartbeatEvery: time.Hour,
		Grace: 10 * time.Second, Lease: 100 * time.Millisecond,
		TellEvery: time.Nanosecond, // a seam after every batch
	}}
}

func newWorld(t *testing.T, options Options) *world {
	t.Helper()
	return newWorldOn(t, t.TempDir(), options)
}

// newWorldOn is newWorld with a lake at a place of the test's choice.
func newWorldOn(t *testing.T, lake string, options Options) *world {
	t.Helper()
	w := &world{
		t: t, source: newFakeSource(), log: slog.New(slog.DiscardHandler), seams: &seams{handed: map[string]int{}},
		address: event.Address{Organization: "acme", Workspace: "w1", Owner: "ada", Source: projections.SourceID("acme", "w1", "ada", "shop", 0)},
	}
	if os.Getenv("HANDLERS_TEST_LOG") != "" {
		w.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	var err error
	w.bus, err = bus.Open(ctx, bus.Config{Dir: t.TempDir(), Log: w.log})
	w.check(err)
	t.Cleanup(func() { w.check(w.bus.Close(context.WithoutCancel(ctx))) })
	w.store, err = projections.Open(projections.Options{Dir: "projection", FS: vfs.NewMem(), Log: w.log})
	w.check(err)
	t.Cleanup(func() { w.check(w.store.Close()) })
	w.lake, err = landing.Open(ctx, lake, w.bus.Bucket(bus.BucketCatalog), w.log)
	w.check(err)
	t.Cleanup(func() { w.check(w.lake.Close()) })
	w.vault, err = seal.New(make([]byte, seal.MasterKeySize), w.bus.Bucket(bus.BucketSecrets))
	w.check(err)
	w.files = t.TempDir()
	egress, err := connectors.ParsePolicy("auto", true) // servers on loopback
	w.check(err)
	registry, err := connectors.New(connectors.Options{Egress: egress, FilesRoot: w.files, FilesOf: "acme", Log: w.log}, w.source, sqlite.Driver{}, file.Driver{}, postgres.Driver{}, mysql.Driver{})
	w.check(err)
	t.Cleanup(func() { w.check(registry.Close()) })

	var following sync.WaitGroup
	following.Go(func() {
		if err := w.store.Follow(ctx, w.bus); err != nil && ctx.Err() == nil {
			t.Errorf("follow: %v", err)
		}
	})
	following.Go(func() { w.collect(ctx) })
	t.Cleanup(func() { cancel(); following.Wait() })

	options.Seam = w.seams.reached
	w.handlers = New(Deps{
		Events: faultyEvents{w}, State: readmodel.Projected(w.store), Connectors: Opened(registry, w.log), Lake: faultyLake{Landing(w.lake), w},
		Vault: w.vault, Commands: w.bus, Log: w.log, Options: options,
	})
	w.start()
	return w
}

// start runs the workers until the test ends.
func (w *world) start() {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: patience}, watermill.NewSlogLogger(w.log))
	w.check(err)
	err = w.handlers.Register(router, func(name string, concurrency int) (message.Subscriber, error) {
		return w.bus.Jobs(bus.JobsConfig{
			Command: name, Concurrency: concurrency, PerWorkspace: w.handlers.PerWorkspace(name), PerOrganization: w.handlers.PerOrganization(name), AckWait: 2 * time.Second, OnExhausted: w.handlers.Exhausted,
			Backoff: func(int) time.Duration { return 10 * time.Millisecond }, Drain: 5 * time.Second,
		})
	})
	w.check(err)
	// A worker that a seam has killed comes back to life with the next delivery.
	router.AddMiddleware(func(h message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			w.seams.running.Add(1)
			defer w.seams.running.Add(-1)
			w.seams.revive(event.NameOf(msg.Metadata.Get(event.HeaderType)))
			return h(msg)
		}
	})
	var running sync.WaitGroup
	running.Go(func() {
		if err := router.Run(context.WithoutCancel(w.t.Context())); err != nil {
			w.t.Errorf("router: %v", err)
		}
	})
	<-router.Running()
	w.t.Cleanup(func() { w.check(router.Close()); running.Wait() })
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// collect keeps the whole log.
func (w *world) collect(ctx context.Context) {
	messages, err := w.bus.Ordered(0).Subscribe(ctx, event.SubjectPrefix+".>")
	if err != nil {
		w.t.Errorf("read the log: %v", err)
		return
	}
	for msg := range messages {
		e, err := bus.EventOf(msg)
		if err != nil {
			w.t.Errorf("event: %v", err)
			continue
		}
		w.historyMu.Lock()
		w.history = append(w.history, e)
		w.historyMu.Unlock()
	}
}

// events returns what the log holds of an address at this moment.
func (w *world) events(a event.Address) []*event.Event {
	w.t.Helper()
	last, err := w.bus.LastSequence(w.t.Context(), a)
	w.check(err)
	var found []*event.Event
	w.eventually("the log to be read", func() bool {
		w.historyMu.Lock()
		defer w.historyMu.Unlock()
		found = nil
		for _, e := range w.history {
			if e.Address() == a {
				found = append(found, e)
			}
		}
		return last == 0 || len(found) > 0 && found[len(found)-1].Sequence >= last
	})
	return found
}

func (w *world) names(a event.Address) []string {
	w.t.Helper()
	names := []string{}
	for _, e := range w.events(a) {
		names = append(names, e.Name())
	}
	return names
}

// outcomes returns the names without progress, and without the maintenance that may
// follow a sync at any time.
func (w *world) outcomes(a event.Address) []string {
	w.t.Helper()
	return slices.DeleteFunc(w.names(a), func(n string) bool { return n == "SyncProgressed" || n == "TableMaintained" })
}

func (w *world) wantOutcomes(want ...string) {
	w.t.Helper()
	if got := w.outcomes(w.address); !slices.Equal(got, want) {
		w.t.Fatalf("the history holds %v, want %v", got, want)
	}
}

// last returns the newest event of the source that is a T.
func last[T event.Data](w *world) T {
	w.t.Helper()
	var found T
	ok := false
	for _, e := range w.events(w.address) {
		if d, is := e.Data.(T); is {
			found, ok = d, true
		}
	}
	if !ok {
		w.t.Fatalf("no %T in %v", found, w.names(w.address))
	}
	return found
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	w.t.Fatalf("waited %v in vain for %s", patience, what)
}

// operation returns a new operation of one target, and the meta of its command.
func (w *world) operation(kind string) command.Meta {
	id := fmt.Sprintf("op_%d", w.lastID.Add(1))
	return command.Meta{
		Meta:     event.At(w.address, event.Operation{ID: id, Kind: kind, Targets: 1, Actor: "ada"}),
		Deadline: time.Now().Add(20 * patience),
	}
}

func (w *world) send(data command.Data) {
	w.t.Helper()
	id := fmt.Sprintf("0190a000-0000-7000-8000-%012d", w.lastID.Add(1))
	w.check(w.bus.Send(w.t.Context(), &command.Command{ID: id, Time: time.Now().UTC(), Data: data}))
}

// do sends a command and waits for the end of its operation.
func (w *world) do(data command.Data) projections.Operation {
	w.t.Helper()
	w.send(data)
	return w.ended(data)
}

func (w *world) ended(data command.Data) projections.Operation {
	w.t.Helper()
	m := data.Header()
	told, late := 0, false
	for {
		ctx, cancel := context.WithTimeout(w.t.Context(), patience/2)
		op, err := w.store.WaitOperation(ctx, m.Organization, m.WorkspaceID, m.Operation.ID)
		cancel()
		if err == nil {
			return op
		}
		history := w.names(w.address)
		switch {
		case len(history) > told: // a machine with much to do is slow, and what goes on does not hang
			told, late = len(history), false
			w.t.Logf("%s takes long: %d events", data.CommandName(), told)
		case late:
			w.t.Fatalf("%s never ended: %v; history %v", data.CommandName(), err, history)
		default:
			late = true
			w.t.Logf("%s has told nothing for %v:\n%s", data.CommandName(), patience/2, w.seen())
		}
	}
}

// seen is what everybody is at: the goroutines, and the source's server.
func (w *world) seen() string {
	var all strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&all, 1)
	if w.asks != nil {
		all.WriteString(w.asks())
	}
	return all.String()
}

// idle waits until no command is left, so that what handlers do after their
// last event is done.
func (w *world) idle() {
	w.t.Helper()
	w.eventually("the commands to be acked", func() bool {
		waiting, err := w.bus.Queue(w.t.Context())
		w.check(err)
		for _, commands := range waiting {
			if commands > 0 {
				return false
			}
		}
		return w.seams.running.Load() == 0
	})
}

func (w *world) seal(secret string) string {
	w.t.Helper()
	ref, err := w.vault.Seal(w.t.Context(), w.address, []byte(secret))
	w.check(err)
	return ref
}

func (w *world) connectCommand(config, secret string) *command.ConnectSource {
	return &command.ConnectSource{
		Meta: w.operation(event.KindConnect), Name: "shop", Type: "fake", Connector: "fake",
		Config: json.RawMessage(config), SecretRef: w.seal(secret),
	}
}

// connect connects the source and fails the test if that does not work.
func (w *world) connect() {
	w.t.Helper()
	if op := w.do(w.connectCommand(`{"host":"a"}`, `{"password":"hunter2"}`)); op.Status != projections.StatusCompleted {
		w.t.Fatalf("connect: %s %+v", op.Status, op.Targets)
	}
}

func (w *world) syncCommand(options command.SyncOptions) *command.SyncSource {
	return &command.SyncSource{
		Meta: w.operation(event.KindSync), SyncID: fmt.Sprintf("syn_%d", w.lastID.Add(1)), Options: options,
	}
}

// landed returns the ids that lie in the lake for a table, sorted.
func (w *world) landed(table string) []int64 {
	w.t.Helper()
	_, rows, err := w.lake.Preview(w.t.Context(), w.address, "public", table, 100_000)
	if errors.Is(err, landing.ErrNoTable) {
		return nil
	}
	w.check(err)
	ids := []int64{}
	for _, r := range rows {
		var id int64
		_, err := fmt.Sscan(fmt.Sprint(r[0]), &id)
		w.check(err)
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (w *world) wantLanded(table string, from, to int64) {
	w.t.Helper()
	got := w.landed(table)
	if !slices.Equal(got, span(from, to)) {
		w.t.Fatalf("%s holds %d rows %v, want %d to %d", table, len(got), head(got), from, to)
	}
}

// wantPrefix is wantLanded where the last checkpoints may still have been on
// their way: the first ids and no others, at least so many and at most.
func (w *world) wantPrefix(table string, least, most int) {
	w.t.Helper()
	got := w.landed(table)
	if !slices.Equal(got, span(0, int64(len(got)))) || len(got) < least || len(got) > most {
		w.t.Fatalf("%s holds %d rows %v, want the first %d to %d", table, len(got), head(got), least, most)
	}
}

func head(ids []int64) []int64 { return ids[:min(len(ids), 20)] }

func span(from, to int64) []int64 {
	ids := []int64{}
	for i := from; i < to; i++ {
		ids = append(ids, i)
	}
	return ids
}
