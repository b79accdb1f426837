package fold

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// tale folds events of one source, second by second.
type tale struct {
	t     *testing.T
	store table
	cache *Cache
	n     uint64
	at    time.Time
}

func newTale(t *testing.T) *tale {
	return &tale{t: t, store: table{}, cache: NewCache(nil), at: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)}
}

func (s *tale) fold(all ...event.Data) layout.Source {
	s.t.Helper()
	var src layout.Source
	for _, d := range all {
		s.n++
		s.at = s.at.Add(time.Second)
		b := s.cache.Begin(s.store, s.store, s.n-1, true)
		if err := b.Fold(&event.Event{ID: "id", Sequence: s.n, Time: s.at, Data: d}); err != nil {
			s.t.Fatal(err)
		}
		src = b.source.v
		if err := b.Flush(); err != nil {
			s.t.Fatal(err)
		}
	}
	return src
}

func ofSource(op string) event.Meta {
	return event.At(event.Address{Organization: "acme", Workspace: "w1", Owner: "ann", Source: "src_1"}, event.Operation{ID: op, Kind: "sync", Targets: 1, Final: true})
}

// A continuous schedule is due again after each end of its sync: later after each
// failure, from the first pause on once changes have landed, and not at all after a
// cancel, until it is resumed.
func TestAContinuousScheduleIsDueAgain(t *testing.T) {
	s := newTale(t)
	due := s.at.Add(time.Minute)
	goesOn := func(paused bool) *event.ScheduleChanged {
		c := &event.ScheduleChanged{Meta: ofSource("op_s"), Version: 1, Schedule: &event.Schedule{Continuous: true, Missed: "once", Overlap: "attach", Paused: paused}}
		if !paused {
			c.NextRun = &due
		}
		return c
	}
	s.fold(&event.SourceConnected{Meta: ofSource("op_1"), Name: "a", Type: "csv", Connector: "file", ConfigVersion: 1}, goesOn(false))
	run := func(id string, more ...event.Data) layout.Source {
		t.Helper()
		all := append([]event.Data{
			&event.ScheduleFired{Meta: ofSource("op_" + id), Version: 1, Outcome: event.RunStarted, SyncID: id},
			&event.SyncStarted{Meta: ofSource("op_" + id), SyncID: id, Attempt: 1, Mode: "cdc"},
		}, more...)
		return s.fold(all...)
	}
	failed := func(id string) event.Data {
		return &event.SyncFailed{Meta: ofSource("op_" + id), SyncID: id, Reason: event.ReasonSchemaChanged, Message: "lost"}
	}
	wantPause := func(src layout.Source, want time.Duration) {
		t.Helper()
		if next := src.Schedule.NextRun; next == nil || next.Sub(s.at) != want {
			t.Errorf("due %v after %s, want %v later", next, s.at, want)
		}
	}
	if src := run("s0"); src.Schedule.NextRun != nil {
		t.Errorf("due while it runs: %v", src.Schedule.NextRun)
	}
	wantPause(s.fold(failed("s0")), 5*time.Second)
	for i, want := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
		id := "s" + string(rune('a'+i))
		wantPause(run(id, failed(id)), want*time.Second)
	}
	wantPause(run("t1", &event.ChangesLanded{Meta: ofSource("op_t1"), SyncID: "t1", Changes: event.Changes{Position: "1", FreshUntil: &due}}, failed("t1")), 5*time.Second)
	wantPause(run("t2", &event.SyncCompleted{Meta: ofSource("op_t2"), SyncID: "t2", Status: "completed"}), time.Second)
	src := run("t3", &event.SyncCancelled{Meta: ofSource("op_t3"), SyncID: "t3", Reason: event.ReasonCancelled})
	if !src.Schedule.Paused || src.Schedule.NextRun != nil {
		t.Errorf("cancelled: paused %v, due %v", src.Schedule.Paused, src.Schedule.NextRun)
	}
	resumed := goesOn(false)
	resumed.Version = 2
	if src = s.fold(resumed); src.Schedule.Paused || src.Schedule.NextRun == nil {
		t.Errorf("resumed: paused %v, due %v", src.Schedule.Paused, src.Schedule.NextRun)
	}
}

// Where a source stands in its log is in its document, of which it makes no version;
// what the log went on without stays marked until its changes are followed again.
func TestWhereASourceStands(t *testing.T) {
	s := newTale(t)
	total := int64(3)
	result := event.TableResult{Name: "t", Status: "running", Mode: "cdc", Total: &total, Position: "1"}
	s.fold(&event.SourceConnected{Meta: ofSource("op_1"), Name: "a", Type: "csv", Connector: "file", ConfigVersion: 1},
		&event.SyncStarted{Meta: ofSource("op_2"), SyncID: "s1", Attempt: 1, Mode: "cdc"},
		&event.SyncProgressed{Meta: ofSource("op_2"), SyncID: "s1", Table: result})
	versions := func() (n int) {
		for k := range s.store {
			if k[0] == layout.KeyHistory {
				n++
			}
		}
		return n
	}
	before := versions()
	src := s.fold(&event.ChangesLanded{Meta: ofSource("op_2"), SyncID: "s1", Changes: event.Changes{Position: "7"}})
	if src.Changes == nil || src.Changes.Position != "7" || versions() != before {
		t.Errorf("stands at %+v, %d versions more", src.Changes, versions()-before)
	}
	if doc := string(s.store[string(layout.CurrentKey(&src))]); !strings.Contains(doc, `"changes":{"position":"7"`) {
		t.Errorf("the document is %q", doc)
	}
	aside := func(r event.TableResult) bool {
		t.Helper()
		s.fold(&event.SyncProgressed{Meta: ofSource("op_2"), SyncID: "s1", Table: r})
		for k, v := range s.store {
			if k[0] == layout.KeyLanded {
				l, err := layout.DecodeLanded([]byte(v))
				if err != nil {
					t.Fatal(err)
				}
				return l.SetAside
			}
		}
		t.Fatal("nothing has landed")
		return false
	}
	lost := event.TableResult{Name: "t", Status: "failed", Mode: "cdc", SetAside: true}
	whole := event.TableResult{Name: "t", Status: "running", Mode: "cdc", Total: &total}
	if !aside(lost) || !aside(whole) || aside(result) {
		t.Error("a table that was set aside is to be read whole until it is followed again")
	}
	if src = s.fold(&event.ChangesGivenUp{Meta: ofSource("op_2"), SyncID: "s1", Reason: event.ReasonLimit, Message: "too much"}); src.Changes.Position != "" || src.Changes.Message != "too much" {
		t.Errorf("given up: %+v", src.Changes)
	}
}

// A source that is moved has no position from that event on, and its former server and
// settings are kept until that server is told of, however the source goes on meanwhile.
func TestAMovedSourceHasNoPosition(t *testing.T) {
	s := newTale(t)
	landed := func(position string) *event.ChangesLanded {
		return &event.ChangesLanded{Meta: ofSource("op_2"), SyncID: "s1", Changes: event.Changes{Position: position}}
	}
	connected := func(version int, host string, moved bool) *event.SourceConnected {
		return &event.SourceConnected{
			Meta: ofSource("op_1"), Name: "a", Type: "database", Connector: "postgresql", ConfigVersion: version,
			Config: json.RawMessage(`{"host":"` + host + `"}`), SecretRef: "secrets of " + host, Moved: moved,
		}
	}
	s.fold(connected(1, "one", false), &event.SyncStarted{Meta: ofSource("op_2"), SyncID: "s1", Attempt: 1, Mode: "cdc"}, landed("1/1"))
	if src := s.fold(connected(2, "alias", false)); src.Changes.Position != "1/1" || src.Moved != 0 || len(src.Left) != 0 {
		t.Fatalf("it goes by another name: %+v, %+v", src.Changes, src.Left)
	}
	src := s.fold(connected(3, "two", true))
	first := src.Moved
	if src.Changes.Position != "" || first != s.n || len(src.Left) != 1 || src.Left[0].SecretRef != "secrets of alias" || src.Left[0].Position != "1/1" {
		t.Fatalf("moved at %d: %+v, %+v", s.n, src.Changes, src.Left)
	}
	src = s.fold(landed("2/2"), connected(4, "three", true))
	if len(src.Left) != 2 || src.Left[1].Position != "2/2" || src.Left[1].Moved != s.n || src.Changes.Position != "" {
		t.Fatalf("moved again: %+v, %+v", src.Changes, src.Left)
	}
	gone := func(left uint64) *event.ChangesGivenUp {
		return &event.ChangesGivenUp{Meta: ofSource("op_1"), Released: true, Message: "it keeps nothing", Left: left}
	}
	src = s.fold(landed("3/3"), gone(first), gone(first))
	if len(src.Left) != 1 || src.Changes.Position != "3/3" {
		t.Fatalf("the first is done with: %+v, %+v", src.Changes, src.Left)
	}
	if src = s.fold(&event.ChangesGivenUp{Meta: ofSource("op_1"), Message: "given up"}, gone(src.Moved)); len(src.Left) != 0 || src.Changes.Message != "it keeps nothing" {
		t.Fatalf("both are done with: %+v, %+v", src.Changes, src.Left)
	}
}

// That a server may keep a log is known from the beginning of a sync that follows one, until it
// has let the log go while none runs, or the source has left it.
func TestAServerMayKeepALog(t *testing.T) {
	s := newTale(t)
	n := 0
	started := func(mode string) *event.SyncStarted {
		n++
		return &event.SyncStarted{Meta: ofSource("op_2"), SyncID: fmt.Sprint("s", n), Attempt: 1, Mode: mode}
	}
	ended := func() *event.SyncFailed {
		return &event.SyncFailed{Meta: ofSource("op_2"), SyncID: fmt.Sprint("s", n)}
	}
	given := func(released bool) *event.ChangesGivenUp {
		return &event.ChangesGivenUp{Meta: ofSource("op_3"), Released: released, Message: "given up"}
	}
	connected := func(moved bool) *event.SourceConnected {
		return &event.SourceConnected{Meta: ofSource("op_1"), Name: "a", Type: "database", Connector: "postgresql", ConfigVersion: 1, Moved: moved}
	}
	may := func(why string, want uint64, data ...event.Data) {
		t.Helper()
		src := s.fold(data...)
		if src.Taken == nil && want != 0 || src.Taken != nil && (src.Taken.Sequence != want || src.Running == nil && src.Taken.At.Before(src.LastSync.StartedAt)) {
			t.Fatalf("%s: %+v at %d, want %d", why, src.Taken, s.n, want)
		}
	}
	may("a whole read", 0, connected(false), started("full_refresh"), ended())
	may("a sync has begun", s.n+1, started("cdc"))
	began := s.n
	may("the log was given up, and is taken up anew", began, given(true))
	may("the sync has ended", began, ended())
	may("the server was not reached", began, given(false))
	may("it has let go", 0, given(true))
	may("moved while a sync runs", s.n+1, started("cdc"), connected(true))
	may("moved while none runs", 0, ended(), connected(true))
}
