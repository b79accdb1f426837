package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestPageSizes has APIs that give other pages than were asked for, or than they
// say, or that end their pages before their records.
func TestPageSizes(t *testing.T) {
	const total = 237
	pages := func(c call) string { return slice((c.n("page", 1)-1)*100, 100, total) }
	offsets := func(c call) string { return slice(c.n("offset", 0), 100, total) }
	asked := func(pagination map[string]any) map[string]any {
		return map[string]any{"page_size": 1000, "pagination": pagination}
	}
	offset, page := map[string]any{"type": "offset"}, map[string]any{"type": "page", "size_param": "limit"}
	for name, c := range map[string]struct {
		settings map[string]any
		answer   func(c call)
		rows     int // 0 for refused
		says     string
	}{
		"fewer to a page than asked for":          {settings: asked(page), answer: func(c call) { c.say(`{"data":%s,"total":237}`, pages(c)) }, rows: total},
		"fewer, and the size that was asked for":  {settings: asked(page), answer: func(c call) { c.say(`{"data":%s,"total":237,"limit":%d}`, pages(c), c.n("limit", 0)) }, rows: total},
		"fewer by offset":                         {settings: asked(offset), answer: func(c call) { c.say(`{"data":%s,"total":237}`, offsets(c)) }, rows: total},
		"fewer by offset, and the size asked for": {settings: asked(offset), answer: func(c call) { c.say(`{"data":%s,"total":237,"limit":%d}`, offsets(c), c.n("limit", 0)) }, rows: total},
		"fewer by an offset that was found":       {settings: asked(nil), answer: func(c call) { c.say(`{"data":%s,"total":237,"offset":%d}`, offsets(c), c.n("offset", 0)) }, rows: total},
		"fewer by an offset, and no total":        {settings: asked(nil), answer: func(c call) { c.say(`{"data":%s,"offset":%d}`, offsets(c), c.n("offset", 0)) }, rows: total},
		"a size that no page has":                 {answer: func(c call) { c.say(`{"data":%s,"total":237,"limit":200,"page":%d}`, pages(c), c.n("page", 1)) }, rows: total},
		"a size that no page has, by offset":      {answer: func(c call) { c.say(`{"data":%s,"total":237,"limit":200,"offset":%d}`, offsets(c), c.n("offset", 0)) }, rows: total},
		"the largest size in place of the page's": {answer: func(c call) {
			c.say(`{"items":%s,"meta":{"total_count":237,"per_page":500,"current_page":%d}}`, pages(c), c.n("page", 1))
		}, rows: total},
		"a page that hides all, as null": {answer: func(c call) {
			c.say(`{"data":%s,"page":%d,"total_pages":3}`, or(c.n("page", 1) != 2, "%s", pages(c)), c.n("page", 1))
		}, rows: 137},
		"a page behind the last is page 1 again":   {answer: func(c call) { c.say(`%s`, slice((c.n("page", 1)-1)%3*100, 100, total)) }, rows: total},
		"the last page once more":                  {answer: func(c call) { c.say(`%s`, slice((min(c.n("page", 1), 3)-1)*100, 100, total)) }, rows: total},
		"the last page once more, and it was full": {answer: func(c call) { c.say(`%s`, slice((min(c.n("page", 1), 2)-1)*100, 100, 200)) }, says: "repeats_at_end"},
		"the same, and it is said": {settings: map[string]any{"pagination": map[string]any{"repeats_at_end": true}},
			answer: func(c call) { c.say(`%s`, slice((min(c.n("page", 1), 2)-1)*100, 100, 200)) }, rows: 200},
		"an offset that goes no further": {answer: func(c call) { c.say(`%s`, slice(min(c.n("offset", 0), 100), 100, total)) }, says: "repeats_at_end"},
		"404 where there should be a page": {settings: map[string]any{"pagination": map[string]any{"type": "page"}}, answer: func(c call) {
			if c.n("page", 1) == 2 {
				http.Error(c.w, `{"message":"window is too large"}`, http.StatusNotFound)
				return
			}
			c.say(`{"data":%s,"has_more":true}`, pages(c))
		}, says: "has_more"},
		"the last page's address is a later one": {answer: func(c call) {
			link := fmt.Sprintf(`<%s/x?page=3>; rel="last"`, c.base)
			if c.n("page", 1) == 1 {
				link += fmt.Sprintf(`, <%s/x?page=2>; rel="next"`, c.base)
			}
			c.w.Header().Set("Link", link)
			c.say(`%s`, pages(c))
		}, says: "names a later page"},
		"the same in the body": {answer: func(c call) {
			c.say(`{"data":%s,"links":{"last":"%s/x?offset=200","next":%s}}`, offsets(c), c.base, or(c.n("offset", 0) == 0, `"%s/x?offset=100"`, c.base))
		}, says: "names a later page"},
		"a last page's address that is always there": {answer: func(c call) {
			p := c.n("page", 1)
			c.say(`{"data":%s,"links":{"last":"%s/x?page=3","next":%s}}`, pages(c), c.base, or(p < 3, `"%s/x?page=%d"`, c.base, p+1))
		}, rows: total},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var srv *httptest.Server
			srv = serve(t, func(w http.ResponseWriter, r *http.Request) { c.answer(call{w, r, srv.URL}) })
			settings := map[string]any{"base_url": srv.URL + "/x"}
			for k, v := range c.settings {
				if m, ok := v.(map[string]any); !ok || m != nil {
					settings[k] = v
				}
			}
			_, rows, err := all(t, settings)
			if c.rows > 0 && (err != nil || len(rows) != c.rows) {
				t.Errorf("%d rows, %v; want %d", len(rows), err, c.rows)
			}
			seen := map[string]bool{}
			for _, row := range rows {
				if seen[row[0]] {
					t.Errorf("row %s came twice", row[0])
				}
				seen[row[0]] = true
			}
			if c.rows == 0 && (err == nil || len(rows) > 0 || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%d rows, %v; want a refusal that says %s", len(rows), err, c.says)
			}
		})
	}
}
