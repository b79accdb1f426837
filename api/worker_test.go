package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/api/jobs"
	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/seal"
	"headwater/handlers/schedule"
	"headwater/projections"
)

// worker carries commands out on paper: what happens depends on the host that
// was configured, or on the source's name. "unreachable" fails, "slow" waits
// until the worker is opened.
type worker struct {
	t     *testing.T
	bus   *bus.Bus
	view  *projections.Store
	vault *seal.Vault

	gate     chan struct{}
	openOnce sync.Once
	mu       sync.Mutex
	seen     map[string]int // commands by name
	ids      map[string]bool
	secrets  []string      // opened secrets
	keep     time.Duration // that removed sources can be restored
}

func startWorker(t *testing.T, b *bus.Bus, view *projections.Store, vault *seal.Vault) *worker {
	t.Helper()
	w := &worker{t: t, bus: b, view: view, vault: vault, gate: make(chan struct{}), seen: map[string]int{}, ids: map[string]bool{}}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	var subscribers []message.Subscriber
	for _, data := range command.All() {
		subscriber, err := b.Jobs(bus.JobsConfig{Command: data.CommandName(), Concurrency: 8, Drain: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		subscribers = append(subscribers, subscriber)
		messages, err := subscriber.Subscribe(ctx, data.CommandName())
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			for msg := range messages {
				running.Go(func() { w.take(msg) })
			}
		})
	}
	t.Cleanup(func() {
		w.open()
		stop()
		for _, s := range subscribers {
			_ = s.Close()
		}
		running.Wait()
	})
	return w
}

// open lets everything slow go on.
func (w *worker) open() { w.openOnce.Do(func() { close(w.gate) }) }

func (w *worker) count(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[name]
}

func (w *worker) take(msg *message.Message) {
	c, err := bus.CommandOf(msg)
	if err != nil {
		w.t.Errorf("command: %v", err)
		msg.Ack()
		return
	}
	w.mu.Lock()
	w.seen[c.Name()]++
	w.ids[c.ID] = true
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(msg.Context()), testLimit)
	defer cancel()
	if err := w.do(ctx, c); err != nil && ctx.Err() == nil && !errors.Is(err, bus.ErrClosed) {
		w.t.Errorf("%s: %v", c.Name(), err)
	}
	msg.Ack()
}

// say appends an event unless the target has its outcome.
func (w *worker) say(ctx context.Context, c *command.Command, final bool, data event.Data) error {
	op := c.Data.Header().Operation
	op.Final = final
	*data.Header() = event.At(c.Address(), op)
	for {
		after, err := w.bus.LastSequence(ctx, c.Address())
		if err != nil {
			return err
		}
		if err := w.view.Wait(ctx, after); err != nil {
			return err
		}
		known, err := w.view.Operation(c.Address().Organization, c.Address().Workspace, op.ID)
		if err == nil {
			if g := jobs.Reported(known, op.Target); g != nil && g.Status != projections.StatusRunning {
				return nil
			}
		}
		e := &event.Event{ID: c.ID + "-" + data.EventName(), Time: time.Now(), Causation: c.ID, Data: data}
		if _, err = w.bus.Append(ctx, after, e); !errors.Is(err, bus.ErrConflict) {
			return err
		}
	}
}

// opened opens the secrets that a command refers to.
func (w *worker) opened(ctx context.Context, c *command.Command, ref string) error {
	if ref == "" {
		return nil
	}
	plain, err := w.vault.Open(ctx, c.Address(), ref)
	if err != nil {
		return fmt.Errorf("open the secret: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets = append(w.secrets, string(plain))
	return nil
}

func (w *worker) do(ctx context.Context, c *command.Command) error {
	switch d := c.Data.(type) {
	case *command.ConnectSource:
		return w.connect(ctx, c, d)
	case *command.TestConnection:
		if err := w.opened(ctx, c, d.SecretRef); err != nil {
			return err
		}
		w.slow(string(d.Config))
		steps := []event.TestStep{{Name: "resolve", Status: "ok"}, {Name: "connect", Status: "ok", DurationMS: 1}}
		if strings.Contains(string(d.Config), "unreachable") {
			steps[1].Status, steps[1].Message = "failed", "no route"
			return w.say(ctx, c, true, &event.ConnectionTested{Connector: d.Connector, Reason: event.ReasonUnreachable, Message: "the host cannot be reached", Steps: steps})
		}
		return w.say(ctx, c, true, &event.ConnectionTested{Connector: d.Connector, OK: true, Message: "the source can be reached and read", Steps: steps})
	case *command.SyncSource:
		return w.sync(ctx, c, d)
	case *command.RemoveSource:
		source, err := w.view.AnySource(c.Address())
		if err == nil && d.Purge && source.Restorable() {
			return w.say(ctx, c, true, &event.SourcePurged{Name: source.Name, Removed: source.Removal.Sequence})
		}
		if err != nil || source.Removed {
			return w.say(ctx, c, true, &event.CommandRejected{Command: c.Name(), Reason: event.ReasonSourceRemoved, Message: "the source was removed"})
		}
		keep := w.keeping()
		removed := &event.SourceRemoved{Name: source.Name, Purged: d.Purge || keep == 0}
		if !removed.Purged {
			after := time.Now().Add(keep)
			removed.DestroyedAfter = &after
		}
		return w.say(ctx, c, true, removed)
	case *command.RestoreSource:
		return w.restore(ctx, c, d)
	case *command.CancelOperation:
		return w.cancel(ctx, c, d)
	case *command.RenameSource:
		return w.rename(ctx, c, d)
	case *command.ChangeSchedule:
		return w.reschedule(ctx, c, d)
	case *command.MaintainSource:
		return w.maintain(ctx, c, d)
	case *command.DiscoverSchema:
		schema, err := w.view.Schema(c.Address(), 0)
		if err != nil {
			return w.say(ctx, c, true, &event.CommandRejected{Command: c.Name(), Reason: event.ReasonSourceRemoved, Message: "the source is not there any more"})
		}
		return w.say(ctx, c, true, &event.SchemaDiscovered{Version: schema.Version + 1, Cause: "discover", Tables: schema.Tables})
	}
	return nil
}

// keepFor lets sources that are removed from now on be restored for so long.
func (w *worker) keepFor(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keep = d
}

func (w *worker) keeping() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.keep
}

func (w *worker) restore(ctx context.Context, c *command.Command, d *command.RestoreSource) error {
	source, err := w.view.AnySource(c.Address())
	if err != nil {
		return err
	}
	name := cmp.Or(d.Name, source.Name)
	refuse := func(reason event.Reason, message string) error {
		return w.say(ctx, c, true, &event.CommandRejected{Command: c.Name(), Reason: reason, Message: message})
	}
	if !source.Removed {
		return w.say(ctx, c, true, &event.SourceRestored{Name: source.Name, Unchanged: true})
	}
	if !source.Restorable() || !time.Now().Before(*source.Removal.DestroyedAfter) {
		return refuse(event.ReasonPurged, "it is destroyed")
	}
	if _, _, taken, err := w.view.FindSource(c.Address().Organization, c.Address().Workspace, c.Address().Owner, name); err != nil || taken {
		return refuse(event.ReasonConflict, "the name is taken")
	}
	return w.say(ctx, c, true, &event.SourceRestored{Name: name, Connector: source.Connector, ConfigVersion: source.ConfigVersion, Removed: source.Removal.Sequence})
}

func (w *worker) slow(text string) {
	if strings.Contains(text, "slow") {
		<-w.gate
	}
}

func (w *worker) connect(ctx context.Context, c *command.Command, d *command.ConnectSource) error {
	if err := w.opened(ctx, c, d.SecretRef); err != nil {
		return err
	}
	w.slow(string(d.Config))
	if strings.Contains(string(d.Config), "unreachable") {
		return w.say(ctx, c, true, &event.SourceConnectFailed{Name: d.Name, Type: d.Type, Connector: d.Connector, Reason: event.ReasonUnreachable, Message: "the host cannot be reached"})
	}
	version := 1
	if known, err := w.view.Source(c.Address()); err == nil {
		if known.Type != d.Type {
			return w.say(ctx, c, true, &event.SourceConnectFailed{Name: d.Name, Type: d.Type, Reason: event.ReasonConflict, Message: "the name is taken by another type"})
		}
		version = known.ConfigVersion + 1
	}
	err := w.say(ctx, c, version > 1, &event.SourceConnected{
		Name: d.Name, Type: d.Type, Connector: d.Connector, ConfigVersion: version, Config: d.Config, SecretRef: d.SecretRef, Metadata: d.Metadata,
	})
	if err != nil || version > 1 {
		return err
	}
	columns := []event.Column{{Name: "id", Type: "int64", SourceType: "bigint"}, {Name: "name", Type: "string", SourceType: "text", Nullable: true}}
	return w.say(ctx, c, true, &event.SchemaDiscovered{Version: 1, Cause: "connect", Tables: []event.Table{
		{Name: "customers", Namespace: "public", Kind: "table", PrimaryKey: []string{"id"}, Columns: columns},
		{Name: "orders", Namespace: "public", Kind: "table", PrimaryKey: []string{"id"}, Columns: columns},
	}})
}

func (w *worker) sync(ctx context.Context, c *command.Command, d *command.SyncSource) error {
	source, err := w.view.Source(c.Address())
	if err != nil {
		return err
	}
	if source.Running != nil && source.Running.SyncID != d.SyncID {
		return w.say(ctx, c, true, &event.CommandRejected{Command: c.Name(), Reason: event.ReasonAlreadySyncing, Message: "already syncing", SyncID: source.Running.SyncID})
	}
	if strings.HasPrefix(source.Name, "gone") {
		return w.say(ctx, c, true, &event.CommandRejected{Command: c.Name(), Reason: event.ReasonSecretDestroyed, Message: "the keys are gone"})
	}
	mode := d.Options.Mode
	if mode == "" {
		mode = "full_refresh"
	}
	if err := w.say(ctx, c, false, &event.SyncStarted{SyncID: d.SyncID, Attempt: 1, Mode: mode, Tables: []string{"public.customers"}}); err != nil {
		return err
	}
	if strings.HasPrefix(source.Name, "slow") {
		<-w.gate
	}
	if strings.HasPrefix(source.Name, "broken") {
		return w.say(ctx, c, true, &event.SyncFailed{SyncID: d.SyncID, Reason: event.ReasonBadData, Message: "row 12 cannot be read"})
	}
	done := &event.SyncCompleted{SyncID: d.SyncID, Status: "completed", Mode: mode, Records: 42, Bytes: 1000, DurationMS: 5, Tables: []event.TableResult{
		{Name: "customers", Namespace: "public", Status: "completed", Mode: mode, Records: 42, Bytes: 1000, Files: 1},
	}}
	if strings.HasPrefix(source.Name, "landed") {
		total := int64(42)
		done.Tables[0].SnapshotID = event.SnapshotID(5_000_000_000_000_001_000 + int64(w.count(c.Name())))
		done.Tables[0].Total, done.Tables[0].Location = &total, "file:///lake/"+c.Address().Source+"/public/customers"
	}
	if strings.HasPrefix(source.Name, "partial") {
		done.Status = "partial"
		done.Tables = append(done.Tables, event.TableResult{Name: "orders", Namespace: "public", Status: "failed", Mode: mode, Reason: event.ReasonPermission, Message: "not allowed"})
	}
	return w.say(ctx, c, true, done)
}

func (w *worker) cancel(ctx context.Context, c *command.Command, d *command.CancelOperation) error {
	source, err := w.view.Source(c.Address())
	if err != nil || source.Running == nil {
		return err
	}
	op := source.Running.Operation
	op.Final = true
	after, err := w.bus.LastSequence(ctx, c.Address())
	if err != nil {
		return err
	}
	_, err = w.bus.Append(ctx, after, &event.Event{ID: c.ID + "-cancelled", Time: time.Now(), Data: &event.SyncCancelled{
		Meta: event.At(c.Address(), op), SyncID: d.SyncID, Reason: event.ReasonCancelled, By: c.Data.Header().Operation.Actor, Message: "the sync was cancelled",
	}})
	return err
}

func (w *worker) reschedule(ctx context.Context, c *command.Command, d *command.ChangeSchedule) error {
	changed := &event.ScheduleChanged{Version: 1}
	if d.Schedule == nil {
		return w.say(ctx, c, true, changed)
	}
	s, err := schedule.Load(*d.Schedule)
	if err != nil {
		return err
	}
	at := time.Now().UTC().Truncate(time.Second)
	changed.Schedule, changed.Sentence, changed.Anchor = &s.Schedule, s.Sentence(""), &at
	if next := s.Of(c.Address().Source, at).After(at); !next.IsZero() && !s.Paused {
		changed.NextRun = &next
	}
	return w.say(ctx, c, true, changed)
}

// maintain joins nine files of the tables that are named, and fails at a source
// that is called so.
func (w *worker) maintain(ctx context.Context, c *command.Command, d *command.MaintainSource) error {
	source, err := w.view.Source(c.Address())
	if err != nil || !d.Asked {
		return w.say(ctx, c, true, &event.CommandRejected{Command: c.Name(), Reason: event.ReasonSourceRemoved, Message: "the source is not there any more"})
	}
	if strings.HasPrefix(source.Name, "empty") {
		return w.say(ctx, c, true, &event.CommandRejected{Command: c.Name(), Reason: event.ReasonNotFound, Message: "no table like that has landed of the source: sync it first"})
	}
	return w.say(ctx, c, true, &event.TableMaintained{Table: event.Maintenance{
		Name: "customers", Namespace: "public", Status: event.Maintained, Why: "9 of 9 files are small", SnapshotID: 5_000_000_000_000_001_000, Snapshot: "5000000000000001000",
		Rows: 42, FilesBefore: 9, FilesAfter: 1, BytesBefore: 900, BytesAfter: 300, DurationMS: 5,
	}})
}

func (w *worker) rename(ctx context.Context, c *command.Command, d *command.RenameSource) error {
	a := c.Address()
	source, err := w.view.Source(a)
	if err != nil {
		return w.say(ctx, c, true, &event.CommandRejected{Command: c.Name(), Reason: event.ReasonSourceRemoved, Message: "the source is not there any more"})
	}
	if _, _, taken, err := w.view.FindSource(a.Organization, a.Workspace, a.Owner, d.Name); err != nil || taken && source.Name != d.Name {
		return errors.Join(err, w.say(ctx, c, true, &event.CommandRejected{Command: c.Name(), Reason: event.ReasonConflict, Message: "the name is another source's"}))
	}
	return w.say(ctx, c, true, &event.SourceConnected{
		Name: d.Name, Type: source.Type, Connector: source.Connector, ConfigVersion: source.ConfigVersion + 1, Config: source.Config, SecretRef: source.SecretRef, Metadata: source.Metadata,
	})
}
