package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"headwater/connectors/driver"
)

// TestRecordsMove has APIs whose records come and go while numbered pages of them
// are read, newest first.
func TestRecordsMove(t *testing.T) {
	for name, c := range map[string]struct {
		record string // of a number
		change int    // so many come in front, or the newest go, behind the first page
		says   string // of the read's notes
		rows   int
		offset bool
	}{
		"nothing":                 {record: `{"id":%d}`, rows: 250},
		"two come":                {record: `{"id":%d}`, change: 2, rows: 250},
		"two come, by offset":     {record: `{"id":%d}`, change: 2, rows: 250, offset: true},
		"two come, without a key": {record: `{"n":%d}`, change: 2, rows: 252, says: "may be there twice"},
		"three go":                {record: `{"id":%d}`, change: -3, rows: 247, says: "told of 250 records on its first page and of 247 on a later one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var newest atomic.Int64
			newest.Store(250)
			var srv *httptest.Server
			srv = serve(t, func(w http.ResponseWriter, r *http.Request) {
				q := call{w, r, srv.URL}
				from := (q.n("page", 1) - 1) * 100
				if c.offset {
					from = q.n("offset", 0)
				}
				top := int(newest.Load())
				var list []string
				for i := top - from; i > max(top-from-100, 0); i-- {
					list = append(list, fmt.Sprintf(c.record, i))
				}
				q.say(`{"data":[%s],"total":%d,"offset":%d,"limit":100}`, strings.Join(list, ","), top, from)
				if from == 0 {
					newest.Store(int64(250 + c.change))
				}
			})
			pagination := map[string]any{"type": "page"}
			if c.offset {
				pagination["type"] = "offset"
			}
			src, err := open(t, map[string]any{"base_url": srv.URL + "/x", "pagination": pagination}, driver.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			tables, err := src.Discover(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			rows, notes := int64(0), []string{}
			for batch, err := range src.Read(t.Context(), tables[0], driver.Cursor{}) {
				if err != nil {
					t.Fatal(err)
				}
				rows += batch.Record.NumRows()
				notes = append(notes, batch.Notes...)
				batch.Record.Release()
			}
			if told := slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, c.says) }); rows != int64(c.rows) || told != (c.says != "") && c.says != "" || c.says == "" && len(notes) > 0 {
				t.Errorf("%d rows, %q; want %d, %q", rows, notes, c.rows, c.says)
			}
		})
	}
}
