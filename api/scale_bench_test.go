package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/api/events"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/seal"
	"headwater/bus/webhooks"
	"headwater/handlers/syncoptions"
	"headwater/projections"
)

// instant is a log without a disk and a worker without sources: what it is
// told is in the projection at once, and every sync completes.
type instant struct {
	events.History
	mu   sync.Mutex
	view *projections.Store
}

func (i *instant) Append(_ context.Context, _ uint64, e *event.Event) (uint64, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.apply(e)
}

func (i *instant) apply(e *event.Event) (uint64, error) {
	e.Sequence, e.Time = i.view.Position()+1, time.Now()
	return e.Sequence, i.view.Apply(e)
}

func (i *instant) LastSequence(context.Context, event.Address) (uint64, error) { return 0, nil }

func (i *instant) Send(_ context.Context, c *command.Command) error {
	d, ok := c.Data.(*command.SyncSource)
	if !ok {
		return fmt.Errorf("only syncs, not %T", c.Data)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	op := d.Operation
	for _, data := range []event.Data{
		&event.SyncStarted{Meta: event.At(c.Address(), op), SyncID: d.SyncID, Attempt: 1, Mode: "full_refresh"},
		&event.SyncCompleted{Meta: event.At(c.Address(), final(op)), SyncID: d.SyncID, Status: "completed", Mode: "full_refresh"},
	} {
		if _, err := i.apply(&event.Event{Data: data}); err != nil {
			return err
		}
	}
	return nil
}

func final(op event.Operation) event.Operation { op.Final = true; return op }

// sized is the API over an organization of so many sources, of which one has so
// many tables.
func sized(b *testing.B, sources, tables int) (call func(method, path, body string) int, close func()) {
	b.Helper()
	view, err := projections.Open(projections.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	fake := &instant{view: view}
	op := event.Operation{ID: "op_c", Kind: event.KindConnect, Targets: 1, Final: true, Actor: "ada"}
	at := func(i int) event.Address {
		return event.Address{Organization: "acme", Workspace: "w1", Owner: "ada", Source: fmt.Sprint("src_", i)}
	}
	var batch []*event.Event
	for i := range sources {
		batch = append(batch, &event.Event{Sequence: uint64(i + 1), Time: time.Now(), Data: &event.SourceConnected{
			Meta: event.At(at(i), op), Name: fmt.Sprint("name", i), Type: "database", Connector: "postgresql", ConfigVersion: 1}})
		if len(batch) == 1000 || i == sources-1 {
			if err := view.Apply(batch...); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	d := &event.SchemaDiscovered{Meta: event.At(at(7), op), Version: 1, Cause: "connect"}
	for i := range tables {
		d.Tables = append(d.Tables, event.Table{Name: fmt.Sprintf("table%05d", i), Namespace: "public", Kind: "table", Columns: []event.Column{{Name: "id", Type: "int64", SourceType: "bigint"}}})
	}
	if _, err := fake.apply(&event.Event{Data: d}); err != nil {
		b.Fatal(err)
	}
	tokens, err := auth.New(b.Context(), auth.Config{Key: bytes.Repeat([]byte("k"), 32)})
	if err != nil {
		b.Fatal(err)
	}
	h, err := New(Deps{
		Commands: fake, Events: fake, History: fake, Reads: view, Connectors: testRegistry(b), Vault: (*seal.Vault)(nil), Idempotency: answerBox{}, Webhooks: new(webhooks.Registry), Auth: tokens,
		CheckSync: syncoptions.CheckCall,
	})
	if err != nil {
		b.Fatal(err)
	}
	token, err := tokens.Issue(auth.Claims{Organization: "acme", Username: "ada", Role: auth.RoleEditor}, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	call = func(method, path, body string) int {
		r := httptest.NewRequest(method, "/api/v1/data/w1/"+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		return w.Body.Len()
	}
	return call, func() {
		if err := h.Close(context.WithoutCancel(b.Context())); err != nil {
			b.Error(err)
		}
		if err := view.Close(); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkScale makes the same call among 10 sources and 10 tables, and among
// 100,000 and 10,000, in turn: x-small is how much longer the median takes,
// which must stay below 2.
func BenchmarkScale(b *testing.B) {
	small, closeSmall := sized(b, 10, 10)
	defer closeSmall()
	large, closeLarge := sized(b, 100_000, 10_000)
	defer closeLarge()
	for _, c := range []struct{ name, method, path, body string }{
		{"list", "GET", "list?limit=10", ""},
		{"list as of", "GET", "list?limit=10&as_of=10", ""},
		{"schema page", "GET", "schema?source_id=src_7&limit=10", ""},
		{"sync start", "POST", "sync", `{"source_ids":["src_7"]}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			var times [2][]float64
			for b.Loop() {
				for i, call := range []func(method, path, body string) int{small, large} {
					began := time.Now()
					call(c.method, c.path, c.body)
					times[i] = append(times[i], float64(time.Since(began).Microseconds()))
				}
			}
			for i := range times {
				slices.Sort(times[i])
			}
			b.ReportMetric(times[1][len(times[1])/2]/times[0][len(times[0])/2], "x-small(limit<=2)")
			b.ReportMetric(times[0][len(times[0])/2], "small-µs")
		})
	}
}
