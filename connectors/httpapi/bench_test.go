package httpapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/httpapi"
)

const (
	benchRecords = 100_000
	benchPage    = 100
)

// benchPages are the answers of an API, made beforehand.
func benchPages() [][]byte {
	pages := make([][]byte, benchRecords/benchPage)
	for p := range pages {
		var b strings.Builder
		fmt.Fprintf(&b, `{"page":%d,"total_pages":%d,"data":[`, p+1, len(pages))
		for i := range benchPage {
			id := p*benchPage + i + 1
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"id":%d,"order_id":%d,"quantity":%d,"price":%d.%02d,"shipped":"199%d-0%d-1%d","updated_at":"2024-01-01T10:00:%02d.123456Z","flag":"R","mode":"REG AIR","comment":"carefully final deposits nag quickly; slyly \"even\" %d","attrs":{"k":%d,"tag":"new"},"active":%t}`,
				id, id/4, id%50, 900+id, id%100, id%10, 1+id%9, id%10, id%60, id, id%1000, id%2 == 0)
		}
		b.WriteString("]}")
		pages[p] = []byte(b.String())
	}
	return pages
}

// BenchmarkRead reads 100,000 records in pages of 100 and, in turn, fetches the
// same pages with a bare loop that has one request under way while it looks at
// the answer before. It reports the median of the pairs' rates: 1 is as fast as
// the loop.
func BenchmarkRead(b *testing.B) {
	pages := benchPages()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("page"))
		if err != nil {
			n = 1
		}
		w.Header().Set("Content-Type", "application/json")
		if n < 1 || n > len(pages) {
			io.WriteString(w, `{"data":[]}`)
			return
		}
		w.Write(pages[n-1])
	}))
	defer server.Close()
	settings, err := json.Marshal(map[string]any{"base_url": server.URL})
	if err != nil {
		b.Fatal(err)
	}
	source, err := httpapi.Driver{}.Open(b.Context(), driver.Config{Settings: settings, Dial: new(net.Dialer).DialContext, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer source.Close()
	tables, err := source.Discover(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	bare := func() {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		bodies := make(chan []byte)
		go func() {
			defer close(bodies)
			for n := range pages {
				res, err := client.Get(server.URL + "?page=" + strconv.Itoa(n+1))
				if err != nil {
					b.Error(err)
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil {
					b.Error(err)
					return
				}
				bodies <- body
			}
		}()
		for range bodies {
		}
	}
	var ratios []float64
	for b.Loop() {
		began := time.Now()
		bare()
		limit := time.Since(began)

		began = time.Now()
		var rows int64
		for batch, err := range source.Read(b.Context(), tables[0], driver.Cursor{}) {
			if err != nil {
				b.Fatal(err)
			}
			rows += batch.Record.NumRows()
			batch.Record.Release()
		}
		if rows != benchRecords {
			b.Fatalf("read %d records", rows)
		}
		ratios = append(ratios, limit.Seconds()/time.Since(began).Seconds())
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x-bare")
	b.ReportMetric(0, "ns/op")
}
