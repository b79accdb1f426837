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
	"time"
)

// record is one object of the API.
type record struct {
	ID        int64       `json:"id"`
	OrderID   int64       `json:"order_id"`
	Price     json.Number `json:"price"`
	ShipDate  string      `json:"ship_date"`
	UpdatedAt string      `json:"updated_at"`
	Mode      string      `json:"mode"`
	Comment   string      `json:"comment"`
	UUID      string      `json:"row_uuid"`
}

// page is one answer of the API.
type page struct {
	Records []record `json:"records"`
	Page    int      `json:"page"`
	Total   int      `json:"total_pages"`
}

// pages serves records in numbered pages and encodes each page when it is asked
// for, as APIs do.
func pages(records int) (server *httptest.Server, count int) {
	g := newGenerator()
	all := make([]record, records)
	for i := range all {
		g.next()
		all[i] = record{g.id, g.id/4 + 1, json.Number(g.values[4]), g.values[6],
			g.values[8][:10] + "T" + g.values[8][11:] + "Z", g.values[10], g.values[12], g.values[15]}
	}
	count = (records + apiPage - 1) / apiPage
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	ahead := make(chan *http.Response, 1)
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

func (b *bench) api(ctx context.Context) ([]result, error) {
	records := b.rows(apiRecords)
	server, count := pages(records)
	defer server.Close()
	s, err := b.serve(ctx)
	if err != nil {
		return nil, err
	}
	url := server.URL + "/records"
	source, err := s.connect(ctx, "api", "api", object{"base_url": url, "max_pages": count + 1})
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("HTTP API, %d records in pages of %d", records, apiPage)
	ours, limit, err := b.pair(ctx, name, s.syncing(source, object{"mode": "full_refresh"}, records, nil),
		func(ctx context.Context) (time.Duration, error) { return fetchAhead(ctx, url, count) })
	if err != nil {
		return nil, err
	}
	// As fast as 0.8 of the loop is to take 1.25 times as long.
	return []result{ratio(name, "loop, one connection ahead", records, ours, limit, 1.25)}, nil
}
