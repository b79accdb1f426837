package httpapi_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/httpapi"
)

// TestPagesAreAskedForOnceAndNeverBeyondTheLast holds requests that are made
// ahead to what the API said of its pages: five of them, of three records but
// the last. A read does not ask again for what its columns were found by.
func TestPagesAreAskedForOnceAndNeverBeyondTheLast(t *testing.T) {
	for _, c := range []struct {
		name, param string
		want        []string
		answer      func(n int, list string) string
		settings    map[string]any
	}{
		{"page numbers", "page", []string{"", "2", "3", "4", "5"}, func(n int, list string) string {
			return fmt.Sprintf(`{"page":%d,"total_pages":5,"data":[%s]}`, max(n, 1), list)
		}, nil},
		{"page numbers from 0", "page", []string{"", "1", "2", "3", "4"}, func(n int, list string) string {
			return fmt.Sprintf(`{"page":%d,"total_pages":5,"data":[%s]}`, max(n, 0), list)
		}, nil},
		{"a total", "page", []string{"", "2", "3", "4", "5"}, func(n int, list string) string {
			return fmt.Sprintf(`{"page":%d,"total":14,"data":[%s]}`, max(n, 1), list)
		}, nil},
		{"offsets", "offset", []string{"0", "3", "6", "9", "12"}, func(n int, list string) string {
			return fmt.Sprintf(`{"total":14,"data":[%s]}`, list)
		}, map[string]any{"pagination": map[string]any{"type": "offset"}}},
		{"one at a time", "page", []string{"", "2", "3", "4", "5"}, func(n int, list string) string {
			return fmt.Sprintf(`{"page":%d,"total_pages":5,"data":[%s]}`, max(n, 1), list)
		}, map[string]any{"concurrent_requests": 1}},
	} {
		var mu sync.Mutex
		var asked []string
		running, most := 0, 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			at := r.URL.Query().Get(c.param)
			mu.Lock()
			asked = append(asked, at)
			running++
			most = max(most, running)
			mu.Unlock()
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				running--
			}()
			n := slices.Index(c.want, at)
			if n < 0 {
				http.Error(w, "no such page", http.StatusNotFound)
				return
			}
			var list []string
			for i := n * 3; i < min(n*3+3, 14); i++ {
				list = append(list, fmt.Sprintf(`{"id":%d}`, i))
			}
			given, err := strconv.Atoi(at)
			if err != nil {
				given = -1
			}
			w.Write([]byte(c.answer(given, strings.Join(list, ","))))
		}))
		settings := map[string]any{"base_url": server.URL}
		for k, v := range c.settings {
			settings[k] = v
		}
		raw, err := json.Marshal(settings)
		if err != nil {
			t.Fatal(err)
		}
		src, err := httpapi.Driver{}.Open(t.Context(), driver.Config{Settings: raw, Dial: new(net.Dialer).DialContext, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		tables, err := src.Discover(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		rows := int64(0)
		for batch, err := range src.Read(t.Context(), tables[0], driver.Cursor{}) {
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			rows += batch.Record.NumRows()
			batch.Record.Release()
		}
		if limit, set := c.settings["concurrent_requests"]; !set {
			// Requests under way at once arrive in any order.
			slices.SortFunc(asked, func(a, b string) int { return slices.Index(c.want, a) - slices.Index(c.want, b) })
		} else if most > limit.(int) {
			t.Errorf("%s: %d requests at once", c.name, most)
		}
		if rows != 14 || !slices.Equal(asked, c.want) {
			t.Errorf("%s: %d records, asked for %q, want 14 and %q", c.name, rows, asked, c.want)
		}
		src.Close()
		server.Close()
	}
}
