package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/httpapi"
)

const null = drivertest.Null

// item is one record of the test APIs.
func item(i int) string { return fmt.Sprintf(`{"id":%d,"name":"item %d"}`, i, i) }

// items returns records from (inclusive) to (exclusive) as a JSON list.
func items(from, to int) string {
	var list []string
	for i := from; i < to; i++ {
		list = append(list, item(i))
	}
	return "[" + strings.Join(list, ",") + "]"
}

func number(r *http.Request, name string, otherwise int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil {
		return otherwise
	}
	return n
}

// slice returns a page of total records.
func slice(from, size, total int) string {
	from = min(max(from, 0), total)
	return items(from, min(from+size, total))
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}

func open(t *testing.T, settings map[string]any, limits driver.Limits) (driver.Source, error) {
	t.Helper()
	raw, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	src, err := httpapi.Driver{}.Open(t.Context(), driver.Config{Settings: raw, Dial: (&net.Dialer{}).DialContext, Limits: limits, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Cleanup(func() { src.Close() })
	}
	return src, err
}

func read(t *testing.T, src driver.Source, table driver.Table, from driver.Cursor) (rows [][]string, resume *driver.Cursor, err error) {
	t.Helper()
	for batch, err := range src.Read(t.Context(), table, from) {
		if err != nil {
			return rows, resume, err
		}
		for i := range int(batch.Record.NumRows()) {
			var row []string
			for c := range int(batch.Record.NumCols()) {
				row = append(row, drivertest.Text(batch.Record.Column(c), i))
			}
			rows = append(rows, row)
		}
		if batch.Resume != nil {
			resume = batch.Resume
		}
		batch.Record.Release()
	}
	return rows, resume, nil
}

// all opens, discovers and reads the first table of an API.
func all(t *testing.T, settings map[string]any) (driver.Table, [][]string, error) {
	t.Helper()
	src, err := open(t, settings, driver.Limits{})
	if err != nil {
		return driver.Table{}, nil, err
	}
	tables, err := src.Discover(t.Context())
	if err != nil {
		return driver.Table{}, nil, err
	}
	rows, _, err := read(t, src, tables[0], driver.Cursor{})
	return tables[0], rows, err
}

func col(name string, t driver.Type) driver.Column {
	return driver.Column{Name: name, Type: t, Nullable: true}
}

func TestConformance(t *testing.T) {
	const large = 5000
	mux := http.NewServeMux()
	guarded := func(path string, h http.HandlerFunc) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			switch key := r.Header.Get("X-API-Key"); {
			case key == "":
				http.Error(w, `{}`, http.StatusUnauthorized)
			case key != "s3cret-key":
				http.Error(w, `{"message":"wrong key `+key+`"}`, http.StatusForbidden)
			default:
				h(w, r)
			}
		})
	}
	guarded("/v1/orders", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"data":[
			{"id":1,"price":1.5,"paid":true,"at":"2024-01-01T10:00:00Z","day":"2024-01-01","lines":[{"sku":"a"}],"note":"h\u00e9","big":9007199254740993},
			{"id":2,"price":2,"paid":false,"at":"2024-01-02T10:00:00+02:00","day":"2024-01-02","lines":[],"note":"12","big":1,"late":"x"},
			{"id":3,"price":null,"updated_at":"2024-01-03T00:00:00Z"}]}`)
	})
	guarded("/v1/large", func(w http.ResponseWriter, r *http.Request) {
		page := number(r, "page", 1)
		fmt.Fprintf(w, `{"page":%d,"total_pages":50,"items":%s}`, page, slice((page-1)*100, 100, large))
	})
	guarded("/v1/none", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"results":[],"next":null}`) })
	srv := serve(t, mux.ServeHTTP)
	html := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<!doctype html><p>Log in") })
	gone := httptest.NewServer(nil)
	gone.Close()
	text, integer := driver.Of(driver.String), driver.Of(driver.Int64)
	extra := col("_extra", driver.Of(driver.JSON))
	largeRows := make([][]string, large)
	for i := range largeRows {
		largeRows[i] = []string{fmt.Sprint(i), fmt.Sprintf("item %d", i), null}
	}
	settings := func(change map[string]any) map[string]any {
		out := map[string]any{"base_url": srv.URL + "/v1", "api_key": "s3cret-key", "paths": []string{"orders", "/large", "none"}}
		for k, v := range change {
			out[k] = v
		}
		return out
	}
	drivertest.Run(t, drivertest.Harness{
		Driver: httpapi.Driver{}, Settings: settings(nil), Secrets: []string{"s3cret", "wrong-key", "hunter2"}, Exact: true, Large: "large", LargeRows: large,
		Bad: []drivertest.Bad{
			{Name: "no URL", Settings: map[string]any{}, Kind: driver.ErrInvalidConfig},
			{Name: "no host", Settings: settings(map[string]any{"base_url": "https:///x"}), Kind: driver.ErrInvalidConfig},
			{Name: "scheme", Settings: settings(map[string]any{"base_url": "file:///etc/passwd"}), Kind: driver.ErrInvalidConfig},
			{Name: "user in the URL", Settings: settings(map[string]any{"base_url": "https://me:hunter2@example.com"}), Kind: driver.ErrInvalidConfig},
			{Name: "query in the URL", Settings: settings(map[string]any{"base_url": srv.URL + "?token=hunter2"}), Kind: driver.ErrInvalidConfig},
			{Name: "query in a path", Settings: settings(map[string]any{"paths": []string{"x?token=hunter2"}}), Kind: driver.ErrInvalidConfig},
			{Name: "other host in a path", Settings: settings(map[string]any{"paths": []string{"//example.com/x"}}), Kind: driver.ErrInvalidConfig},
			{Name: "same name twice", Settings: settings(map[string]any{"paths": []string{"a/x", "b/x"}}), Kind: driver.ErrInvalidConfig},
			{Name: "unknown key", Settings: settings(map[string]any{"proxy": "http://x"}), Kind: driver.ErrInvalidConfig},
			{Name: "line break in the key", Settings: settings(map[string]any{"api_key": "hunter2\n"}), Kind: driver.ErrInvalidConfig},
			{Name: "host header", Settings: settings(map[string]any{"headers": map[string]string{"host": "x"}}), Kind: driver.ErrInvalidConfig},
			{Name: "no key", Settings: settings(map[string]any{"api_key": ""}), Kind: driver.ErrAuthentication},
			{Name: "wrong key", Settings: settings(map[string]any{"api_key": "wrong-key"}), Kind: driver.ErrPermission},
			{Name: "no such path", Settings: settings(map[string]any{"paths": []string{"gone"}}), Kind: driver.ErrNotFound},
			{Name: "nobody there", Settings: settings(map[string]any{"base_url": gone.URL}), Kind: driver.ErrUnreachable},
			{Name: "HTML", Settings: settings(map[string]any{"base_url": html.URL}), Kind: driver.ErrBadData},
			{Name: "TLS to a plain server", Settings: settings(map[string]any{"base_url": strings.Replace(srv.URL, "http:", "https:", 1)}), Kind: driver.ErrUnreachable},
			{Name: "records path", Settings: settings(map[string]any{"paths": []string{"orders"}, "records_path": "a.b"}), Kind: driver.ErrInvalidConfig},
		},
		Tables: []drivertest.Expected{
			{
				Table: driver.Table{Name: "orders", Kind: "endpoint", RowEstimate: 3, PrimaryKey: []string{"id"}, Cursor: "updated_at", Columns: []driver.Column{
					col("id", integer), col("price", driver.Of(driver.Float64)), col("paid", driver.Of(driver.Boolean)), col("at", driver.Of(driver.TimestampTZ)),
					col("day", driver.Of(driver.Date)), col("lines", driver.Of(driver.JSON)), col("note", text), col("big", integer), col("late", text), col("updated_at", driver.Of(driver.TimestampTZ))}},
				Rows: [][]string{
					{"1", "1.5", "true", "2024-01-01T10:00:00.000000Z", "2024-01-01", `[{"sku":"a"}]`, "hé", "9007199254740993", null, null},
					{"2", "2", "false", "2024-01-02T08:00:00.000000Z", "2024-01-02", "[]", "12", "1", "x", null},
					{"3", null, null, null, null, null, null, null, null, "2024-01-03T00:00:00.000000Z"},
				},
				Cursors: []string{"id", "updated_at"},
			},
			{Table: driver.Table{Name: "large", Kind: "endpoint", RowEstimate: -1, PrimaryKey: []string{"id"}, Cursor: "id", Columns: []driver.Column{col("id", integer), col("name", text), extra}}, Rows: largeRows},
			{Table: driver.Table{Name: "none", Kind: "endpoint", Blank: true, Columns: []driver.Column{extra}}},
		},
	})
}

// TestPages has every way of paging give the same 25 records.
func TestPages(t *testing.T) {
	const total, size = 25, 10
	offsetOf := func(r *http.Request) int { return (number(r, "page", 1) - 1) * size }
	for name, h := range map[string]func(srv string, w http.ResponseWriter, r *http.Request){
		"Link header": func(srv string, w http.ResponseWriter, r *http.Request) {
			if page := number(r, "p", 1); page < 3 {
				w.Header().Add("Link", fmt.Sprintf(`<%s/x?p=1>; rel="first", <%s/x?p=%d>; title="a, b"; rel="next"`, srv, srv, page+1))
			} else {
				w.Header().Add("Link", `</x?p=2>; rel="prev"`)
			}
			fmt.Fprint(w, slice((number(r, "p", 1)-1)*size, size, total))
		},
		"next URL": func(srv string, w http.ResponseWriter, r *http.Request) {
			next := "null"
			if page := number(r, "page", 1); page < 3 {
				next = fmt.Sprintf(`"%s/x?page=%d"`, srv, page+1)
			}
			fmt.Fprintf(w, `{"count":25,"next":%s,"previous":null,"results":%s}`, next, slice(offsetOf(r), size, total))
		},
		"relative next URL in links": func(srv string, w http.ResponseWriter, r *http.Request) {
			links := `{"self":{"href":"/x"}}`
			if page := number(r, "page", 1); page < 3 {
				links = fmt.Sprintf(`{"next":{"href":"?page=%d"}}`, page+1)
			}
			fmt.Fprintf(w, `{"_links":%s,"_embedded":{"things":%s},"total":25}`, links, slice(offsetOf(r), size, total))
		},
		"list of links": func(srv string, w http.ResponseWriter, r *http.Request) {
			links := `[{"relation":"self","url":"/x"}]`
			if page := number(r, "page", 1); page < 3 {
				links = fmt.Sprintf(`[{"relation":"next","url":"/x?page=%d"}]`, page+1)
			}
			fmt.Fprintf(w, `{"link":%s,"entry":%s}`, links, slice(offsetOf(r), size, total))
		},
		"OData": func(srv string, w http.ResponseWriter, r *http.Request) {
			next := ""
			if page := number(r, "$skiptoken", 1); page < 3 {
				next = fmt.Sprintf(`"@odata.nextLink":"%s/x?$skiptoken=%d",`, srv, page+1)
			}
			fmt.Fprintf(w, `{%s"value":%s}`, next, slice((number(r, "$skiptoken", 1)-1)*size, size, total))
		},
		"cursor": func(srv string, w http.ResponseWriter, r *http.Request) {
			at := number(r, "cursor", 0)
			next := `""`
			if at+size < total {
				next = fmt.Sprintf(`"%d"`, at+size)
			}
			fmt.Fprintf(w, `{"ok":true,"members":%s,"response_metadata":{"next_cursor":%s}}`, slice(at, size, total), next)
		},
		"page token": func(srv string, w http.ResponseWriter, r *http.Request) {
			at := number(r, "pageToken", 0)
			next := ""
			if at+size < total {
				next = fmt.Sprintf(`,"nextPageToken":"%d"`, at+size)
			}
			fmt.Fprintf(w, `{"items":%s%s}`, slice(at, size, total), next)
		},
		"has_more and id": func(srv string, w http.ResponseWriter, r *http.Request) {
			at := number(r, "starting_after", -1) + 1
			fmt.Fprintf(w, `{"object":"list","has_more":%t,"data":%s}`, at+size < total, slice(at, size, total))
		},
		"page number": func(srv string, w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"meta":{"current_page":%d,"last_page":3},"data":%s}`, number(r, "page", 1), slice(offsetOf(r), size, total))
		},
		"page number without the current one": func(srv string, w http.ResponseWriter, r *http.Request) {
			if number(r, "page", 1) > 3 {
				http.Error(w, "no such page", http.StatusBadRequest)
				return
			}
			fmt.Fprintf(w, `{"total_pages":3,"data":%s}`, slice(offsetOf(r), size, total))
		},
		"page number from 0": func(srv string, w http.ResponseWriter, r *http.Request) {
			page := number(r, "page", 0)
			if page > 2 {
				http.Error(w, "no such page", http.StatusBadRequest)
				return
			}
			fmt.Fprintf(w, `{"content":%s,"number":%d,"totalPages":3}`, slice(page*size, size, total), page)
		},
		"number of the next page": func(srv string, w http.ResponseWriter, r *http.Request) {
			next := "null"
			if page := number(r, "page", 1); page < 3 {
				next = fmt.Sprint(page + 1)
			}
			fmt.Fprintf(w, `{"next_page":%s,"data":%s}`, next, slice(offsetOf(r), size, total))
		},
		"offset": func(srv string, w http.ResponseWriter, r *http.Request) {
			at := number(r, "skip", 0)
			fmt.Fprintf(w, `{"products":%s,"total":25,"skip":%d,"limit":10}`, slice(at, size, total), at)
		},
		"silent page number": func(srv string, w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, slice(offsetOf(r), size, total))
		},
		"silent page number that ends with 404": func(srv string, w http.ResponseWriter, r *http.Request) {
			if number(r, "page", 1) > 3 {
				http.NotFound(w, r)
				return
			}
			fmt.Fprint(w, slice(offsetOf(r), size, total))
		},
		"silent page number that stays on the last page": func(srv string, w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, slice((min(number(r, "page", 1), 3)-1)*size, size, total))
		},
		"silent offset": func(srv string, w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, slice(number(r, "offset", 0), size, total))
		},
		"silent offset that knows a total": func(srv string, w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("page") {
				fmt.Fprint(w, `[]`)
				return
			}
			w.Header().Set("X-Total-Count", "25")
			fmt.Fprint(w, slice(number(r, "offset", 0), size, total))
		},
		"everything at once": func(srv string, w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"total":25,"rows":%s}`, items(0, total))
		},
		"everything, strict parameters": func(srv string, w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "" {
				http.Error(w, "unknown parameter", http.StatusBadRequest)
				return
			}
			fmt.Fprintf(w, `{"total":25,"rows":%s}`, items(0, total))
		},
		"everything with a time in it": func(srv string, w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"request":%q,"next":null,"rows":%s}`, r.URL.RawQuery, items(0, total))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var srv *httptest.Server
			srv = serve(t, func(w http.ResponseWriter, r *http.Request) { h(srv.URL, w, r) })
			table, rows, err := all(t, map[string]any{"base_url": srv.URL + "/x"})
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]int{}
			for _, row := range rows {
				seen[row[0]]++
			}
			if len(rows) != total || len(seen) != total || table.RowEstimate != total {
				t.Errorf("%d rows, %d different, %d said; want %d", len(rows), len(seen), table.RowEstimate, total)
			}
		})
	}
}

func TestPagesBySettings(t *testing.T) {
	const total = 25
	for name, c := range map[string]struct {
		pagination map[string]any
		h          http.HandlerFunc
	}{
		"page": {map[string]any{"type": "page", "page_param": "p", "size_param": "n", "start_page": 0}, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, slice(number(r, "p", 99)*number(r, "n", 0), number(r, "n", 0), total))
		}},
		"offset": {map[string]any{"type": "offset", "offset_param": "o"}, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, slice(number(r, "o", 99), number(r, "limit", 0), total))
		}},
		"cursor": {map[string]any{"type": "cursor", "cursor_field": "x.y", "cursor_param": "z"}, func(w http.ResponseWriter, r *http.Request) {
			at := number(r, "z", 0)
			y := "null"
			if at+10 < total {
				y = fmt.Sprint(at + 10)
			}
			fmt.Fprintf(w, `{"x":{"y":%s},"rows":%s}`, y, slice(at, 10, total))
		}},
		"next_url": {map[string]any{"type": "next_url", "next_field": "x.y"}, func(w http.ResponseWriter, r *http.Request) {
			at := number(r, "z", 0)
			y := `""`
			if at+10 < total {
				y = fmt.Sprintf(`"?z=%d"`, at+10)
			}
			fmt.Fprintf(w, `{"x":{"y":%s},"rows":%s}`, y, slice(at, 10, total))
		}},
	} {
		srv := serve(t, c.h)
		_, rows, err := all(t, map[string]any{"base_url": srv.URL, "pagination": c.pagination, "page_size": 10})
		if err != nil || len(rows) != total {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
	}
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, slice(number(r, "page", 1)*10-10, 10, total))
	})
	if _, rows, err := all(t, map[string]any{"base_url": srv.URL, "pagination": map[string]any{"type": "none"}}); err != nil || len(rows) != 10 {
		t.Errorf("none: %d rows, %v", len(rows), err)
	}
}

func TestBadAnswers(t *testing.T) {
	other := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, items(0, 3)) })
	var requests atomic.Int64
	for name, c := range map[string]struct {
		h       http.HandlerFunc
		kind    error
		message string
	}{
		"endless pages": {func(w http.ResponseWriter, r *http.Request) {
			n := number(r, "page", 1)
			fmt.Fprintf(w, `{"next":"/?page=%d","data":%s}`, n+1, items(n*10, n*10+10))
		}, driver.ErrLimit, "raise max_pages"},
		"endless pages that say nothing": {func(w http.ResponseWriter, r *http.Request) {
			n := number(r, "page", 1)
			fmt.Fprint(w, items(n*10, n*10+10))
		}, driver.ErrLimit, "more than 30 pages"},
		"next page that is this one": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"next":"/?page=2","data":%s}`, items(number(r, "page", 1)*10, number(r, "page", 1)*10+10))
		}, driver.ErrBadData, "circles"},
		"same page under new URLs": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"next":"/?page=%d","data":%s}`, requests.Add(1), items(0, 10))
		}, driver.ErrBadData, "same records again"},
		"cursor that is ignored": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"next_cursor":"abc","data":%s}`, items(0, 10))
		}, driver.ErrInvalidConfig, "cursor_param"},
		"total that cannot be reached": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"total":100,"data":%s}`, items(0, 10))
		}, driver.ErrInvalidConfig, "says that it has 100 records and gave 10"},
		"next page elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"next":"%s/x?key=hunter2","data":%s}`, strings.Replace(other.URL, "127.0.0.1", "localhost", 1), items(0, 10))
		}, driver.ErrPermission, "another host"},
		"redirect elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/?key=hunter2", http.StatusFound)
		}, driver.ErrPermission, "another host"},
		"redirect in circles": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/?key=hunter2", http.StatusFound) }, driver.ErrBadData, "circles"},
		"server error":        {func(w http.ResponseWriter, r *http.Request) { http.Error(w, "hunter2", http.StatusInternalServerError) }, driver.ErrUnreachable, "500"},
		"long Retry-After": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "86400")
			http.Error(w, "", http.StatusTooManyRequests)
		}, driver.ErrUnreachable, "asks to wait"},
		"text": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprint(w, "hello")
		}, driver.ErrBadData, `"text/plain"`},
		"nothing":       {func(w http.ResponseWriter, r *http.Request) {}, driver.ErrBadData, "nothing"},
		"broken JSON":   {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `[{"a":1},`) }, driver.ErrBadData, "broken JSON"},
		"HTML":          {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "\n<html>") }, driver.ErrBadData, "login page"},
		"list of words": {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `["a"]`) }, driver.ErrBadData, "no object"},
		"a number":      {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `5`) }, driver.ErrBadData, "neither a list nor an object"},
		"two lists":     {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"a":[{}],"b":[{}]}`) }, driver.ErrInvalidConfig, "records_path"},
		"too large": {func(w http.ResponseWriter, r *http.Request) {
			chunk := []byte(`[` + strings.Repeat(" ", 1<<20))
			for range 70 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, driver.ErrLimit, "64 MiB"},
		"hangs up": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `[{"a":1}`)
		}, driver.ErrUnreachable, "cannot be reached"},
		"never answers": {func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, driver.ErrTimeout, "within 1s"},
		"other values later": {func(w http.ResponseWriter, r *http.Request) {
			n := number(r, "page", 1)
			if n == 3 {
				fmt.Fprint(w, `{"page":3,"pages":3,"data":[{"id":"x1"}]}`)
				return
			}
			fmt.Fprintf(w, `{"page":%d,"pages":3,"data":%s}`, n, items(n*1000, n*1000+1000))
		}, driver.ErrRetyped, `record 2001: field "id"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, c.h)
			timeout := 60
			if c.kind == driver.ErrTimeout {
				timeout = 1
			}
			_, rows, err := all(t, map[string]any{"base_url": srv.URL, "params": map[string]string{"key": "hunter2"}, "api_key": "hunter2", "api_key_header": "X-Key", "max_pages": 30, "timeout_seconds": timeout})
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.message) {
				t.Fatalf("%d rows, %v; want %v: %s", len(rows), err, c.kind, c.message)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret is shown: %v", err)
			}
		})
	}
}

func TestRetries(t *testing.T) {
	var requests atomic.Int64
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch requests.Add(1) {
		case 1:
			w.Header().Set("Retry-After", "0")
			http.Error(w, "", http.StatusTooManyRequests)
		case 2:
			http.Error(w, "", http.StatusServiceUnavailable)
		default:
			fmt.Fprint(w, `{"data":[{"id":1}],"next":null}`)
		}
	})
	_, rows, err := all(t, map[string]any{"base_url": srv.URL})
	if err != nil || len(rows) != 1 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

func TestCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		settings map[string]any
		good     func(r *http.Request) bool
	}{
		"API key": {map[string]any{"api_key": "k"}, func(r *http.Request) bool {
			return r.Header.Get("X-API-Key") == "k" && r.Header.Get("Authorization") == ""
		}},
		"API key as a token":       {map[string]any{"api_key": "k"}, func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer k" }},
		"header":                   {map[string]any{"api_key": "k", "api_key_header": "X-Token"}, func(r *http.Request) bool { return r.Header.Get("X-Token") == "k" }},
		"Authorization":            {map[string]any{"api_key": "k", "api_key_header": "authorization"}, func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer k" }},
		"own scheme":               {map[string]any{"api_key": "Key k", "api_key_header": "Authorization"}, func(r *http.Request) bool { return r.Header.Get("Authorization") == "Key k" }},
		"parameter":                {map[string]any{"api_key": "k", "api_key_param": "key"}, func(r *http.Request) bool { return r.URL.Query().Get("key") == "k" && r.Header.Get("X-API-Key") == "" }},
		"bearer token":             {map[string]any{"bearer_token": "t"}, func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer t" }},
		"basic":                    {map[string]any{"username": "u", "password": "p"}, func(r *http.Request) bool { u, p, _ := r.BasicAuth(); return u == "u" && p == "p" }},
		"headers":                  {map[string]any{"headers": map[string]string{"x-a": "1"}}, func(r *http.Request) bool { return r.Header.Get("X-A") == "1" }},
		"parameters, page by page": {map[string]any{"params": map[string]string{"t": "1"}}, func(r *http.Request) bool { return r.URL.Query().Get("t") == "1" }},
	} {
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if !c.good(r) {
				http.Error(w, "", http.StatusUnauthorized)
				return
			}
			next := `"/x?page=2"`
			if number(r, "page", 1) == 2 {
				next = "null"
			}
			fmt.Fprintf(w, `{"next":%s,"data":[{"id":%d}]}`, next, number(r, "page", 1))
		})
		c.settings["base_url"] = srv.URL + "/x"
		if _, rows, err := all(t, c.settings); err != nil || len(rows) != 2 {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
	}
}

func TestRedirectOnTheSameHost(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/orders" {
			http.Redirect(w, r, "/orders/", http.StatusMovedPermanently)
			return
		}
		fmt.Fprintf(w, `{"data":[{"id":1,"key":%q}],"next":null}`, r.Header.Get("X-API-Key"))
	})
	if _, rows, err := all(t, map[string]any{"base_url": srv.URL + "/orders", "api_key": "k"}); err != nil || fmt.Sprint(rows) != "[[1 k]]" {
		t.Errorf("%v, %v", rows, err)
	}
}

func TestEnvironmentProxyIsNotUsed(t *testing.T) {
	var used atomic.Bool
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) { used.Store(true) })
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, items(0, 1)) })
	src, err := httpapi.Driver{}.Open(t.Context(), driver.Config{
		Settings: json.RawMessage(`{"base_url":"http://api.example.com"}`), Log: slog.New(slog.DiscardHandler),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != "api.example.com:80" {
				return nil, errors.New("dialled " + address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, srv.Listener.Addr().String())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := src.Check(t.Context()); err != nil || used.Load() {
		t.Errorf("%v, proxy used: %t", err, used.Load())
	}
}

func TestDialRefusedByPolicy(t *testing.T) {
	refused := driver.E(driver.ErrUnreachable, nil, "the address is not allowed")
	src, err := httpapi.Driver{}.Open(t.Context(), driver.Config{
		Settings: json.RawMessage(`{"base_url":"http://169.254.169.254/latest","api_key":"k"}`), Log: slog.New(slog.DiscardHandler),
		Dial: func(context.Context, string, string) (net.Conn, error) { return nil, refused },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	steps, err := src.(driver.Stepper).CheckSteps(t.Context())
	if !errors.Is(err, driver.ErrUnreachable) || len(steps) != 1 || steps[0].Name != "connect" {
		t.Errorf("%+v, %v", steps, err)
	}
}

func TestUnorderedCursor(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"data":[{"id":5},{"id":null},{"id":9},{"id":1}],"next":null}`)
	})
	src, err := open(t, map[string]any{"base_url": srv.URL}, driver.Limits{BatchRows: 2})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	four := "4"
	rows, resume, err := read(t, src, tables[0], driver.Cursor{Column: "id", Value: &four})
	if err != nil || fmt.Sprint(rows) != "[[5] [9]]" || resume == nil || *resume.Value != "9" {
		t.Errorf("%v, %+v, %v", rows, resume, err)
	}
}
