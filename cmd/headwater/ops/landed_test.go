package ops

import (
	"testing"
	"time"

	"headwater/bus/event"
)

// TestFreshUntil: a source is as fresh as the oldest of its tables.
func TestFreshUntil(t *testing.T) {
	ended := time.Date(2026, 11, 23, 10, 5, 0, 0, time.UTC)
	first, second := ended.Add(-4*time.Minute), ended.Add(-2*time.Minute)
	for name, c := range map[string]struct {
		tables []event.TableResult
		want   time.Time
	}{
		"of a later build": {nil, ended},
		"two tables":       {[]event.TableResult{{FreshUntil: &second}, {FreshUntil: &first}, {Status: "skipped"}}, first},
	} {
		if got := freshUntil(&event.Event{Time: ended, Data: &event.SyncCompleted{Tables: c.tables}}); !got.Equal(c.want) {
			t.Errorf("%s: fresh until %s, want %s", name, got, c.want)
		}
	}
}

// TestFreshUntilOfAnother: a sync whose rows another one landed has no tables. It is as fresh
// as that one, and not as its own end, which is later.
func TestFreshUntilOfAnother(t *testing.T) {
	ended := time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)
	landed := ended.Add(-3 * time.Second)
	got := freshUntil(&event.Event{Time: ended, Data: &event.SyncCompleted{Tables: []event.TableResult{}, Changes: &event.Changes{FreshUntil: &landed}}})
	if !got.Equal(landed) {
		t.Errorf("fresh until %s, want %s", got, landed)
	}
}

// TestLogsOfChanges: what is told of a log is its sources' worst, and goes with the
// sync that told it.
func TestLogsOfChanges(t *testing.T) {
	o := New(Config{Connectors: []string{"postgresql"}, PerSource: true, Describe: func(event.Address) (string, string) { return "shop", "postgresql" }})
	meta := func(source string) event.Meta {
		return event.At(event.Address{Organization: "acme", Workspace: "w1", Owner: "ada", Source: source}, event.Operation{ID: "op_1", Kind: event.KindSync})
	}
	stands := func(source string, seconds, kept int64) {
		o.count(work{}, "postgresql", &event.Event{Data: &event.ChangesLanded{Meta: meta(source), SyncID: "syn_" + source, Changes: event.Changes{Position: "1", BehindSeconds: &seconds, RetainedBytes: &kept}}})
	}
	value := func(name string) (worst float64, series int) {
		t.Helper()
		families, err := o.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name {
				for _, m := range f.GetMetric() {
					worst, series = max(worst, m.GetGauge().GetValue(), m.GetCounter().GetValue()), series+1
				}
			}
		}
		return worst, series
	}
	stands("a", 7, 100)
	stands("b", 3, 900)
	if worst, n := value("headwater_changes_behind_seconds"); worst != 7 || n != 1 {
		t.Errorf("behind %v in %d series", worst, n)
	}
	if worst, _ := value("headwater_slot_retained_bytes"); worst != 900 {
		t.Errorf("kept %v", worst)
	}
	if _, n := value("headwater_source_changes_behind_seconds"); n != 2 {
		t.Errorf("%d sources", n)
	}
	o.count(work{}, "postgresql", &event.Event{Data: &event.SyncStarted{Meta: meta("a"), SyncID: "syn_a", Attempt: 1}})
	for _, inserted := range []int64{4, 10} {
		o.count(work{}, "postgresql", &event.Event{Data: &event.SyncProgressed{Meta: meta("a"), SyncID: "syn_a", Table: event.TableResult{Name: "t", Mode: "cdc", Inserted: inserted, Deleted: 1}}})
	}
	if worst, _ := value("headwater_changes_total"); worst != 10 {
		t.Errorf("%v changes", worst)
	}
	o.count(work{}, "postgresql", &event.Event{Data: &event.SyncFailed{Meta: meta("a"), SyncID: "syn_a", Reason: event.ReasonUnreachable}})
	if worst, _ := value("headwater_changes_behind_seconds"); worst != 3 {
		t.Errorf("behind %v once a has ended", worst)
	}
}
