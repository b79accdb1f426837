package handlers

import (
	"slices"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

func (w *world) rename(name string) projections.Operation {
	w.t.Helper()
	return w.do(&command.RenameSource{Meta: w.operation(event.KindRename), Name: name})
}

// called returns the source that has the name, and whether one has it.
func (w *world) called(name string) (projections.Source, bool) {
	w.t.Helper()
	s, _, found, err := w.store.FindSource("acme", "w1", "ada", name)
	w.check(err)
	return s, found
}

// TestRename gives a source another name and finds everything else where it was,
// also while its server is down.
func TestRename(t *testing.T) {
	w := newWorld(t, quick())
	w.source.put("orders", 5)
	w.connect()
	w.do(w.syncCommand(command.SyncOptions{}))
	before := last[*event.SourceConnected](w)
	opened := w.source.timesOpened()
	if op := w.rename("store"); op.Status != projections.StatusCompleted {
		t.Fatalf("%+v", op.Targets)
	}
	after := last[*event.SourceConnected](w)
	if after.Name != "store" || after.ConfigVersion != 2 || after.SecretRef != before.SecretRef || string(after.Config) != string(before.Config) || !after.Operation.Final {
		t.Errorf("%+v", after)
	}
	if w.source.timesOpened() != opened {
		t.Error("the source was asked")
	}
	w.wantKept(before.SecretRef, 5)
	if s, found := w.called("store"); !found || s.Address != w.address {
		t.Errorf("store is %+v, %v", s.Address, found)
	}
	if _, found := w.called("shop"); found {
		t.Error("the old name still leads somewhere")
	}
	if op := w.rename("store"); op.Status != projections.StatusCompleted || !last[*event.SourceConnected](w).Unchanged {
		t.Errorf("the same name again: %+v", op.Targets)
	}
	if op := w.do(w.syncCommand(command.SyncOptions{})); op.Status != projections.StatusCompleted {
		t.Errorf("a sync under the new name: %+v", op.Targets)
	}
}

// TestRenamedNameIsFree connects another source under the name that one gave up:
// it is another source, and neither takes the other's place.
func TestRenamedNameIsFree(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	late := w.connectCommand(`{"host":"late"}`, `{"password":"late"}`) // on its way to shop as it was
	w.rename("store")
	w.wantRefused(w.do(late), event.ReasonConflict, "renamed")
	if w.idle(); !w.destroyed(late.SecretRef) || w.destroyed(last[*event.SourceConnected](w).SecretRef) {
		t.Error("a connect that came too late kept the wrong secrets")
	}
	first := w.address
	_, incarnation, _, err := w.store.FindSource("acme", "w1", "ada", "shop")
	w.check(err)
	w.address.Source = projections.SourceID("acme", "w1", "ada", "shop", incarnation)
	if w.address == first {
		t.Fatal("the next source of the name would have the id of the renamed one")
	}
	w.connect()
	w.wantRefused(w.rename("store"), event.ReasonConflict, first.Source)
	if op := w.rename("stall"); op.Status != projections.StatusCompleted {
		t.Fatalf("%+v", op.Targets)
	}
	if op := w.do(&command.RemoveSource{Meta: w.operation(event.KindCleanup)}); op.Status != projections.StatusCompleted {
		t.Fatalf("%+v", op.Targets)
	}
	w.wantRefused(w.rename("stand"), event.ReasonSourceRemoved, "not there")
	w.address = first
	if op := w.rename("stall"); op.Status != projections.StatusCompleted { // free again
		t.Fatalf("%+v", op.Targets)
	}
	all, _, err := w.store.Sources(projections.ListQuery{Organization: "acme", Workspace: "w1", Owner: "ada"})
	w.check(err)
	names := []string{}
	for _, s := range all {
		names = append(names, s.Name)
	}
	if !slices.Equal(names, []string{"stall"}) {
		t.Errorf("listed are %v", names)
	}
}

// TestUpdateOfAnOldVersion refuses a configuration that was made from another
// than the newest, whichever change came between, and finishes one that is its
// own after a lost worker.
func TestUpdateOfAnOldVersion(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	update := func(config, secret string, base int) *command.ConnectSource {
		c := w.connectCommand(config, secret)
		c.Base = base
		return c
	}
	rotated := update(`{"host":"a"}`, `{"password":"hunter3"}`, 1)
	if op := w.do(rotated); op.Status != projections.StatusCompleted {
		t.Fatalf("%+v", op.Targets)
	}
	if e := last[*event.SourceConnected](w); e.ConfigVersion != 2 || e.SecretRef != rotated.SecretRef {
		t.Errorf("%+v", e)
	}
	stale := update(`{"host":"b"}`, `{"password":"hunter2"}`, 1)
	w.wantRefused(w.do(stale), event.ReasonConflict, "changed meanwhile, to version 2")
	if w.idle(); !w.destroyed(stale.SecretRef) || w.destroyed(rotated.SecretRef) {
		t.Error("a refused update kept the wrong secrets")
	}
	// The worker dies between the settings and the schema.
	w.source.put("customers", 3)
	w.seams.kill("appended SourceConnected", 1)
	if op := w.do(update(`{"host":"c"}`, `{"password":"hunter4"}`, 2)); op.Status != projections.StatusCompleted {
		t.Errorf("an update whose worker died: %+v", op.Targets)
	}
	if e := last[*event.SchemaDiscovered](w); e.Version != 2 || !e.Operation.Final {
		t.Errorf("%+v", e)
	}
}

func (f *fakeSource) timesOpened() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened
}
