package reads

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
	"headwater/projections/layout"
)

// TestRowsAreExact: a JSON reader rounds nothing, and finds the columns in order.
func TestRowsAreExact(t *testing.T) {
	const whole = 1 << 53
	for _, c := range []struct {
		value any
		want  string
	}{
		{int64(whole), "9007199254740992"}, {int64(whole + 1), `"9007199254740993"`}, {int64(-whole), "-9007199254740992"}, {int64(-whole - 1), `"-9007199254740993"`},
		{int64(math.MinInt64), `"-9223372036854775808"`}, {int32(7), "7"}, {nil, "null"}, {true, "true"}, {"<a & b>", `"<a & b>"`}, {[]byte{0, 255}, `"AP8="`},
		{[]any{int64(math.MaxInt64), nil, int64(1)}, `["9223372036854775807",null,1]`},
		{map[string]any{"n": int64(math.MaxInt64), "list": []any{int64(whole + 1)}}, `{"list":["9007199254740993"],"n":"9223372036854775807"}`},
	} {
		got, err := shownRow{[]ShownColumn{{Name: "z"}, {Name: `a"<`}}, []any{c.value, int64(1)}}.MarshalJSON()
		if want := `{"z":` + c.want + `,"a\"<":1}`; err != nil || string(got) != want {
			t.Errorf("%v: %s, %v, want %s", c.value, got, err, want)
		}
	}
	if got, err := (shownRow{}).MarshalJSON(); err != nil || string(got) != "{}" {
		t.Errorf("no columns: %s, %v", got, err)
	}
	if _, err := (shownRow{[]ShownColumn{{Name: "a"}}, []any{math.NaN()}}).MarshalJSON(); err == nil {
		t.Error("a value that JSON does not have is shown")
	}
}

// TestFreshUntil: a sync of mode cdc vouches for its tables together.
func TestFreshUntil(t *testing.T) {
	early, late := time.Unix(100, 0), time.Unix(200, 0)
	for _, c := range []struct {
		name         string
		mode         string
		table, whole *time.Time // of the table, and of the source's log
		aside        bool
		want         *time.Time
	}{
		{"the log went on", command.Capture, &early, &late, false, &late},
		{"the table was read since", command.Capture, &late, &early, false, &late},
		{"the log went on without it", command.Capture, &early, &late, true, &early},
		{"of another mode", "incremental", &early, &late, false, &early},
		{"no log", command.Capture, &early, nil, false, &early},
		{"a table that cannot say", command.Capture, nil, &late, false, nil},
	} {
		source := projections.Source{Changes: &layout.Changes{Changes: event.Changes{FreshUntil: c.whole}}}
		got := freshUntil(source, projections.LandedTable{Landed: projections.Landed{Mode: c.mode, FreshUntil: c.table, SetAside: c.aside}})
		if (got == nil) != (c.want == nil) || got != nil && !got.Equal(*c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := freshUntil(projections.Source{}, projections.LandedTable{Landed: projections.Landed{Mode: command.Capture, FreshUntil: &early}}); got != &early {
		t.Errorf("a log that was given up: %v", got)
	}
}

func TestPreviewSays(t *testing.T) {
	rows := func(n int) [][]any { return make([][]any, n) }
	for want, shown := range map[string]Shown{
		"0 rows":              {},
		"1 row":               {Rows: rows(1), Total: 1},
		"1 of 1,234,567 rows": {Rows: rows(1), Total: 1234567, Truncated: true},
		"20 of 21 rows; more would not fit into one answer": {Rows: rows(20), Total: 21, Truncated: true, Ended: "bytes"},
		"2 rows; the lake took too long to give more":       {Rows: rows(2), Total: 2, Ended: "time"},
	} {
		if got := previewMessage(shown); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// paperModel has one table with commits at the sequences 10 and 20; its log is at 30.
type paperModel struct {
	Model
	checkpoints int // more than those two, newer than both
}

func (paperModel) Position() uint64 { return 30 }

func (m paperModel) Checkpoints(q projections.CheckpointQuery) (projections.Page, error) {
	var all []map[string]any
	add := func(table string, sequence int) {
		all = append(all, map[string]any{"table": table, "namespace": "s", "snapshot_id": fmt.Sprint(sequence * 100), "sequence": sequence})
	}
	for i := range m.checkpoints {
		add("t", 29-i%5)
	}
	add("u", 25)
	add("t", 20)
	add("t", 10)
	body, err := json.Marshal(all)
	return projections.Page{JSON: body}, err
}

func (paperModel) Source(a event.Address) (projections.Source, error) {
	if a.Source != "src_1" {
		return projections.Source{}, projections.ErrNotFound
	}
	return projections.Source{Address: a}, nil
}

func (paperModel) Sources(projections.ListQuery) ([]projections.Source, string, error) {
	return nil, "", errors.New("asked for all sources")
}
func (paperModel) AnySource(a event.Address) (projections.Source, error) {
	return projections.Source{}, nil
}
func (paperModel) Operation(_, _, _ string) (o projections.Operation, err error) { return o, err }
func (paperModel) Sync(_, _, _ string) (s projections.Sync, err error)           { return s, err }

func (paperModel) SequenceAt(at time.Time) (uint64, error) {
	if at.Year() < 2026 {
		return 0, nil
	}
	return 15, nil
}

func (paperModel) LandedTables(event.Address) (all []projections.LandedTable, err error) {
	for _, name := range []string{"c", "a", "b"} {
		all = append(all, projections.LandedTable{Namespace: "s", Name: name, Landed: projections.Landed{SnapshotID: 1}})
	}
	return append(all, projections.LandedTable{Namespace: "s", Name: "empty"}), nil
}

func (paperModel) SchemaPage(projections.SchemaQuery) (projections.SchemaPage, error) {
	return projections.SchemaPage{}, projections.ErrNotFound
}

func asked(query string, m paperModel) (*Calls, *call.Request) {
	u := &url.URL{Path: "/api/v1/data/w/x", RawQuery: query}
	return &Calls{Model: m}, &call.Request{
		HTTP: &http.Request{URL: u, Header: http.Header{}}, Query: u.Query(), Model: m, Workspace: "w", Caller: auth.Claims{Organization: "acme", Username: "ada"},
	}
}

// statusOf returns the status of a failure, 0 for no error and -1 for one of ours.
func statusOf(err error) int {
	var f *web.Failure
	switch {
	case err == nil:
		return 0
	case errors.As(err, &f):
		return f.Status
	}
	return -1
}

func TestSnapshotAt(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		asOf   string
		more   int
		want   Moment
		status int
	}{
		{"", 0, Moment{}, 0},
		{"2026-01-31T12:00:00Z", 0, Moment{Time: at}, 0},
		{"2025-01-31T12:00:00Z", 0, Moment{}, 404},
		{"soon", 0, Moment{}, 400}, {"-5", 0, Moment{}, 400}, {"0", 0, Moment{}, 400},
		{"30", 0, Moment{}, 0}, {"20", 0, Moment{}, 0}, // the newest commit is that of now
		{"19", 0, Moment{SnapshotID: 1000}, 0}, {"10", 0, Moment{SnapshotID: 1000}, 0},
		{"9", 0, Moment{}, 404},
		{"31", 0, Moment{SnapshotID: 31}, 0}, // beyond the log: the id of a snapshot
		{"9", projections.KeptCheckpoints - 3, Moment{}, 404},
		{"9", projections.KeptCheckpoints - 2, Moment{}, 410}, // older commits are not known any more
	} {
		calls, r := asked("source_id=src_1&as_of="+url.QueryEscape(c.asOf), paperModel{checkpoints: c.more})
		got, err := calls.snapshotAt(r, landedTable{Namespace: "s", Name: "t"})
		if statusOf(err) != c.status || err == nil && !(got.SnapshotID == c.want.SnapshotID && got.Time.Equal(c.want.Time)) {
			t.Errorf("as_of %s beside %d commits: %+v, %v; want %+v, %d", c.asOf, c.more, got, err, c.want, c.status)
		}
	}
}

func TestLandedTables(t *testing.T) {
	calls, r := asked("source_id=src_1", paperModel{})
	all, err := calls.landed(r)
	var names []string
	for _, table := range all {
		names = append(names, table.full())
	}
	if err != nil || !slices.Equal(names, []string{"s.a", "s.b", "s.c"}) {
		t.Errorf("%v, %v", names, err)
	}
	for name, want := range map[string]bool{"": true, "t": true, "s.t": true, "t.s": false, "T": false, ".t": false, "s.": false} {
		if (landedTable{Namespace: "s", Name: "t"}).called(name) != want {
			t.Errorf("s.t is called %q: %v", name, !want)
		}
	}
	if (landedTable{Name: "t"}).called(".t") || (landedTable{Name: "t"}).full() != "t" {
		t.Error("a table without a schema has one")
	}
}

// TestRefusedReads: what the caller caused is told, with the field.
func TestRefusedReads(t *testing.T) {
	for _, c := range []struct {
		name, query string
		do          func(*Calls, *call.Request) error
		status      int
		message     string
	}{
		{"cursor", "source_id=src_1&cursor=!", func(c *Calls, r *call.Request) error { _, err := c.Tables(t.Context(), r); return err }, 400, "cursor does not belong"},
		{"no source", "source_id=src_2", func(c *Calls, r *call.Request) error { _, err := c.Tables(t.Context(), r); return err }, 404, "There is no source src_2"},
		{"removed as of", "removed=true&as_of=3", func(c *Calls, r *call.Request) error { _, err := c.List(t.Context(), r); return err }, 400, "as_of cannot be combined"},
		{"no schema yet", "source_id=src_1", func(c *Calls, r *call.Request) error { _, err := c.Schema(t.Context(), r); return err }, 404, "The schema of src_1 is not known yet"},
		{"no schema then", "source_id=src_1&as_of=3", func(c *Calls, r *call.Request) error { _, err := c.Schema(t.Context(), r); return err }, 404, "had no schema then"},
		{"schema of none", "source_id=src_2", func(c *Calls, r *call.Request) error { _, err := c.Schema(t.Context(), r); return err }, 404, "There is no source src_2"},
		{"several tables", "source_id=src_1", func(c *Calls, r *call.Request) error { _, err := c.Preview(t.Context(), r); return err }, 400, "table is the name of several tables"},
		{"no table", "source_id=src_1&table=z", func(c *Calls, r *call.Request) error { _, err := c.Preview(t.Context(), r); return err }, 404, "Nothing of a table z has landed"},
	} {
		calls, r := asked(c.query, paperModel{})
		if err := c.do(calls, r); statusOf(err) != c.status || !strings.Contains(web.AsFailure(err).Message, c.message) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
