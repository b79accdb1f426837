package fold

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/bus/event"
)

// table is a store in memory.
type table map[string]string

func (s table) Get(k []byte) ([]byte, io.Closer, error) {
	v, found := s[string(k)]
	if !found {
		return nil, nil, nil
	}
	return []byte(v), io.NopCloser(nil), nil
}

func (s table) Set(k, v []byte) error            { s[string(k)] = string(v); return nil }
func (s table) SetText(k string, v []byte) error { s[k] = string(v); return nil }
func (s table) Delete(k []byte) error            { delete(s, string(k)); return nil }

// story is the life of a source: connected, synced, removed, restored.
func story() (all []*event.Event) {
	a := event.Address{Organization: "acme", Workspace: "w1", Owner: "ann", Source: "src_1"}
	at := func(op, kind string) event.Meta {
		return event.At(a, event.Operation{ID: op, Kind: kind, Targets: 1, Final: true})
	}
	until := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	total := int64(7)
	landed := event.TableResult{Name: "t", Status: "completed", Mode: "full_refresh", Records: 7, Total: &total, SnapshotID: 5}
	for i, d := range []event.Data{
		&event.SourceConnected{Meta: at("op_1", "connect"), Name: "a", Type: "csv", Connector: "file", ConfigVersion: 1},
		&event.SchemaDiscovered{Meta: at("op_1", "connect"), Version: 1, Tables: []event.Table{{Name: "t"}}},
		&event.SyncStarted{Meta: at("op_2", "sync"), SyncID: "syn_1", Attempt: 1, Mode: "full_refresh"},
		&event.SyncProgressed{Meta: at("op_2", "sync"), SyncID: "syn_1", Table: landed},
		&event.SyncCompleted{Meta: at("op_2", "sync"), SyncID: "syn_1", Status: "completed", Tables: []event.TableResult{landed}},
		&event.SourceRemoved{Meta: at("op_3", "remove"), Name: "a", DestroyedAfter: &until},
		&event.SourceRestored{Meta: at("op_4", "restore"), Name: "a"},
	} {
		all = append(all, &event.Event{ID: fmt.Sprint("id-", i), Sequence: uint64(i + 1), Time: until.Add(time.Duration(i) * time.Second), Data: d})
	}
	return all
}

func folded(t *testing.T, size int, fresh bool) table {
	t.Helper()
	store, cache := table{}, NewCache(nil)
	for events := story(); len(events) > 0; {
		n := min(size, len(events))
		b := cache.Begin(store, store, events[0].Sequence-1, true)
		for _, e := range events[:n] {
			if err := b.Fold(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Flush(); err != nil {
			t.Fatal(err)
		}
		if last := events[n-1].Sequence; b.Position != last || !b.Touched || len(b.Changed) != 1 {
			t.Errorf("a batch up to %d reaches %d, touched %v, with %d sources; want 1", last, b.Position, b.Touched, len(b.Changed))
		}
		if events = events[n:]; fresh {
			cache = NewCache(nil)
		}
	}
	maps.DeleteFunc(store, func(k, _ string) bool { return k[0] == 'b' }) // marks of batches
	return store
}

// TestAnyBatches: the same events leave the same keys and values, whatever the
// batches, and whether what was decoded is kept between them.
func TestAnyBatches(t *testing.T) {
	want := folded(t, len(story()), false)
	if len(want) < 15 {
		t.Fatalf("only %d keys", len(want))
	}
	for size := 1; size < len(story()); size++ {
		for _, fresh := range []bool{false, true} {
			got := folded(t, size, fresh)
			for k := range maps.Keys(want) {
				if got[k] != want[k] {
					t.Errorf("batches of %d, fresh=%v: %q holds\n%q, want\n%q", size, fresh, k, got[k], want[k])
				}
			}
			if len(got) != len(want) {
				t.Errorf("batches of %d, fresh=%v: %d keys, want %d", size, fresh, len(got), len(want))
			}
		}
	}
}

// TestNoClock: nothing here asks what time it is or waits for one.
func TestNoClock(t *testing.T) {
	clock := map[string]bool{"Now": true, "Since": true, "Until": true, "After": true, "AfterFunc": true, "Sleep": true, "Tick": true, "NewTimer": true, "NewTicker": true}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && clock[s.Sel.Name] {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
					t.Errorf("%s uses time.%s: what is folded must not depend on when", set.Position(n.Pos()), s.Sel.Name)
				}
			}
			return true
		})
	}
}

// endsTarget says of every event whether it tells of its operation's target, and
// so is its outcome where it is marked as final. Events without a place here are
// those that nobody has thought of.
var endsTarget = map[string]bool{
	"ConnectionTested": true, "SourceConnected": true, "SourceConnectFailed": true, "SchemaDiscovered": true, "CommandRejected": true,
	"SyncCompleted": true, "SyncFailed": true, "SyncCancelled": true, "TableVerified": true, "TableMaintained": true,
	"ScheduleChanged": true, "ScheduleFired": true, "ScheduleSkipped": false, "ScheduleMissed": true,
	"SourceRemoved": true, "SourceRestored": true, "SourcePurged": true, "SourceDestroyed": true,
	"SyncStarted": true, "SyncProgressed": false, "ChangesLanded": false, "ChangesLagging": false, "ChangesGivenUp": false, "OperationAccepted": false,
	"WebhookCreated": false, "WebhookRotated": false, "WebhookDeleted": false, "RequestRefused": false,
	"TokenCreated": false, "TokenRevoked": false, "TokenUsed": false,
}

// TestEveryEventIsFolded folds one of every event that there is into the history
// of a source that syncs: each changes what it has to, and none is passed in
// silence.
func TestEveryEventIsFolded(t *testing.T) {
	for _, d := range event.All() {
		name := d.EventName()
		want, thought := endsTarget[name]
		if !thought {
			t.Errorf("endsTarget does not say whether %s tells of the target of its operation", name)
		}
		before := story()[:3] // connected, discovered, and a sync has started
		*d.Header() = event.At(before[0].Address(), event.Operation{ID: "op_9", Kind: "sync", Targets: 1, Final: true})
		if id := reflect.ValueOf(d).Elem().FieldByName("SyncID"); id.IsValid() {
			id.SetString("syn_1")
		}
		store := table{}
		b := NewCache(nil).Begin(store, store, 0, true)
		for _, e := range append(before, &event.Event{ID: "id", Sequence: 4, Time: before[2].Time, Data: d}) {
			if err := b.Fold(e); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if ended := slices.ContainsFunc(b.Ended, func(key string) bool { return strings.Contains(key, "op_9") }); ended != want {
			t.Errorf("%s ends its target: %v, want %v", name, ended, want)
		}
	}
}
