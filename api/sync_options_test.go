package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/syncoptions"
)

// checked lets the workers' own judgement check the options, as the binary does.
func checked(d *Deps) { d.CheckSync = syncoptions.CheckCall }

// sentOptions keeps what the workers were sent.
type sentOptions struct {
	mu  sync.Mutex
	all map[string]command.SyncOptions // by source
}

func (s *sentOptions) take() map[string]command.SyncOptions {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all
	s.all = map[string]command.SyncOptions{}
	return all
}

func (s *sentOptions) keep(d *Deps) {
	d.Commands = sender{d.Commands, func(_ context.Context, c *command.Command) error {
		if sync, ok := c.Data.(*command.SyncSource); ok {
			s.mu.Lock()
			s.all[c.Address().Source] = sync.Options
			s.mu.Unlock()
		}
		return nil
	}}
}

func TestSyncOptionsAreCheckedFirst(t *testing.T) {
	sent := &sentOptions{all: map[string]command.SyncOptions{}}
	h := newHouse(t, checked, sent.keep)
	c := h.ada()
	id := c.connected("user", source("one", "db"))["one"]
	for _, test := range []struct {
		name, options string
		code          int
		want, fields  string // error code; fields of the details
		says          string
	}{
		{"unknown option", `{"lookbak":"15m"}`, 400, "invalid_request", "sync_options.lookbak", ""},
		{"unknown part", `{"columns":{"orders":{"exclud":["name"]}}}`, 400, "invalid_request", "sync_options.columns.orders.exclud sync_options.columns.orders.exclude", ""},
		{"too parallel", `{"parallelism":17}`, 400, "invalid_request", "sync_options.parallelism", ""},
		{"too large batches", `{"batch_size":2000000}`, 400, "invalid_request", "sync_options.batch_size", "at most 1000000"},
		{"lookback of a wrong type", `{"lookback":true}`, 400, "invalid_request", "sync_options.lookback", ""},
		{"lookback beyond all numbers", `{"lookback":1e+308}`, 400, "invalid_request", "sync_options.lookback", "int64"},
		{"lookback with a point", `{"lookback":5.0}`, 400, "invalid_request", "sync_options.lookback", "int64"},
		{"no lookback", `{"lookback":null}`, 200, "", "", ""},
		{"start of a wrong type", `{"start_from":{"orders":true}}`, 400, "invalid_request", "sync_options.start_from.orders", ""},
		{"no column of a known table", `{"columns":{"orders":{"exclude":["nme"]}}}`, 422, "not_found", "sync_options.columns.orders.exclude[0]", "it has id, name"},
		{"no column", `{"mode":"incremental","cursor_columns":{"orders":"when"}}`, 422, "invalid_config", "sync_options.cursor_columns.orders", "it has id, name"},
		{"merge of everything", `{"merge":true}`, 422, "invalid_config", "sync_options.merge", "mode incremental"},
		{"lookback of everything", `{"lookback":"15m","mode":"full_refresh"}`, 422, "invalid_config", "sync_options.lookback", "mode incremental"},
		{"time behind a number", `{"mode":"incremental","cursor_columns":{"orders":"id"},"tables":["orders"],"lookback":"15m"}`, 422, "invalid_config", "sync_options.lookback", "whole number"},
		{"key excluded", `{"columns":{"orders":{"exclude":["id"]}}}`, 422, "invalid_config", "sync_options.columns.orders.exclude[0]", "its key"},
		{"both", `{"mode":"incremental","cursor_columns":{"orders":"id"},"reset":["orders"],"start_from":{"orders":"5"}}`, 422, "invalid_config", "sync_options.start_from.orders", "sync_options.reset"},
		{"two at once", `{"timeout":"soon","idle_timeout":"later"}`, 422, "invalid_config", "sync_options.idle_timeout sync_options.timeout", "(and 1 more)"},
	} {
		r := c.post("/data/w1/sync", fmt.Sprintf(`{"source_ids":[%q],"sync_options":%s}`, id, test.options))
		var fields []string
		if r.Error != nil {
			for _, d := range r.Error.Details {
				fields = append(fields, d.Field)
			}
		}
		if r.Code != test.code || r.code() != test.want || strings.Join(fields, " ") != test.fields || !strings.Contains(r.Message, test.says) {
			t.Errorf("%s: %d %s", test.name, r.Code, r.Raw)
		}
	}
	if got := sent.take(); len(got) != 1 {
		t.Errorf("something was started that cannot be: %v", got)
	}
	r := c.post("/data/w1/sync", fmt.Sprintf(`{"source_ids":[%q],"sync_options":{"mode":"incremental","merge":true,"columns":{"*":{"exclude":["name"]}},"cursor_columns":{"orders":"id","customers":"id"},
		"lookback":500,"parallelism":3,"start_from":{"customers":9007199254740993},"timeout":"2h","table_timeout":null}}`, id))
	got := sent.take()[id]
	if r.Code != 200 || !got.Merge || got.Lookback != "500" || got.Parallelism != 3 || got.StartFrom["customers"] != "9007199254740993" || got.Timeout != "2h" || got.Columns["*"].Exclude[0] != "name" {
		t.Errorf("%d %s: %+v", r.Code, r.Raw, got)
	}
}

// What names tables applies to the sources that have them.
func TestSyncOptionsOfSeveralSources(t *testing.T) {
	sent := &sentOptions{all: map[string]command.SyncOptions{}}
	h := newHouse(t, checked, sent.keep)
	c := h.ada()
	ids := c.connected("user", source("one", "db"), source("two", "db"))
	extra := event.Address{Organization: "acme", Workspace: "w1", Owner: "ada", Source: ids["two"]}
	last, err := h.bus.LastSequence(t.Context(), extra)
	if err != nil {
		t.Fatal(err)
	}
	sequence, err := h.bus.Append(t.Context(), last, &event.Event{ID: "more", Time: time.Now(), Data: &event.SchemaDiscovered{
		Meta: event.At(extra, event.Operation{}), Version: 2, Tables: []event.Table{
			{Name: "carts", Namespace: "public", PrimaryKey: []string{"id"}, Columns: []event.Column{{Name: "id", Type: "int64"}}},
			{Name: "orders", Namespace: "public", PrimaryKey: []string{"id"}, Columns: []event.Column{{Name: "id", Type: "int64"}}},
		}}})
	if err == nil {
		err = h.view.Wait(t.Context(), sequence)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r := c.post("/data/w1/sync", `{"sync_options":{"tables":["carts"]}}`); r.Code != 200 {
		t.Fatalf("%d %s", r.Code, r.Raw)
	}
	if got := sent.take(); len(got) != 1 || got[ids["two"]].Tables[0] != "carts" {
		t.Errorf("a source that has none of the tables: %+v", got)
	}
	if r := c.post("/data/w1/sync", `{"sync_options":{"tables":["orders","carts"],"mode":"incremental","cursor_columns":{"carts":"id"}}}`); r.Code != 200 {
		t.Fatalf("%d %s", r.Code, r.Raw)
	}
	if got := sent.take(); len(got) != 2 || len(got[ids["one"]].Tables) != 1 || got[ids["one"]].CursorField != nil || len(got[ids["two"]].CursorField) != 1 {
		t.Errorf("what one of two has: %+v", got)
	}
	if r := c.post("/data/w1/sync", `{"sync_options":{"tables":["carts","basket","[ok"],"mode":"incremental","reset":["basket"],"cursor_columns":{"basket":"n"}}}`); r.Code != 200 {
		t.Errorf("what none is known to have: %d %s", r.Code, r.Raw)
	}
	got := sent.take()
	if one := got[ids["one"]]; strings.Join(one.Tables, " ") != "basket [ok" || len(one.Reset) != 1 || one.CursorField["basket"] != "n" {
		t.Errorf("it is looked for in each source: %+v", got)
	}
	if two := got[ids["two"]]; strings.Join(two.Tables, " ") != "carts basket [ok" {
		t.Errorf("it is looked for in each source: %+v", got)
	}
	r := c.post("/data/w1/sync", `{"sync_options":{"columns":{"orders":{"exclude":["name"]}},"mode":"incremental","cursor_columns":{"orders":"name"}}}`)
	if r.Code != 422 || len(r.Error.Details) != 2 || r.Error.Details[0].SourceID == r.Error.Details[1].SourceID {
		t.Errorf("what fits neither: %d %s", r.Code, r.Raw)
	}
}

func TestCheckpoints(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	id := c.connected("user", source("one", "db"))["one"]
	a := event.Address{Organization: "acme", Workspace: "w1", Owner: "ada", Source: id}
	var sequence uint64
	for n := int64(1); n <= 3; n++ {
		last, err := h.bus.LastSequence(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		sequence, err = h.bus.Append(t.Context(), last, &event.Event{ID: fmt.Sprint("done", n), Time: time.Now(), Data: &event.SyncCompleted{
			Meta: event.At(a, event.Operation{ID: fmt.Sprint("op_", n), Kind: event.KindSync, Targets: 1, Final: true}), SyncID: fmt.Sprint("syn_", n), Status: "completed", Mode: "incremental",
			Tables: []event.TableResult{{Name: "orders", Namespace: "public", Status: "completed", Mode: "incremental", Records: n, Total: &n, SnapshotID: event.SnapshotID(1<<60 + n), Cursor: fmt.Sprint(n), CursorName: "id"}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	min := []string{call.HeaderMinSequence, fmt.Sprint(sequence)}
	path := "/data/w1/checkpoints?source_id=" + id
	r := c.get(path+"&table=orders&limit=2", min...)
	var docs []struct {
		Cursor   string `json:"cursor"`
		Table    string `json:"table"`
		SyncID   string `json:"sync_id"`
		Snapshot string `json:"snapshot_id"`
	}
	if err := json.Unmarshal(r.Data, &docs); err != nil || r.Code != 200 || len(docs) != 2 || docs[0].Cursor != "3" || docs[0].Snapshot != "1152921504606846979" || docs[1].SyncID != "syn_2" || r.NextCursor == "" {
		t.Fatalf("%d %s", r.Code, r.Raw)
	}
	if r = c.get(path + "&table=orders&limit=2&cursor=" + r.NextCursor); r.Code != 200 || !strings.Contains(r.Raw, `"cursor":"1"`) || r.NextCursor != "" {
		t.Errorf("the second page: %d %s", r.Code, r.Raw)
	}
	if r = c.get(path + "&table=other"); r.Code != 200 || string(r.Data) != "[]" {
		t.Errorf("another table: %d %s", r.Code, r.Raw)
	}
	if r = h.as("acme", "bob", auth.RoleEditor).get(path); r.Code != 404 {
		t.Errorf("somebody else: %d %s", r.Code, r.Raw)
	}
	if r = c.get("/data/w1/checkpoints"); r.Code != 400 {
		t.Errorf("no source: %d %s", r.Code, r.Raw)
	}
}

// Whatever stands in sync_options, the answer is that of a sync or says what is
// wrong with a field; it is never a failure of the service.
func TestAnySyncOptionsAreAnswered(t *testing.T) {
	sent := &sentOptions{all: map[string]command.SyncOptions{}}
	h := newHouse(t, checked, sent.keep)
	c := h.ada()
	id := c.connected("user", source("one", "db"))["one"]
	keys := []string{"mode", "incremental", "tables", "columns", "cursor_columns", "merge", "deleted_columns", "lookback", "reset", "start_from", "parallelism", "batch_size", "timeout", "table_timeout", "allow_empty", "bulk"}
	leaf := rapid.SampledFrom([]any{nil, true, false, 0, 1, -1, 1e308, 3.5, "", "orders", "public.*", "id", "name", "[a", "\x00", "15m", "5", strings.Repeat("9", 400), "full_refresh", "incremental", []any{}, object{}})
	value := rapid.OneOf(leaf,
		rapid.Map(rapid.SliceOfN(leaf, 0, 3), func(x []any) any { return x }),
		rapid.Map(rapid.MapOfN(rapid.SampledFrom([]string{"orders", "public.orders", "customers", "*", "", "exclude"}), leaf, 0, 2), func(x map[string]any) any { return x }),
		rapid.Map(rapid.SampledFrom([]string{"id", "name", "*", "[", ""}), func(x string) any { return object{"orders": object{"exclude": []string{x}}} }),
	)
	rapid.Check(t, func(r *rapid.T) {
		options := rapid.MapOfN(rapid.SampledFrom(keys), value, 0, 3).Draw(r, "options")
		body := c.post("/data/w1/sync", object{"source_ids": []string{id}, "sync_options": options})
		got, started := sent.take()[id]
		switch body.Code {
		case 200, 202:
			if !started {
				r.Fatalf("%v: %d without a sync", options, body.Code)
			}
			if _, unknown := options["bulk"]; unknown {
				r.Fatalf("an unknown option is accepted: %+v", got)
			}
		case 400, 422:
			if started || body.Error == nil || len(body.Error.Details) == 0 || !strings.HasPrefix(body.Error.Details[0].Field, "sync_options") {
				r.Fatalf("%v: started %t: %d %s", options, started, body.Code, body.Raw)
			}
		default:
			r.Fatalf("%v: %d %s", options, body.Code, body.Raw)
		}
	})
}
