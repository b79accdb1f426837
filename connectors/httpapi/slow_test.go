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
