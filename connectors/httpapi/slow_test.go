package httpapi_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"headwater/connectors/driver"
)

// A slow API may need hours to fill a batch: its pages are handed on before,
// also when none of their records is new.
func TestSlowPagesAreHandedOn(t *testing.T) {
	const pages = 6
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		page := number(r, "page", 1)
		if page > 1 {
			time.Sleep(10 * time.Millisecond)
		}
		next := ""
		if page < pages {
			next = fmt.Sprintf(`,"next":"/?page=%d"`, page+1)
		}
		fmt.Fprintf(w, `{"data":%s%s}`, items(page*2, page*2+2), next)
	})
	src, err := open(t, map[string]any{"base_url": srv.URL, "cursor": "id"}, driver.Limits{BatchAge: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := "1000"
	for name, from := range map[string]driver.Cursor{"full": {}, "nothing new": {Column: "id", Value: &seen}} {
		batches := 0
		for batch, err := range src.Read(t.Context(), tables[0], from) {
			if err != nil {
				t.Fatal(err)
			}
			batches++
			batch.Record.Release()
		}
		if batches < pages {
			t.Errorf("%s: %d batches of %d slow pages", name, batches, pages)
		}
	}
}

// An API that lets wait is not silent: who reads it is told that the read goes on.
func TestWaitingIsTold(t *testing.T) {
	told := make(chan struct{})
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if number(r, "page", 1) == 2 {
			select {
			case <-told:
			case <-time.After(30 * time.Second):
			}
			fmt.Fprintf(w, `{"data":%s,"next":null}`, items(2, 4))
			return
		}
		fmt.Fprintf(w, `{"data":%s,"next":"/?page=2"}`, items(0, 2))
	})
	src, err := open(t, map[string]any{"base_url": srv.URL, "cursor": "id"}, driver.Limits{BatchAge: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	table := driver.Table{Name: "records", Columns: []driver.Column{col("id", driver.Of(driver.Int64))}}
	batches, rows := 0, int64(0)
	for batch, err := range src.Read(t.Context(), table, driver.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		if batches++; batches == 2 { // the first is of the first page
			close(told)
		}
		rows += batch.Record.NumRows()
		batch.Record.Release()
	}
	if rows != 4 || batches < 3 {
		t.Errorf("%d rows in %d batches", rows, batches)
	}
}
