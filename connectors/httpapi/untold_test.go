package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A number beside a list that is larger than the list may count it, whatever its
// name, unless the name says that it counts or measures something else.
func TestNumbersBesideAList(t *testing.T) {
	for name, c := range map[string]struct {
		answer   string // to each request
		settings map[string]any
		refused  string // by the name of the number; "" for 7 rows
	}{
		"a name that says nothing":       {answer: `{"n":431,"items":%s}`, refused: "n"},
		"in an envelope":                 {answer: `{"meta":{"matched":431},"items":%s}`, refused: "meta.matched"},
		"as many as there are":           {answer: `{"n":7,"items":%s}`},
		"fewer than there are":           {answer: `{"unread":2,"items":%s}`},
		"it is known to be no sign":      {answer: `{"n":431,"items":%s}`, settings: map[string]any{"pagination": map[string]any{"ignore": []string{"n"}}}},
		"another says that it is all":    {answer: `{"n":431,"total":7,"items":%s}`},
		"no next page":                   {answer: `{"n":431,"next":null,"items":%s}`},
		"times, codes, versions and ids": {answer: `{"took":120,"took_ms":120,"tookMs":120,"serverTime":1700000000,"generated":1700000000,"code":200,"apiVersion":20,"account_id":77,"quota_max":300,"year":2024,"items":%s}`},
		"an amount":                      {answer: `{"balance":9000,"totalAmount":431.5,"items":%s}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, c.answer, items(0, 7)) })
			settings := map[string]any{"base_url": srv.URL + "/x"}
			for k, v := range c.settings {
				settings[k] = v
			}
			_, rows, err := all(t, settings)
			switch {
			case c.refused == "" && (err != nil || len(rows) != 7):
				t.Errorf("%d rows, %v", len(rows), err)
			case c.refused != "" && (err == nil || len(rows) > 0 || !strings.Contains(err.Error(), fmt.Sprintf(`{"ignore": [%q]}`, c.refused))):
				t.Errorf("%d rows, %v; want a refusal for %s", len(rows), err, c.refused)
			}
		})
	}
}

// An empty answer to a parameter proves nothing where all of them are filters.
func TestNumbersBesideAListAreNotDisprovenByFilters(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		list := "[]"
		if r.URL.RawQuery == "" {
			list = items(0, 7)
		}
		fmt.Fprintf(w, `{"n":431,"items":%s}`, list)
	})
	if _, rows, err := all(t, map[string]any{"base_url": srv.URL + "/x"}); err == nil || len(rows) > 0 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

// Pages of no round size, a count of a name that nobody knows, and a parameter
// that is tried only because of it.
func TestNumbersBesideAListHavePagesFound(t *testing.T) {
	for _, param := range []string{"page", "offset", "skip"} {
		t.Run(param, func(t *testing.T) {
			t.Parallel()
			var srv *httptest.Server
			srv = serve(t, func(w http.ResponseWriter, r *http.Request) {
				at := number(r, param, 0)
				if param == "page" {
					at = (number(r, param, 1) - 1) * 7
				}
				call{w, r, srv.URL}.say(`{"n":31,"items":%s}`, slice(at, 7, 31))
			})
			if _, rows, err := all(t, map[string]any{"base_url": srv.URL + "/x"}); err != nil || len(rows) != 31 {
				t.Errorf("%d rows, %v", len(rows), err)
			}
		})
	}
}

// Where the settings say that there is one page, an answer that says otherwise is
// told of.
func TestOnePageBesideASignOfMore(t *testing.T) {
	for answer, sign := range map[string]string{
		`{"items":%s,"next":"/x?page=2"}`:             "by next",
		`{"items":%s,"has_more":true}`:                "by has_more",
		`{"items":%s,"total":431}`:                    "it has 431 records and gave 7",
		`{"items":%s,"page":1,"total_pages":62}`:      "by total_pages",
		`{"items":%s,"n":431}`:                        "has n, which",
		`{"items":%s,"meta":{"next_cursor":"t7"}}`:    "by meta.next_cursor",
		`{"items":%s,"next":null,"total":7,"page":1}`: "",
		`%s`: "",
	} {
		srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, answer, items(0, 7)) })
		table, rows, err := all(t, map[string]any{"base_url": srv.URL + "/x", "pagination": map[string]any{"type": "none"}})
		if err != nil || len(rows) != 7 {
			t.Errorf("%s: %d rows, %v", answer, len(rows), err)
		}
		told := strings.Join(table.Notes, " ")
		if sign == "" && told != "" || sign != "" && (!strings.Contains(told, sign) || !strings.Contains(told, "connection_config.pagination")) {
			t.Errorf("%s: notes %q", answer, told)
		}
	}
}
