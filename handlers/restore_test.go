package handlers

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/seal"
	"headwater/handlers/landing"
	"headwater/projections"
)

// keeping are options under which removed sources can be restored.
func keeping(d time.Duration) Options {
	o := quick()
	o.Keep = d
	return o
}

var incremental = command.SyncOptions{Mode: landing.Incremental, BatchSize: 10}

func (w *world) remove(purge bool) projections.Operation {
	w.t.Helper()
	return w.do(&command.RemoveSource{Meta: w.operation(event.KindCleanup), Purge: purge})
}

func (w *world) restore(name string) projections.Operation {
	w.t.Helper()
	return w.do(&command.RestoreSource{Meta: w.operation(event.KindRestore), Name: name})
}

func (w *world) wantRestored() {
	w.t.Helper()
	if op := w.restore(""); op.Status != projections.StatusCompleted {
		w.t.Fatalf("restore: %s %+v", op.Status, op.Targets)
	}
}

func (w *world) wantRefused(op projections.Operation, reason event.Reason, says string) {
	w.t.Helper()
	g := op.Targets[0]
	if op.Status != projections.StatusFailed || g.Reason != reason || !strings.Contains(g.Message, says) {
		w.t.Errorf("%s, %s: %q, want %s with %q", op.Status, g.Reason, g.Message, reason, says)
	}
}

// wantKept checks that the source's secret opens and its table holds the rows.
func (w *world) wantKept(ref string, rows int64) {
	w.t.Helper()
	if _, err := w.vault.Open(w.t.Context(), w.address, ref); err != nil {
		w.t.Errorf("open the secret: %v", err)
	}
	w.wantLanded("orders", 0, rows)
}

// wantDestroyed waits until neither key nor table is left.
func (w *world) wantDestroyed(ref string) {
	w.t.Helper()
	w.eventually("keys and tables to be destroyed", func() bool {
		_, err := w.vault.Open(w.t.Context(), w.address, ref)
		tables, lakeErr := w.lake.Tables(w.t.Context(), w.address)
		return errors.Is(err, seal.ErrDestroyed) && lakeErr == nil && len(tables) == 0
	})
}

func (w *world) secretRef() string {
	w.t.Helper()
	return last[*event.SourceConnected](w).SecretRef
}

func TestRestoredSourceGoesOnWhereItStood(t *testing.T) {
	w := newWorld(t, keeping(time.Hour))
	passwords := []string{}
	w.source.onOpen = func(password string) error { passwords = append(passwords, password); return nil }
	w.connect()
	w.source.put("orders", 50)
	w.do(w.syncCommand(incremental))
	ref := w.secretRef()
	w.remove(false)
	w.idle()
	removed := last[*event.SourceRemoved](w)
	if removed.Purged || removed.DestroyedAfter == nil || time.Until(*removed.DestroyedAfter) < 59*time.Minute {
		t.Fatalf("removed: %+v", removed)
	}
	if _, err := w.store.Source(w.address); !errors.Is(err, projections.ErrNotFound) {
		t.Errorf("a removed source is read: %v", err)
	}
	w.wantRefused(w.do(w.syncCommand(incremental)), event.ReasonSourceRemoved, "not there")
	w.wantRefused(w.remove(false), event.ReasonSourceRemoved, "not there")
	w.wantKept(ref, 50)

	w.source.put("orders", 100)
	w.wantRestored()
	restored := last[*event.SourceRestored](w)
	if restored.Name != "shop" || restored.Connector != "fake" || restored.ConfigVersion != 1 || restored.SchemaVersion != 1 || restored.Removed == 0 || restored.Unchanged {
		t.Errorf("restored: %+v", restored)
	}
	sent := w.source.sent("orders")
	if op := w.do(w.syncCommand(incremental)); op.Status != projections.StatusCompleted {
		t.Fatalf("sync: %+v", op.Targets)
	}
	w.wantKept(ref, 100)
	if more := w.source.sent("orders") - sent; more != 50 {
		t.Errorf("the sync after it read %d rows, want the 50 new ones", more)
	}
	if p := passwords[len(passwords)-1]; !strings.Contains(p, "hunter2") {
		t.Errorf("it connected with another secret")
	}
	if op := w.restore(""); op.Status != projections.StatusCompleted || !op.Targets[0].Result.Unchanged {
		t.Errorf("restore of what is there: %+v", op.Targets)
	}
	src, _, found, err := w.store.FindSource("acme", "w1", "ada", "shop")
	if err != nil || !found || src.Address != w.address {
		t.Errorf("the name leads to %v, %v", src.Address, err)
	}
}

// A sync that runs while its source is removed ends; after the restore the next
// one lands every row once.
func TestRestoreAfterARunningSync(t *testing.T) {
	o := keeping(time.Hour)
	o.CommitBytes = 100
	w := newWorld(t, o)
	w.connect()
	reached, release := w.hold(3)
	defer release()
	c := w.syncCommand(incremental)
	w.send(c)
	<-reached
	w.remove(false)
	if op := w.ended(c); op.Status != projections.StatusCancelled {
		t.Errorf("the sync: %s", op.Status)
	}
	w.wantRestored()
	release()
	w.idle()
	if op := w.do(w.syncCommand(incremental)); op.Status != projections.StatusCompleted {
		t.Fatalf("sync: %+v", op.Targets)
	}
	w.wantLanded("orders", 0, 100)
}

func TestRestoreIsRefused(t *testing.T) {
	w := newWorld(t, keeping(time.Hour))
	w.wantRefused(w.restore(""), event.ReasonSourceRemoved, "never connected")
	w.connect()
	w.remove(false)
	first := w.address
	next, err := w.handlers.histories.State.SourceID("acme", "w1", "ada", "shop")
	w.check(err)
	w.address.Source = next
	w.connect()
	w.address = first
	w.wantRefused(w.restore(""), event.ReasonConflict, next)
	if op := w.restore("old shop"); op.Status != projections.StatusCompleted {
		t.Fatalf("restore under another name: %+v", op.Targets)
	}
	src, _, found, err := w.store.FindSource("acme", "w1", "ada", "old shop")
	if err != nil || !found || src.Address != first {
		t.Errorf("the new name leads to %v, %v", src.Address, err)
	}
	w.wantRefused(w.restore("third shop"), event.ReasonConflict, "not removed")
	ref := w.secretRef()
	w.remove(true)
	w.wantDestroyed(ref)
	w.wantRefused(w.restore(""), event.ReasonPurged, "destroyed")
}

// The end of the grace period counts, not when somebody comes to destroy.
func TestRestoreAfterTheGracePeriod(t *testing.T) {
	w := newWorld(t, keeping(time.Nanosecond))
	w.connect()
	w.remove(false)
	w.wantRefused(w.restore(""), event.ReasonPurged, "ended at")
}

func TestPurgeOfWhatIsRemovedAlready(t *testing.T) {
	w := newWorld(t, keeping(time.Hour))
	w.connect()
	w.do(w.syncCommand(incremental))
	ref := w.secretRef()
	w.remove(false)
	w.wantKept(ref, 100)
	if op := w.remove(true); op.Status != projections.StatusCompleted {
		t.Fatalf("purge: %+v", op.Targets)
	}
	w.wantDestroyed(ref)
	w.wantRefused(w.remove(true), event.ReasonSourceRemoved, "not there")
}

// Any number of nodes sweep; what is due is purged once, what was restored is
// left alone.
func TestSweepPurgesWhatIsDue(t *testing.T) {
	o := keeping(100 * time.Millisecond)
	o.SweepEvery = 10 * time.Millisecond
	w := newWorld(t, o)
	for range 3 {
		go w.handlers.Sweep(t.Context())
	}
	w.connect()
	w.do(w.syncCommand(incremental))
	ref := w.secretRef()
	w.seams.kill("destroyed", 1)
	w.remove(false)
	w.wantDestroyed(ref)
	w.idle()
	w.wantOutcomes("SourceConnected", "SchemaDiscovered", "SyncStarted", "SyncCompleted", "SourceRemoved", "SourcePurged", "SourceDestroyed")
	if purged := last[*event.SourcePurged](w); purged.Operation.Kind != event.KindPurge || purged.Removed != w.events(w.address)[len(w.events(w.address))-3].Sequence {
		t.Errorf("purged: %+v", purged)
	}
	due, err := w.store.Due(time.Now().Add(time.Hour))
	if err != nil || len(due) != 0 {
		t.Errorf("still due: %v, %v", due, err)
	}
}

func (w *world) purgeCommand(removed uint64) *command.PurgeSource {
	c := &command.PurgeSource{Meta: w.operation(event.KindPurge), Removed: removed}
	c.Deadline = time.Time{}
	return c
}

// A purge that comes late, of a removal that was undone, destroys nothing.
func TestPurgeLeavesRestoredSourcesAlone(t *testing.T) {
	w := newWorld(t, keeping(time.Hour))
	w.connect()
	w.do(w.syncCommand(incremental))
	ref := w.secretRef()
	w.remove(false)
	w.wantRestored()
	undone := last[*event.SourceRestored](w).Removed
	purge := func() {
		handed := w.seams.deliveries("PurgeSource")
		w.send(w.purgeCommand(undone))
		w.eventually("the purge to be handled", func() bool { return w.seams.deliveries("PurgeSource") > handed })
		w.idle()
	}
	purge()
	w.wantKept(ref, 100)
	w.remove(false) // another removal
	purge()
	w.wantKept(ref, 100)
	w.wantRestored()
}

// Restore and purge decide from the same state at once: the log takes one, and
// the other one sees it.
func TestRestoreAndPurgeRace(t *testing.T) {
	t.Run("purge first", func(t *testing.T) {
		w := newWorld(t, keeping(time.Hour))
		w.connect()
		ref := w.secretRef()
		w.remove(false)
		w.faults.append = func(e *event.Event) error {
			if _, restores := e.Data.(*event.SourceRestored); restores && !slices.Contains(w.names(w.address), "SourcePurged") {
				w.remove(true)
			}
			return nil
		}
		w.wantRefused(w.restore(""), event.ReasonPurged, "destroyed")
		w.wantDestroyed(ref)
		if slices.Contains(w.names(w.address), "SourceRestored") {
			t.Errorf("both won: %v", w.names(w.address))
		}
	})
	t.Run("restore first", func(t *testing.T) {
		w := newWorld(t, keeping(50*time.Millisecond))
		w.connect()
		w.do(w.syncCommand(incremental))
		ref := w.secretRef()
		w.remove(false)
		removed := w.events(w.address)
		at := removed[len(removed)-1].Sequence
		// A node with a slower clock restores it when the purge is decided.
		w.faults.append = func(e *event.Event) error {
			if _, purges := e.Data.(*event.SourcePurged); purges {
				_, err := w.bus.Append(t.Context(), at, &event.Event{ID: "restored-elsewhere", Time: time.Now(), Data: &event.SourceRestored{
					Meta: w.operation(event.KindRestore).Meta, Name: "shop", Type: "fake", Connector: "fake", ConfigVersion: 1, Removed: at,
				}})
				return err
			}
			return nil
		}
		w.eventually("the grace period to pass", func() bool { due, err := w.store.Due(time.Now()); return err == nil && len(due) == 1 })
		w.check(w.handlers.sweeper.Sweep(t.Context()))
		w.eventually("the restore", func() bool { return slices.Contains(w.names(w.address), "SourceRestored") })
		w.idle()
		w.wantKept(ref, 100)
		if slices.Contains(w.names(w.address), "SourcePurged") {
			t.Errorf("both won: %v", w.names(w.address))
		}
	})
}

// A worker that dies at any step of a removal, a restore or a purge is followed
// by one that finishes.
func TestUndoSurvivesItsWorker(t *testing.T) {
	for step, gone := range map[string]bool{
		"appended SourceRemoved": false, "appended SourceRestored": false, "appended SourcePurged": true, "destroyed": true,
	} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t, keeping(time.Hour))
			w.connect()
			w.do(w.syncCommand(incremental))
			ref := w.secretRef()
			w.seams.kill(step, 1)
			w.remove(false)
			w.wantKept(ref, 100)
			if gone {
				w.remove(true)
				w.wantDestroyed(ref)
			} else {
				w.wantRestored()
				w.idle()
				w.wantKept(ref, 100)
			}
			if w.seams.killed() != 1 {
				t.Errorf("%d workers died", w.seams.killed())
			}
		})
	}
}

// A lake that is down for longer than a command is retried does not keep tables
// from being dropped when it is back.
func TestPurgeOutlastsALakeThatIsDown(t *testing.T) {
	o := keeping(time.Hour)
	o.RetryDelay = time.Millisecond
	w := newWorld(t, o)
	w.connect()
	w.do(w.syncCommand(incremental))
	ref, down := w.secretRef(), 20
	w.faults.drop = func() error {
		if down--; down >= 0 {
			return landing.ErrStorage
		}
		return nil
	}
	w.remove(true)
	w.wantDestroyed(ref)
	if down >= 0 {
		t.Errorf("%d failures were left", down)
	}
}

// A connect of the removed source that was under way leaves its keys alone.
func TestLateConnectLeavesKeysAlone(t *testing.T) {
	w := newWorld(t, keeping(time.Hour))
	w.connect()
	ref := w.secretRef()
	w.remove(false)
	late := w.connectCommand(`{"host":"b"}`, `{"password":"other"}`)
	if op := w.do(late); op.Status != projections.StatusFailed || op.Targets[0].Reason != event.ReasonConflict {
		t.Errorf("the late connect: %+v", op.Targets)
	}
	w.eventually("its secret to be forgotten", func() bool {
		_, err := w.vault.Open(t.Context(), w.address, late.SecretRef)
		return errors.Is(err, seal.ErrDestroyed)
	})
	if _, err := w.vault.Open(t.Context(), w.address, ref); err != nil {
		t.Errorf("open the source's secret: %v", err)
	}
	w.wantRestored()
}
