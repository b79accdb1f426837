package projections

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/bus/event"
	"headwater/projections/projectionstest"
)

// history makes events one after the other, a second apart.
type history struct {
	events []*event.Event
}

var epoch = projectionstest.Epoch

func (h *history) add(d event.Data) *event.Event {
	n := uint64(len(h.events) + 1)
	e := &event.Event{ID: fmt.Sprintf("id-%d", n), Time: epoch.Add(time.Duration(n) * time.Second), Sequence: n, Data: d}
	h.events = append(h.events, e)
	return e
}

func openMem(t testing.TB) *Store {
	t.Helper()
	return openOn(t, vfs.NewMem())
}

func openOn(t testing.TB, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open(Options{Dir: "store", FS: fs, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func apply(t testing.TB, s *Store, events ...*event.Event) {
	t.Helper()
	if err := s.Apply(events...); err != nil {
		t.Fatal(err)
	}
}

func hashOf(t testing.TB, s *Store) string {
	t.Helper()
	h, err := s.Hash(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// at is an address in the organization acme.
func at(owner, source string) event.Address {
	return event.Address{Organization: "acme", Workspace: "w1", Owner: owner, Source: source}
}

func final(id, kind string, targets, target int) event.Operation {
	return event.Operation{ID: id, Kind: kind, Targets: targets, Target: target, Final: true, Actor: "ann"}
}

func going(id, kind string, targets, target int) event.Operation {
	op := final(id, kind, targets, target)
	op.Final = false
	return op
}

func connected(a event.Address, op event.Operation, name string) *event.SourceConnected {
	return &event.SourceConnected{
		Meta: event.At(a, op), Name: name, Type: "database", Connector: "postgresql", ConfigVersion: 1,
		Config: json.RawMessage(`{ "host": "db", "port": 5432 }`), SecretRef: "ref-" + a.Source,
	}
}

func discovered(a event.Address, op event.Operation, version int, names ...string) *event.SchemaDiscovered {
	d := &event.SchemaDiscovered{Meta: event.At(a, op), Version: version, Cause: "connect", Diff: event.SchemaDiff{Added: names}}
	for _, n := range names {
		d.Tables = append(d.Tables, event.Table{Name: n, Namespace: "public", Kind: "table",
			Columns: []event.Column{{Name: "id", Type: "int64", SourceType: "bigint"}}})
	}
	return d
}

func started(a event.Address, op event.Operation, sync string, attempt int) *event.SyncStarted {
	return &event.SyncStarted{Meta: event.At(a, op), SyncID: sync, Attempt: attempt, Mode: "full_refresh", Tables: []string{"public.t"}}
}

func table(status, mode string, records int64) event.TableResult {
	return event.TableResult{Name: "t", Namespace: "public", Status: status, Mode: mode, Records: records, Bytes: 10 * records}
}

// holding says how many rows the table has after the result.
func holding(total int64, r event.TableResult) event.TableResult {
	r.Total = &total
	return r
}

func progressed(a event.Address, op event.Operation, sync string, r event.TableResult) *event.SyncProgressed {
	return &event.SyncProgressed{Meta: event.At(a, op), SyncID: sync, Table: r, Records: r.Records, Bytes: r.Bytes}
}

func completed(a event.Address, op event.Operation, sync, status string, r event.TableResult) *event.SyncCompleted {
	return &event.SyncCompleted{Meta: event.At(a, op), SyncID: sync, Status: status, Mode: r.Mode, Records: r.Records, Bytes: r.Bytes,
		DurationMS: 1500, Tables: []event.TableResult{r}}
}

// fields decodes a document.
func fields(t testing.TB, doc []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(doc, &m); err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	return m
}

// rows decodes a list of documents.
func rows(t testing.TB, doc []byte) []map[string]any {
	t.Helper()
	var m []map[string]any
	if err := json.Unmarshal(doc, &m); err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	return m
}

// column returns one field of each row, as text.
func column(t testing.TB, doc []byte, name string) string {
	t.Helper()
	text := ""
	for i, row := range rows(t, doc) {
		if i > 0 {
			text += " "
		}
		text += fmt.Sprint(row[name])
	}
	return text
}
