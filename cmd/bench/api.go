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

// pages serves records of the wide table's first columns in numbered pages.
func pages(records int) (*httptest.Server, int, error) {
	g := newGenerator()
	count := records / apiPage
	bodies := make([][]byte, count)
	for p := range bodies {
		list := make([]object, apiPage)
		for i := range list {
			g.next()
			list[i] = object{"id": g.id, "order_id": g.id/4 + 1, "price": json.Number(g.values[4]), "ship_date": g.values[6],
				"updated_at": g.values[8][:10] + "T" + g.values[8][11:] + "Z", "mode": g.values[10], "comment": g.values[12], "row_uuid": g.values[15]}
		}
		var err error
		if bodies[p], err = json.Marshal(object{"records": list, "page": p + 1, "total_pages": count}); err != nil {
			return nil, 0, err
		}
	}
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := 1
		if text := r.URL.Query().Get("page"); text != "" {
			page, _ = strconv.Atoi(text)
		}
		if page < 1 || page > count {
			http.Error(w, `{"error":"no such page"}`, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(bodies[page-1])
	})), count, nil
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
	server, count, err := pages(records)
	if err != nil {
		return nil, err
	}
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
