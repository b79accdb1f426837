package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
	"headwater/cmd/bench/widetable"
)

// record is one object of the API: an order line as order APIs send them, about
// 400 bytes.
type record struct {
	ID           int64           `json:"id"`
	OrderID      int64           `json:"order_id"`
	LineNo       int             `json:"line_no"`
	Quantity     json.Number     `json:"quantity"`
	Price        json.Number     `json:"price"`
	Discount     *json.Number    `json:"discount"`
	ShipDate     string          `json:"ship_date"`
	ReceiptDate  *string         `json:"receipt_date"`
	UpdatedAt    string          `json:"updated_at"`
	ReturnFlag   string          `json:"return_flag"`
	ShipMode     string          `json:"ship_mode"`
	ShipInstruct string          `json:"ship_instruct"`
	Comment      *string         `json:"comment"`
	Attrs        json.RawMessage `json:"attrs"`
	Active       *bool           `json:"active"`
	UUID         string          `json:"row_uuid"`
}

// recordOf returns the generator's last row.
func recordOf(g *widetable.Generator) record {
	text := func(column int) *string {
		if g.Null[column] {
			return nil
		}
		value := g.Values[column]
		return &value
	}
	r := record{
		ID: g.ID, OrderID: g.ID/4 + 1, LineNo: int(g.ID%7 + 1), Quantity: json.Number(g.Values[3]), Price: json.Number(g.Values[4]),
		Discount: (*json.Number)(text(5)), ShipDate: g.Values[6], ReceiptDate: text(7),
		UpdatedAt:  g.Values[8][:10] + "T" + g.Values[8][11:] + "Z",
		ReturnFlag: g.Values[9], ShipMode: g.Values[10], ShipInstruct: g.Values[11], Comment: text(12), UUID: g.Values[15],
	}
	if value := text(13); value != nil {
		r.Attrs = json.RawMessage(*value)
	}
	if value := text(14); value != nil {
		active := *value == "true"
		r.Active = &active
	}
	return r
}

// page is one answer of the API.
type page struct {
	Records []record `json:"records"`
	Page    int      `json:"page"`
	Total   int      `json:"total_pages"`
}

// apiDelay is how long the slower API takes to find a page. Few are faster.
const apiDelay = 2 * time.Millisecond

// pages serves records in numbered pages and encodes each page when it is asked
// for, as APIs do. Below /slow it takes apiDelay to find a page.
func pages(records int) (server *httptest.Server, count int) {
	g := widetable.NewGenerator()
	all := make([]record, records)
	for i := range all {
		g.Next()
		all[i] = recordOf(g)
	}
	count = (records + apiPage - 1) / apiPage
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/slow") {
			time.Sleep(apiDelay)
		}
		n := 1
		if text := r.URL.Query().Get("page"); text != "" {
			n, _ = strconv.Atoi(text)
		}
		if n < 1 || n > count {
			http.Error(w, `{"error":"no such page"}`, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(page{all[(n-1)*apiPage : min(n*apiPage, records)], n, count})
	})), count
}

// fetchAhead reads all pages, each whole, with one request ahead of the page
// that is being read.
func fetchAhead(ctx context.Context, url string, count int) (time.Duration, error) {
	transport := &http.Transport{DialContext: new(net.Dialer).DialContext, MaxIdleConnsPerHost: 2}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	began := time.Now()
	ahead := make(chan *http.Response) // without room, or two would be ahead
	failed := make(chan error, 1)
	go func() {
		defer close(ahead)
		for p := range count {
			req, err := http.NewRequestWithContext(ctx, "GET", url+"?page="+strconv.Itoa(p+1), nil)
			if err == nil {
				var res *http.Response
				if res, err = client.Do(req); err == nil {
					ahead <- res
					continue
				}
			}
			failed <- err
			return
		}
	}()
	for res := range ahead {
		_, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil {
			return 0, err
		}
	}
	select {
	case err := <-failed:
		return 0, err
	default:
		return time.Since(began), nil
	}
}

func (b *bench) api(ctx context.Context) ([]report.Row, error) {
	records := b.Rows(apiRecords)
	server, count := pages(records)
	defer server.Close()
	s, err := b.Serve(ctx)
	if err != nil {
		return nil, err
	}
	var results []report.Row
	for _, path := range []string{"/records", "/slow/records"} {
		url := server.URL + path
		source, err := s.Connect(ctx, "api", strings.ReplaceAll(path[1:], "/", "_"), rig.Object{"base_url": url, "max_pages": count + 1})
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("HTTP API, %d records in pages of %d", records, apiPage)
		if path != "/records" {
			name = fmt.Sprintf("the same, %v to find a page", apiDelay)
		}
		ours, limit, err := b.Pair(ctx, name, s.Syncing(source, rig.Object{"mode": "full_refresh"}, records, nil),
			func(ctx context.Context) (time.Duration, error) { return fetchAhead(ctx, url, count) })
		if err != nil {
			return nil, err
		}
		// As fast as 0.8 of the loop is to take 1.25 times as long.
		results = append(results, report.Ratio(name, "loop, one connection ahead", records, ours, limit, 1.25))
	}
	return results, nil
}
