package httpapi_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headwater/connectors/driver"
)

// TestProofs has answers whose signs are odd, missing or against each other.
func TestProofs(t *testing.T) {
	paged := func(c call, size, total int) string { return slice((c.n("page", 1)-1)*size, size, total) }
	for name, c := range map[string]struct {
		settings map[string]any
		answer   func(c call)
		rows     int // 0 for refused
		says     string
	}{
		"a total that is the most that is counted": {answer: func(c call) {
			c.say(`{"data":%s,"page":%d,"total":100}`, paged(c, 50, 250), c.n("page", 1))
		}, rows: 250},
		"an empty page that is not the last": {answer: func(c call) {
			list := paged(c, 10, 25)
			if c.n("page", 1) == 2 {
				list = "[]"
			}
			c.say(`{"data":%s,"page":%d,"total_pages":3}`, list, c.n("page", 1))
		}, rows: 15},
		"pages of the same records": {answer: func(c call) {
			n := []int{0, 10, 10, 5, 0}[min(c.n("page", 1), 4)]
			c.say(`{"data":[%s],"page":%d,"total_pages":3}`, strings.TrimSuffix(strings.Repeat(`{"id":0},`, n), ","), c.n("page", 1))
		}, rows: 25},
		"pages of the same records, and a sign that there are more": {settings: map[string]any{"pagination": map[string]any{"type": "page", "page_param": "page"}}, answer: func(c call) {
			page := c.n("page", 1)
			c.say(`{"data":[%s],"has_more":%t}`, strings.TrimSuffix(strings.Repeat(`{"id":0},`, 10), ","), page < 3)
		}, rows: 30},
		"pages that stand still while there are more": {answer: func(c call) {
			page := min(c.n("page", 1), 3) // the API lets nobody go further
			c.say(`{"data":%s,"has_more":true}`, slice((page-1)*10, 10, 50))
		}, says: "has_more"},
		"offsets that stand still while there are more": {answer: func(c call) {
			c.say(`{"data":%s,"has_more":true}`, slice(min(c.n("offset", 0), 20), 10, 50))
		}, says: "has_more"},
		"page 1 again behind the last": {answer: func(c call) {
			page := c.n("page", 1)
			if page > 3 {
				page = 1
			}
			c.say(`{"data":%s,"page":%d}`, slice((page-1)*10, 10, 25), page)
		}, rows: 25},
		"page 1 again behind the last, without a number": {answer: func(c call) {
			page := c.n("page", 1)
			if page > 3 {
				page = 1
			}
			c.say(`%s`, slice((page-1)*10, 10, 25))
		}, rows: 25},
		"pages counted from 0, unsaid": {answer: func(c call) { c.say("%s", slice(c.n("page", 0)*10, 10, 25)) }, rows: 25},
		"two pages counted from 0":     {answer: func(c call) { c.say("%s", slice(c.n("page", 0)*10, 10, 20)) }, rows: 20},
		"one full page that is all":    {answer: func(c call) { c.say("%s", paged(c, 10, 10)) }, rows: 10},
		"a full page, parameters are filters": {answer: func(c call) {
			if c.r.URL.RawQuery != "" {
				c.say("[]")
				return
			}
			c.say("%s", items(0, 10))
		}, says: `{"type": "none"}`},
		"a size that is asked for": {settings: map[string]any{"page_size": 7}, answer: func(c call) {
			n := c.n("limit", 10)
			c.say("%s", slice((c.n("page", 1)-1)*n, n, 25))
		}, rows: 25},
		"offsets of pages that hide records": {settings: map[string]any{"page_size": 10, "pagination": map[string]any{"type": "offset"}}, answer: func(c call) {
			var list []string
			for i := c.n("offset", 0); i < min(c.n("offset", 0)+10, 25); i++ {
				if i%10 != 9 {
					list = append(list, item(i))
				}
			}
			c.say(`{"data":[%s],"total":25}`, strings.Join(list, ","))
		}, rows: 23},
		"more pages than links": {answer: func(c call) {
			c.say(`{"data":%s,"page":1,"total_pages":3,"next":null,"has_more":true}`, items(0, 10))
		}, says: "says"},
		"fewer records than the total": {answer: func(c call) {
			at := c.n("cursor", 0)
			c.say(`{"data":%s,"total":50,"next_cursor":%s}`, slice(at, 10, 20), or(at == 0, `"10"`))
		}, says: "ignore"},
		"that number means something else": {settings: map[string]any{"pagination": map[string]any{"ignore": []string{"total"}}}, answer: func(c call) {
			at := c.n("cursor", 0)
			c.say(`{"data":%s,"total":50,"next_cursor":%s}`, slice(at, 10, 20), or(at == 0, `"10"`))
		}, rows: 20},
		"a cursor that is always there": {answer: func(c call) {
			at := c.n("cursor", 0)
			c.say(`{"data":%s,"cursor":"%d"}`, slice(at, 10, 25), min(at+10, 30))
		}, rows: 25},
		"a link that is always there": {answer: func(c call) {
			at := c.n("after", 0)
			c.say(`{"data":%s,"next":"%s/x?after=%d"}`, slice(at, 10, 25), c.base, min(at+10, 30))
		}, rows: 25},
		"a size that is more than the API gives": {settings: map[string]any{"page_size": 50, "pagination": map[string]any{"type": "offset"}}, answer: func(c call) {
			c.say("%s", slice(c.n("offset", 0), min(c.n("limit", 10), 10), 25))
		}, rows: 25},
		"hidden records and no total": {settings: map[string]any{"page_size": 10, "pagination": map[string]any{"type": "offset"}}, answer: func(c call) {
			var list []string
			for i := c.n("offset", 0); i < min(c.n("offset", 0)+10, 25); i++ {
				if i%10 != 5 {
					list = append(list, item(i))
				}
			}
			c.say(`{"data":[%s]}`, strings.Join(list, ","))
		}, rows: 23},
		"an unknown field that leads on": {answer: func(c call) { c.say(`{"data":%s,"search_after":[17,"x"]}`, items(0, 7)) }, says: "search_after"},
		"a cursor in a header": {settings: map[string]any{"pagination": map[string]any{"next_header": "X-Go-On", "cursor_param": "from_here"}}, answer: func(c call) {
			at := token(c.q("from_here"))
			if at+10 < 25 {
				c.w.Header().Set("X-Go-On", fmt.Sprintf("t%d", at+10))
			}
			c.say("%s", slice(at, 10, 25))
		}, rows: 25},
		"a configured cursor that is not there": {settings: map[string]any{"pagination": map[string]any{"cursor_field": "nxt"}}, answer: func(c call) {
			c.say(`{"data":%s,"next_cursor":"x"}`, items(0, 10))
		}, says: `pagination.cursor_field is "nxt"`},
		"the second page is an error": {answer: func(c call) {
			if c.q("page") == "3" {
				c.say(`{"ok":false,"error":"internal_error"}`)
				return
			}
			c.say(`{"data":%s,"page":%d,"total_pages":3}`, paged(c, 10, 25), c.n("page", 1))
		}, says: "internal_error"},
		"the second page is GraphQL's": {answer: func(c call) {
			if c.q("page") == "3" {
				c.say(`{"data":null,"errors":[{"message":"timeout of a shard"}]}`)
				return
			}
			c.say(`{"data":%s,"page":%d,"total_pages":3}`, paged(c, 10, 25), c.n("page", 1))
		}, says: "timeout of a shard"},
		"the list is gone": {answer: func(c call) {
			if c.q("page") == "3" {
				c.say(`{"page":3,"total_pages":3,"notice":"maintenance"}`)
				return
			}
			c.say(`{"data":%s,"page":%d,"total_pages":3}`, paged(c, 10, 25), c.n("page", 1))
		}, says: "without the list"},
		"an error for an answer":      {answer: func(c call) { c.say(`{"status":"error","code":403,"message":"Invalid API key"}`) }, says: "Invalid API key"},
		"an error and nothing else":   {answer: func(c call) { c.say(`{"message":"Not Found","documentation_url":"https://example.com"}`) }, says: "Not Found"},
		"an error in a part":          {answer: func(c call) { c.say(`{"meta":{"code":400,"error_message":"no such tag"},"data":null}`) }, says: "no such tag"},
		"a search that timed out":     {answer: func(c call) { c.say(`{"timed_out":true,"hits":{"hits":%s}}`, items(0, 3)) }, says: "timed_out"},
		"a flag that is a number":     {answer: func(c call) { c.say(`{"data":%s,"has_more":1}`, items(0, 7)) }, says: "has_more"},
		"a flag that is a letter":     {answer: func(c call) { c.say(`{"data":%s,"moreData":"Y"}`, items(0, 7)) }, says: "moreData"},
		"a number of what is left":    {answer: func(c call) { c.say(`{"data":%s,"remainingItemCount":33}`, items(0, 7)) }, says: "remainingItemCount"},
		"a total with a comma":        {answer: func(c call) { c.say(`{"data":%s,"total":"1,340"}`, items(0, 7)) }, says: "1340"},
		"a total with a point":        {answer: func(c call) { c.say(`{"data":%s,"total":40.0}`, items(0, 7)) }, says: "40 records"},
		"a total with a plus":         {answer: func(c call) { c.say(`{"data":%s,"total":"40+"}`, items(0, 7)) }, says: "total"},
		"a range of all":              {answer: func(c call) { c.say(`{"data":%s,"range":"1-7 of 40"}`, items(0, 7)) }, says: "range"},
		"a count of an unknown name":  {answer: func(c call) { c.say(`{"data":%s,"paging":{"p":1,"lim":7,"of":40}}`, items(0, 7)) }, says: "paging.of"},
		"a token of an unknown name":  {answer: func(c call) { c.say(`{"data":%s,"paging":{"place":"t0k3n"}}`, items(0, 7)) }, says: "paging.place"},
		"words about pages":           {answer: func(c call) { c.say(`{"data":%s,"page_info":"page 1 of 4"}`, items(0, 7)) }, says: "page_info"},
		"a page as large as allowed":  {answer: func(c call) { c.say(`{"data":%s,"limit":7}`, items(0, 7)) }, says: `{"type": "none"}`},
		"a link of an unknown name":   {answer: func(c call) { c.say(`{"data":%s,"older":"/x?until=17"}`, items(0, 7)) }, says: "older"},
		"a header of an unknown name": {answer: func(c call) { c.w.Header().Set("Next-Range", "id 8.."); c.say("%s", items(0, 7)) }, says: "Next-Range"},
		"limits and orders are no signs": {answer: func(c call) {
			c.say(`{"data":%s,"limit":50,"pagination":{"page":1,"max_page_size":100,"sort":"id"}}`, items(0, 7))
		}, rows: 7},
		"links in a list": {answer: func(c call) {
			at := c.n("at", 0)
			c.say(`{"data":%s,"_links":{"next":[%s]}}`, slice(at, 7, 20), strings.Trim(or(at+7 < 20, `{"href":"/x?at=%d"}`, at+7), "nul"))
		}, rows: 20},
		"a code of the API's own behind page 1": {answer: func(c call) {
			if c.q("page_token") != "" {
				c.say(`{"code":99991400,"msg":"request trigger frequency limit","data":{"items":[],"has_more":false}}`)
				return
			}
			c.say(`{"code":0,"msg":"success","data":{"items":%s,"has_more":true,"page_token":"t7"}}`, items(0, 7))
		}, says: "frequency limit"},
		"a code of the API's own":      {answer: func(c call) { c.say(`{"errno":110,"errmsg":"token invalid","data":null}`) }, says: "token invalid"},
		"a word for a failure":         {answer: func(c call) { c.say(`{"result_code":"ERR","result_msg":"invalid key","data":[]}`) }, says: "invalid key"},
		"a list of nothing but errors": {answer: func(c call) { c.say(`[{"errorCode":"INVALID_SESSION_ID","message":"Session expired"}]`) }, says: "Session expired"},
		"accepted": {answer: func(c call) {
			c.w.WriteHeader(http.StatusAccepted)
			c.say(`{"id":"job1"}`)
		}, says: "202"},
		"several statuses": {answer: func(c call) {
			c.w.WriteHeader(http.StatusMultiStatus)
			c.say(`[{"id":1}]`)
		}, says: "207"},
		"a part of nobody knows what": {answer: func(c call) {
			c.w.WriteHeader(http.StatusPartialContent)
			c.say(`[{"id":1}]`)
		}, says: "206"},
		"a part that is told": {answer: func(c call) {
			from := c.n("offset", 0)
			c.w.Header().Set("Content-Range", fmt.Sprintf("items %d-%d/137", from, min(from+99, 136)))
			c.w.WriteHeader(http.StatusPartialContent)
			c.say("%s", slice(from, 100, 137))
		}, rows: 137},
		"a total that is the number of pages": {answer: func(c call) {
			c.say(`{"data":%s,"page":%d,"total":5}`, paged(c, 50, 250), c.n("page", 1))
		}, rows: 250},
		"a total smaller than the page, and no page": {answer: func(c call) { c.say(`{"data":%s,"total":5}`, items(0, 50)) }, says: "one page of many"},
		"no content where there is more": {answer: func(c call) {
			if c.n("page", 1) == 3 {
				c.w.WriteHeader(http.StatusNoContent)
				return
			}
			c.say(`{"data":%s,"page":%d,"total_pages":5}`, paged(c, 10, 50), c.n("page", 1))
		}, says: "total_pages"},
		"an empty answer where there is more": {answer: func(c call) {
			if c.n("page", 1) == 3 {
				c.say(`{"data":[]}`)
				return
			}
			c.say(`{"data":%s,"has_more":true}`, paged(c, 10, 50))
		}, says: "has_more"},
		"0 in place of a cursor": {answer: func(c call) {
			at, next := c.n("cursor", 0), 0
			if at < 20 {
				next = at + 10
			}
			c.say(`{"data":%s,"next_cursor":%d}`, slice(at, 10, 25), next)
		}, rows: 25},
		"-1 in place of a cursor": {answer: func(c call) {
			at, next := max(c.n("cursor", -1), 0), -1
			if at < 20 {
				next = at + 10
			}
			c.say(`{"data":%s,"next_cursor":"%d"}`, slice(at, 10, 25), next)
		}, rows: 25},
		"a cursor of 0 that is the place of this page": {answer: func(c call) { c.say(`{"data":%s,"cursor":0}`, items(0, 10)) }, says: "cursor"},
		"a next something":          {answer: func(c call) { c.say(`{"data":%s,"nextRecordKey":"k7"}`, items(0, 7)) }, says: "nextRecordKey"},
		"a next of no paging":       {answer: func(c call) { c.say(`{"data":%s,"next_season":"autumn","nextTier":"gold"}`, items(0, 7)) }, rows: 7},
		"what comes next in time":   {answer: func(c call) { c.say(`{"data":%s,"next_run_at":"noon","nextBillingDate":"x"}`, items(0, 7)) }, rows: 7},
		"a map in an envelope":      {answer: func(c call) { c.say(`{"users":{"a":{"v":1},"b":{"v":2}},"meta":{"took":3}}`) }, rows: 2},
		"a map, and a larger total": {answer: func(c call) { c.say(`{"users":{"a":{"v":1},"b":{"v":2}},"total":500}`) }, says: "500"},
		"400 behind the last page": {answer: func(c call) {
			if c.n("page", 1) > 3 {
				c.w.WriteHeader(http.StatusBadRequest)
			}
			c.say("%s", paged(c, 10, 30))
		}, says: "end_status to 400"},
		"400 behind the last page, which the settings say": {settings: map[string]any{"pagination": map[string]any{"end_status": 400}}, answer: func(c call) {
			if c.n("page", 1) > 3 {
				c.w.WriteHeader(http.StatusBadRequest)
			}
			c.say("%s", paged(c, 10, 30))
		}, rows: 30},
		"400 where there is more": {settings: map[string]any{"pagination": map[string]any{"end_status": 400}}, answer: func(c call) {
			if c.n("page", 1) > 2 {
				c.w.WriteHeader(http.StatusBadRequest)
			}
			c.say(`{"data":%s,"page":%d,"total_pages":3}`, paged(c, 10, 30), c.n("page", 1))
		}, says: "total_pages"},
		"spaces around an address": {answer: func(c call) {
			if c.n("page", 1) < 3 {
				c.w.Header().Set("Link", fmt.Sprintf(`< %s/x?page=%d > ; rel = "next"`, c.base, c.n("page", 1)+1))
			}
			c.say("%s", paged(c, 10, 25))
		}, rows: 25},
		"an envelope without a list": {answer: func(c call) { c.say(`{"has_more":true,"next_cursor":"x"}`) }, says: "records_path"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var srv *httptest.Server
			srv = serve(t, func(w http.ResponseWriter, r *http.Request) { c.answer(call{w, r, srv.URL}) })
			settings := map[string]any{"base_url": srv.URL + "/x"}
			for k, v := range c.settings {
				settings[k] = v
			}
			_, rows, err := all(t, settings)
			if c.rows > 0 && (err != nil || len(rows) != c.rows) {
				t.Errorf("%d rows, %v; want %d", len(rows), err, c.rows)
			}
			if c.rows == 0 && (err == nil || len(rows) > 0 || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%d rows, %v; want a refusal that says %s", len(rows), err, c.says)
			}
		})
	}
}

// TestWhereRecordsAre has answers that hold more than one list, or none.
func TestWhereRecordsAre(t *testing.T) {
	for name, c := range map[string]struct {
		settings map[string]any
		answer   string
		want     string // the rows, or what the refusal says
		refused  bool
	}{
		"columns beside rows":       {answer: `{"columns":[{"name":"id"},{"name":"v"}],"rows":[[1,"a"],[2,"b"]]}`, want: "[[1 a] [2 b]]"},
		"names beside rows":         {answer: `{"result":{"fields":["id","v"],"data":[[1,"a"]]}}`, want: "[[1 a]]"},
		"a row of another length":   {answer: `{"columns":["id","v"],"rows":[[1,"a"],[2]]}`, want: "1 values for 2 columns", refused: true},
		"records by their keys":     {answer: `{"id1":{"name":"a"},"id2":{"name":"b"}}`, want: "[[id1 a] [id2 b]]"},
		"records by keys, said":     {settings: map[string]any{"records_path": "users", "record_shape": "map"}, answer: `{"users":{"k":{"name":"a"}},"n":1}`, want: "[[k a]]"},
		"one record":                {answer: `{"version":"1.2","up":true}`, want: "[[1.2 true]]"},
		"messages alone":            {answer: `{"ok":true,"messages":[{"ts":"1"}]}`, want: "[[1]]"},
		"messages beside records":   {answer: `{"messages":[{"code":1}],"things":[{"id":7}]}`, want: "[[7]]"},
		"an empty list and others":  {answer: `{"results":[],"filters":[{"id":77}]}`, want: "[]"},
		"an empty list of any name": {answer: `{"widgets":[],"next":null,"took":3}`, want: "[]"},
		"two empty lists":           {answer: `{"cars":[],"bikes":[]}`, want: "records_path", refused: true},
		"none, in words and a code": {answer: `{"code":200,"message":"No records found","data":[]}`, want: "[]"},
		"none, and all is well":     {answer: `{"code":1,"msg":"query ok","data":[]}`, want: "[]"},
		"one record without tags":   {answer: `{"id":1,"tags":[],"roles":[]}`, want: "[[1 [] []]]"},
		"called as the table":       {answer: `{"tags":[{"id":1}],"x":[{"id":2}]}`, want: "[[2]]"},
		"an object without fields":  {answer: `{}`, want: "record_shape", refused: true},
		"a map without records":     {settings: map[string]any{"record_shape": "map"}, answer: `{}`, want: "[]"},
		"shards that failed":        {answer: `{"timed_out":false,"_shards":{"total":5,"failed":1},"hits":{"total":{"value":1},"hits":[{"id":1}]}}`, want: "failed", refused: true},
		"shards that did not fail":  {answer: `{"timed_out":false,"_shards":{"total":5,"failed":0},"hits":{"total":{"value":1},"hits":[{"id":1}]}}`, want: "[[1]]"},
		"partial, in the envelope":  {answer: `{"meta":{"is_partial":true},"data":[{"id":1}]}`, want: "is_partial", refused: true},
		"partial, in a record":      {answer: `{"data":[{"id":1,"partial":true}]}`, want: "[[1 true]]"},
		"one list too many":         {answer: `{"cars":[{"id":1}],"bikes":[]}`, want: "records_path", refused: true},
		"a key with a dot":          {settings: map[string]any{"records_path": "a.b"}, answer: `{"a.b":[{"id":3}],"a":{"b":[{"id":4}]}}`, want: "[[3]]"},
		"lines":                     {answer: "{\"id\":1}\n{\"id\":2}\n", want: "[[1] [2]]"},
		"broken lines":              {answer: "{\"id\":1}\n{\"id\":\n", want: "broken JSON", refused: true},
		"key and cursor in an object": {settings: map[string]any{"primary_key": []string{"c.id"}, "cursor": "c.at"},
			answer: `{"list":[{"c":{"id":5,"at":"2024-01-01T00:00:00Z"}}]}`, want: `[[5 2024-01-01T00:00:00.000000Z {"id":5,"at":"2024-01-01T00:00:00Z"}]]`},
	} {
		t.Run(name, func(t *testing.T) {
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.RawQuery != "" {
					http.Error(w, "{}", http.StatusBadRequest)
					return
				}
				fmt.Fprint(w, c.answer)
			})
			settings := map[string]any{"base_url": srv.URL + "/x"}
			for k, v := range c.settings {
				settings[k] = v
			}
			_, rows, err := all(t, settings)
			for i, row := range rows {
				rows[i] = slices.DeleteFunc(row, func(v string) bool { return v == null })
			}
			if got := fmt.Sprint(rows); !c.refused && (err != nil || got != c.want) {
				t.Errorf("%s, %v; want %s", got, err, c.want)
			}
			if c.refused && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v; want %s", err, c.want)
			}
		})
	}
}

// TestOneEndpointFailsAlone keeps the others readable.
func TestOneEndpointFailsAlone(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/b" {
			http.Error(w, `{"message":"forbidden"}`, http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `{"next":null,"data":%s}`, items(0, 3))
	})
	src, err := open(t, map[string]any{"base_url": srv.URL, "paths": []string{"a", "b", "c"}}, driver.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Check(t.Context()); err != nil {
		t.Error(err)
	}
	tables, err := src.Discover(t.Context())
	var unread *driver.UnreadTables
	if !errors.As(err, &unread) || len(tables) != 2 || unread.Tables[0].Name != "b" || !errors.Is(unread, driver.ErrPermission) {
		t.Errorf("%v, %v", tables, err)
	}
}

// TestPathsStayEscaped asks for %2F as it is.
func TestPathsStayEscaped(t *testing.T) {
	var path atomic.Value
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		path.Store(r.URL.EscapedPath())
		fmt.Fprint(w, `{"next":null,"data":[{"id":1}]}`)
	})
	table, rows, err := all(t, map[string]any{"base_url": srv.URL + "/api", "paths": []string{"projects/group%2Frepo/issues"}})
	if err != nil || len(rows) != 1 || table.Name != "issues" || path.Load() != "/api/projects/group%2Frepo/issues" {
		t.Errorf("%v, %v, %v, %v", table.Name, rows, err, path.Load())
	}
}

// TestPrivateAuthority trusts a certificate that the settings vouch for.
func TestPrivateAuthority(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `[{"id":1}]`) }))
	defer srv.Close()
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	if _, rows, err := all(t, map[string]any{"base_url": srv.URL, "ca_certificate": authority}); err != nil || len(rows) != 1 {
		t.Errorf("%v, %v", rows, err)
	}
	if _, _, err := all(t, map[string]any{"base_url": srv.URL, "ca_certificate": "x"}); !errors.Is(err, driver.ErrInvalidConfig) {
		t.Error(err)
	}
}

// TestWaits waits as long as the API asks, in whatever form, and no longer than
// the settings allow.
func TestWaits(t *testing.T) {
	for name, header := range map[string]func() (int, string, string){
		"403 with decimals": func() (int, string, string) { return 403, "Retry-After", "0.2" },
		"a date": func() (int, string, string) {
			return 429, "Retry-After", time.Now().Add(time.Second).UTC().Format(http.TimeFormat)
		},
		"a budget that is spent": func() (int, string, string) { return 403, "RateLimit", `"default";r=0;t=0` },
		"an epoch":               func() (int, string, string) { return 429, "X-RateLimit-Reset", fmt.Sprint(time.Now().Unix()) },
		"overload":               func() (int, string, string) { return 529, "X", "" },
		"conflict":               func() (int, string, string) { return 409, "X", "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) == 1 {
					status, name, value := header()
					w.Header().Set(name, value)
					http.Error(w, "{}", status)
					return
				}
				fmt.Fprint(w, `{"data":[{"id":1}],"next":null}`)
			})
			if _, rows, err := all(t, map[string]any{"base_url": srv.URL}); err != nil || len(rows) != 1 || requests.Load() != 2 {
				t.Errorf("%d rows by %d requests, %v", len(rows), requests.Load(), err)
			}
		})
	}
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "{}", http.StatusTooManyRequests)
	})
	if _, _, err := all(t, map[string]any{"base_url": srv.URL, "max_wait_seconds": 5}); err == nil || !strings.Contains(err.Error(), "max_wait_seconds") {
		t.Error(err)
	}
}
