package iceberg

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"headwater/projections"
)

// TestWhatAnotherNodeAnsweredIsThere has sources and a table that this node learns
// of only when it reads the log to its end.
func TestWhatAnotherNodeAnsweredIsThere(t *testing.T) {
	for _, c := range []struct {
		path       string
		asks       int // how often the log is asked
		late, lost int // status with and without the log's answer
	}{
		{"GET /config?warehouse=w", 1, 200, 200},
		{"GET /w/namespaces/late", 1, 200, 404},
		{"HEAD /w/namespaces/late", 1, 204, 404},
		{"GET /w/namespaces/late/views", 1, 200, 404},
		{"GET /w/namespaces?parent=late", 1, 200, 404},
		{"GET /w/namespaces/late/tables", 1, 200, 404},
		{"GET /w/namespaces/late/tables/public__orders", 1, 200, 404},
		{"GET /w/namespaces/shop/tables/newest", 1, 200, 404},
		{"HEAD /w/namespaces/shop/tables/newest", 1, 204, 404},
		{"GET /w/namespaces/shop/tables/newest/credentials", 1, 200, 404},
		{"GET /w/namespaces/shop/tables/none", 1, 404, 404},
		{"GET /w/namespaces/none/tables/none", 1, 404, 404},
		{"GET /no.good/namespaces/late", 0, 404, 404},
		{"GET /w/namespaces/shop/tables/public__orders", 0, 200, 200}, // its key names the newest state anyway
		{"GET /w/namespaces/shop", 0, 200, 200},
	} {
		for _, answers := range []bool{true, false} {
			s, asks := newShop(), 0
			status, body := ask(s, c.path, Deps{Recent: func(context.Context) error {
				if asks++; !answers {
					return errors.New("no log")
				}
				s.own = append(s.own, source("src_8", "late", "ada"))
				s.tables = append(s.tables, landed("", "newest"))
				return nil
			}})
			want := c.late
			if !answers {
				want = c.lost
			}
			if status != want || asks != c.asks {
				t.Errorf("%s, the log answers %v: %d %s, want %d; asked %d times, want %d", c.path, answers, status, body, want, asks, c.asks)
			}
		}
	}
	for path, want := range map[string]string{"GET /w/namespaces": "late", "GET /w/namespaces/shop/tables": "newest"} {
		s := newShop()
		if _, body := ask(s, path, Deps{Recent: func(context.Context) error {
			s.own = append(s.own, source("src_8", "late", "ada"))
			s.tables = append(s.tables, projections.LandedTable{Name: "newest", Landed: projections.Landed{SnapshotID: 1}})
			return nil
		}}); !strings.Contains(body, want) {
			t.Errorf("%s lacks %s: %s", path, want, body)
		}
	}
}

// ask makes one request with a token that is good.
func ask(s *shop, call string, d Deps, headers ...string) (int, string) {
	w := answered(s, call, d, headers...)
	return w.Code, w.Body.String()
}

func answered(s *shop, call string, d Deps, headers ...string) *httptest.ResponseRecorder {
	d.Reads, d.Lake = s, s
	if d.Verify == nil {
		d.Verify = func(string) (Caller, error) { return Caller{Organization: "acme", Username: "ada"}, nil }
	}
	method, path, _ := strings.Cut(call, " ")
	host, path, given := strings.Cut(path, " ")
	if !given {
		host, path = "here", host
	}
	r := httptest.NewRequest(method, "http://"+host+Base+path, nil)
	r.Header.Set("Authorization", "Bearer any")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	New(d).ServeHTTP(w, r)
	return w
}

// TestTokenThatCannotBeLookedUp is no reason for an engine to give up: the answer is
// not that of a token that is wrong.
func TestTokenThatCannotBeLookedUp(t *testing.T) {
	w := answered(newShop(), "GET /config?warehouse=w", Deps{Verify: func(string) (Caller, error) { return Caller{}, ErrLookup }})
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || w.Header().Get("WWW-Authenticate") != "" || !strings.Contains(w.Body.String(), "try again") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// byHost gives out keys whose endpoint is the host that the client named.
type byHost struct{}

func (byHost) View(_ context.Context, a Ask) (View, error) {
	return View{Table: a.Table, Config: map[string]string{"s3.endpoint": "http://" + a.Request.Host, "s3.region": "r"}}, nil
}

// TestTagOfAnotherNode must not keep a client at the address of the node that it
// left: what it has leads there.
func TestTagOfAnotherNode(t *testing.T) {
	const path = "/w/namespaces/shop/tables/public__orders"
	d := Deps{Access: byHost{}}
	tag := answered(newShop(), "GET one "+path, d).Header().Get("ETag")
	for host, want := range map[string]int{"one": 304, "two": 200} {
		if w := answered(newShop(), "GET "+host+" "+path, d, "If-None-Match", tag); w.Code != want {
			t.Errorf("at %s: %d %s, want %d", host, w.Code, w.Body, want)
		}
	}
}
