package httpapi_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"headwater/connectors/driver"
)

// TestAThrottledAPIGetsOneRequestAtATime holds that an API which once answered
// 429 has no two requests at once from then on.
func TestAThrottledAPIGetsOneRequestAtATime(t *testing.T) {
	const pages = 12
	var mu sync.Mutex
	refused, running, most := 0, 0, 0
	limited := false
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		page := number(r, "page", 1)
		mu.Lock()
		running++
		refuse := limited && page >= 5 && refused == 0
		if refuse {
			refused = page
		} else if limited && refused > 0 && page > refused+3 { // the others were under way
			most = max(most, running)
		}
		mu.Unlock()
		defer func() {
			mu.Lock()
			running--
			mu.Unlock()
		}()
		if refuse {
			w.Header().Set("Retry-After", "0")
			http.Error(w, "slow down", http.StatusTooManyRequests)
			return
		}
		fmt.Fprintf(w, `{"page":%d,"total_pages":%d,"data":%s}`, page, pages, items(page*2, page*2+2))
	})
	src, err := open(t, map[string]any{"base_url": srv.URL}, driver.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	limited = true
	mu.Unlock()
	src, err = open(t, map[string]any{"base_url": srv.URL}, driver.Limits{}) // which has read nothing yet
	if err != nil {
		t.Fatal(err)
	}
	rows := int64(0)
	for batch, err := range src.Read(t.Context(), tables[0], driver.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		rows += batch.Record.NumRows()
		batch.Record.Release()
	}
	if rows != pages*2 || refused == 0 || most != 1 {
		t.Errorf("%d rows, refused page %d, then %d requests at once, want %d rows and 1 request", rows, refused, most, pages*2)
	}
}
