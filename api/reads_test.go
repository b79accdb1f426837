package api

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headwater/api/call"
)

func TestListIsReadOnce(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	for i := range 5 {
		c.connected("user", source(fmt.Sprintf("s%d", i), "db"))
	}
	all := c.get("/data/w1/list")
	tag := all.Header.Get("ETag")
	if all.Header.Get("Cache-Control") != "private, no-cache" || !strings.HasPrefix(tag, `W/"`) || tag == "" || all.Header.Get(call.HeaderSequence) == "" {
		t.Errorf("headers: %v", all.Header)
	}
	for _, match := range []string{tag, strings.TrimPrefix(tag, "W/"), `"x", ` + tag, "*"} {
		if r := c.get("/data/w1/list", "If-None-Match", match); r.Code != 304 || r.Raw != "" || r.Header.Get("ETag") != tag {
			t.Errorf("If-None-Match %s: %d %q", match, r.Code, r.Raw)
		}
	}
	if r := c.get("/data/w1/list?limit=2", "If-None-Match", tag); r.Code != 200 {
		t.Errorf("another query: %d", r.Code)
	}
	before := all.Header.Get(call.HeaderSequence)
	c.connected("user", source("s5", "db"))
	if r := c.get("/data/w1/list", "If-None-Match", tag); r.Code != 200 || r.Header.Get("ETag") == tag {
		t.Errorf("after a change: %d", r.Code)
	}
	if r := c.get("/data/w1/list?as_of=" + before); string(r.Data) != string(all.Data) {
		t.Errorf("as of %s: %s", before, r.Raw)
	}
	if r := c.get("/data/w1/list?as_of=" + time.Now().UTC().Format(time.RFC3339Nano)); r.Code != 200 || len(into[[]object](t, r)) != 6 {
		t.Errorf("as of now: %d %s", r.Code, r.Raw)
	}
	if r := c.get("/data/w1/list?as_of=2001-01-01T00:00:00Z"); r.Code != 404 {
		t.Errorf("as of long ago: %d %s", r.Code, r.Raw)
	}

	var names []string
	page := c.get("/data/w1/list?limit=4&q=S")
	for pages := 1; ; pages++ {
		for _, s := range into[[]struct{ Name string }](t, page) {
			names = append(names, s.Name)
		}
		if page.NextCursor == "" {
			if pages != 2 || page.Header.Get("Link") != "" {
				t.Errorf("%d pages, %v", pages, page.Header)
			}
			break
		}
		link, rel, _ := strings.Cut(page.Header.Get("Link"), ">; ")
		if rel != `rel="next"` || !strings.Contains(link, "q=S") {
			t.Fatalf("link %s", page.Header.Get("Link"))
		}
		next := c
		next.base = ""
		page = next.get(strings.TrimPrefix(link, "<"))
	}
	if got := strings.Join(names, " "); got != "s0 s1 s2 s3 s4 s5" {
		t.Errorf("pages held %s", got)
	}
	if r := c.get("/data/w1/list?name=s3"); len(into[[]object](t, r)) != 1 {
		t.Errorf("by name: %s", r.Raw)
	}
	if r := c.call("HEAD", "/data/w1/list", nil); r.Code != 200 || r.Raw != "" || r.Header.Get("Content-Length") == "" {
		t.Errorf("HEAD: %d %v", r.Code, r.Header)
	}
}

func TestMinSequence(t *testing.T) {
	behind := new(atomic.Bool)
	h := newHouse(t, func(d *Deps) {
		d.Options.MinSequenceWait = 50 * time.Millisecond
		d.Reads = lagging{d.Reads, behind}
	})
	c := h.ada()
	c.connected("user", source("x", "db"))
	at := c.get("/data/w1/list").Header.Get(call.HeaderSequence)
	if r := c.get("/data/w1/list", call.HeaderMinSequence, at); r.Code != 200 {
		t.Errorf("a sequence that is there: %d", r.Code)
	}
	for _, r := range []reply{c.get("/data/w1/list", call.HeaderMinSequence, "1000000"), c.post("/data/w1/cleanup", object{}, call.HeaderMinSequence, "1000000")} {
		// No answer can have told it: the client's mistake, at once.
		if r.Code != 400 || !strings.Contains(r.Raw, call.HeaderMinSequence) || !strings.Contains(r.Raw, "beyond the end of the log") {
			t.Errorf("one that is not: %d %s", r.Code, r.Raw)
		}
	}
	behind.Store(true)
	if r := c.get("/data/w1/list", call.HeaderMinSequence, at); r.Code != 503 || r.code() != "behind" || r.Header.Get("Retry-After") != "1" {
		t.Errorf("one that this node has not reached: %d %v", r.Code, r.Header)
	}
}

// lagging is a read model that can be told to have stopped one event ago.
type lagging struct {
	Reads
	behind *atomic.Bool
}

func (l lagging) Position() uint64 {
	if l.behind.Load() {
		return l.Reads.Position() - 1
	}
	return l.Reads.Position()
}

func (l lagging) Wait(ctx context.Context, sequence uint64) error {
	if l.behind.Load() && sequence > l.Position() {
		<-ctx.Done()
		return ctx.Err()
	}
	return l.Reads.Wait(ctx, sequence)
}

func TestSchemaPages(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	id := c.connected("organization", source("x", "db"))["x"]
	path := "/data/w1/schema?scope=organization&source_id=" + id
	first := c.get(path + "&limit=1")
	if !strings.Contains(first.Raw, `"name":"customers"`) || strings.Contains(first.Raw, `"name":"orders"`) || first.NextCursor == "" {
		t.Fatalf("first page: %s", first.Raw)
	}
	if r := c.get(path + "&limit=1&cursor=" + first.NextCursor); !strings.Contains(r.Raw, `"name":"orders"`) || r.NextCursor != "" {
		t.Errorf("second page: %s", r.Raw)
	}
	if r := c.get(path + "&table=public.orders"); strings.Contains(r.Raw, `"name":"customers"`) || r.Message != "1 table" {
		t.Errorf("one table: %s", r.Raw)
	}
	r := c.get(path)
	if again := c.get(path, "If-None-Match", r.Header.Get("ETag")); again.Code != 304 {
		t.Errorf("again: %d", again.Code)
	}
	if r := c.get(path + "&as_of=1"); r.Code != 404 || strings.Contains(r.Message, "no source") {
		t.Errorf("before there was a schema: %d %s", r.Code, r.Raw)
	}
	history := c.get("/data/w1/schema/history?scope=organization&source_id=" + id)
	if history.Code != 200 || len(into[[]object](t, history)) != 1 {
		t.Errorf("history: %d %s", history.Code, history.Raw)
	}
	columns := "/data/w1/schema/columns?scope=organization&source_id=" + id
	if r := c.get(columns + "&table=public.orders"); r.Code != 200 || len(into[[]object](t, r)) == 0 || into[[]object](t, r)[0]["removed"] != nil {
		t.Errorf("columns: %d %s", r.Code, r.Raw)
	}
	if r := c.get(columns + "&table=orders&column=none"); r.Code != 404 || !strings.Contains(r.Message, "never had a column none") {
		t.Errorf("a column that never was: %d %s", r.Code, r.Raw)
	}
	if r := c.get(columns); r.Code != 400 || r.Error.Details[0].Field != "table" {
		t.Errorf("columns of no table: %d %s", r.Code, r.Raw)
	}
}
