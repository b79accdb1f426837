package httpapi_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"headwater/connectors/driver"
)

// call is one request to a simulated API, and its answer in the making.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	base string
}

func (c call) n(name string, otherwise int) int { return number(c.r, name, otherwise) }
func (c call) q(name string) string             { return c.r.URL.Query().Get(name) }

func (c call) say(format string, args ...any) { fmt.Fprintf(c.w, format, args...) }

// only refuses parameters that the API does not know.
func (c call) only(names ...string) bool {
	for name := range c.r.URL.Query() {
		known := false
		for _, n := range names {
			known = known || n == name
		}
		if !known {
			http.Error(c.w, `{"error":{"message":"Received unknown parameter: `+name+`"}}`, http.StatusBadRequest)
			return false
		}
	}
	return true
}

// or is a JSON text if the condition holds, and null else.
func or(holds bool, format string, args ...any) string {
	if !holds {
		return "null"
	}
	return fmt.Sprintf(format, args...)
}

// token reads a page token of the form "t12".
func token(text string) int {
	n := 0
	fmt.Sscanf(text, "t%d", &n)
	return n
}

// vendor is one well-known way to answer a list, written from the API's public
// documentation: that of total records at path.
type vendor struct {
	name, path string
	total      int
	whole      bool // or refused, naming a setting
	answer     func(c call, total int)
	settings   map[string]any
}

// TestVendors has each of these APIs read with nothing but its address and, where
// one is needed, a key: it lands whole or is refused with the setting to use, and
// none in part. -v prints the table.
func TestVendors(t *testing.T) {
	for _, v := range append(append(vendorsByLink, vendorsByToken...), vendorsByNumber...) {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			requests := 0
			var srv *httptest.Server
			srv = serve(t, func(w http.ResponseWriter, r *http.Request) {
				requests++
				v.answer(call{w, r, srv.URL}, v.total)
			})
			settings := map[string]any{"base_url": srv.URL + v.path}
			for k, s := range v.settings {
				settings[k] = s
			}
			_, rows, err := all(t, settings)
			seen := map[string]bool{}
			for _, row := range rows {
				seen[row[0]] = true
			}
			switch {
			case err == nil && v.whole && len(rows) == v.total && len(seen) == v.total:
				t.Logf("%-28s whole, %d records by %d requests", v.name, v.total, requests)
			case err != nil && !v.whole && len(rows) == 0 && strings.Contains(err.Error(), "connection_config.") && errors.Is(err, driver.ErrInvalidConfig):
				t.Logf("%-28s refused: %v", v.name, err)
			case err != nil && !v.whole && errors.Is(err, driver.ErrUnsupported):
				t.Logf("%-28s refused: %v", v.name, err)
			default:
				t.Errorf("%d of %d records, %d different, by %d requests: %v", len(rows), v.total, len(seen), requests, err)
			}
		})
	}
}

// Vendors that give the address of the next page.
var vendorsByLink = []vendor{
	{name: "GitHub", path: "/orgs/acme/repos", total: 75, whole: true, settings: map[string]any{"api_key": "ghp"}, answer: func(c call, total int) {
		if c.r.Header.Get("Authorization") == "Bearer ghp" {
			c.w.Header().Set("X-OAuth-Scopes", "repo")
		} else {
			total -= 20 // private ones
		}
		page := c.n("page", 1)
		if page*30 < total {
			c.w.Header().Set("Link", fmt.Sprintf(`<%s/orgs/acme/repos?page=%d>; rel="next", <%s/orgs/acme/repos?page=3>; rel="last"`, c.base, page+1, c.base))
		} else {
			c.w.Header().Set("Link", fmt.Sprintf(`<%s/orgs/acme/repos?page=1>; rel="first"`, c.base))
		}
		c.say("%s", slice((page-1)*30, 30, total))
	}},
	{name: "GitLab", path: "/api/v4/projects", total: 45, whole: true, settings: map[string]any{"api_key": "glpat"}, answer: func(c call, total int) {
		if c.r.Header.Get("Authorization") != "Bearer glpat" {
			http.Error(c.w, `{"message":"401 Unauthorized"}`, http.StatusUnauthorized)
			return
		}
		page, next := c.n("page", 1), ""
		if page*20 < total {
			next = fmt.Sprint(page + 1)
			c.w.Header().Set("Link", fmt.Sprintf(`<%s/api/v4/projects?page=%s&per_page=20>; rel="next"`, c.base, next))
		}
		for k, v := range map[string]string{"X-Next-Page": next, "X-Page": fmt.Sprint(page), "X-Per-Page": "20", "X-Total": fmt.Sprint(total), "X-Total-Pages": "3"} {
			c.w.Header().Set(k, v)
		}
		c.say("%s", slice((page-1)*20, 20, total))
	}},
	{name: "HubSpot", path: "/crm/v3/objects/contacts", total: 25, whole: true, answer: func(c call, total int) {
		at := c.n("after", 0)
		paging := ""
		if at+10 < total {
			paging = fmt.Sprintf(`,"paging":{"next":{"after":"%d","link":"%s/crm/v3/objects/contacts?after=%d"}}`, at+10, c.base, at+10)
		}
		c.say(`{"results":%s%s}`, slice(at, 10, total), paging)
	}},
	{name: "Salesforce", path: "/services/data/v61.0/query", total: 45, whole: true, settings: map[string]any{"params": map[string]string{"q": "SELECT Id FROM Account"}}, answer: func(c call, total int) {
		at := 0
		fmt.Sscanf(c.r.URL.Path, "/services/data/v61.0/query/01g-%d", &at)
		next := ""
		if at+20 < total {
			next = fmt.Sprintf(`,"nextRecordsUrl":"/services/data/v61.0/query/01g-%d"`, at+20)
		}
		c.say(`{"totalSize":%d,"done":%t%s,"records":%s}`, total, next == "", next, slice(at, 20, total))
	}},
	{name: "Shopify", path: "/admin/api/2024-04/orders.json", total: 120, whole: true, settings: map[string]any{"params": map[string]string{"status": "any"}}, answer: func(c call, total int) {
		info := c.q("page_info")
		if info != "" && c.q("status") != "" {
			http.Error(c.w, `{"errors":{"status":"status cannot be passed when page_info is present."}}`, http.StatusBadRequest)
			return
		}
		at := token(info)
		if at+50 < total {
			c.w.Header().Set("Link", fmt.Sprintf(`<%s/admin/api/2024-04/orders.json?limit=50&page_info=t%d>; rel="next"`, c.base, at+50))
		}
		c.say(`{"orders":%s}`, slice(at, 50, total))
	}},
	{name: "Zendesk by cursor", path: "/api/v2/tickets.json", total: 250, whole: true, answer: func(c call, total int) {
		at := token(c.q("page[after]"))
		more := at+100 < total
		c.say(`{"tickets":%s,"meta":{"has_more":%t,"after_cursor":"t%d","before_cursor":"t0"},"links":{"prev":null,"next":%s}}`, slice(at, 100, total), more, at+100,
			or(more, `"%s/api/v2/tickets.json?page%%5Bafter%%5D=t%d"`, c.base, at+100))
	}},
	{name: "Zendesk by number", path: "/api/v2/users.json", total: 250, whole: true, answer: func(c call, total int) {
		page := c.n("page", 1)
		c.say(`{"users":%s,"next_page":%s,"previous_page":null,"count":%d}`, slice((page-1)*100, 100, total), or(page*100 < total, `"%s/api/v2/users.json?page=%d"`, c.base, page+1), total)
	}},
	{name: "Twilio", path: "/2010-04-01/Accounts/AC1/Messages.json", total: 120, whole: true, settings: map[string]any{"username": "AC1", "password": "pass"}, answer: func(c call, total int) {
		page := c.n("Page", 0)
		c.say(`{"first_page_uri":"/2010-04-01/Accounts/AC1/Messages.json?Page=0","end":49,"start":0,"page":%d,"page_size":50,"uri":"/x","next_page_uri":%s,"messages":%s}`, page,
			or((page+1)*50 < total, `"/2010-04-01/Accounts/AC1/Messages.json?Page=%d&PageToken=PA"`, page+1), slice(page*50, 50, total))
	}},
	{name: "SendGrid", path: "/v3/marketing/lists", total: 250, whole: true, answer: func(c call, total int) {
		at := token(c.q("page_token"))
		next := ""
		if at+100 < total {
			next = fmt.Sprintf(`"next":"%s/v3/marketing/lists?page_token=t%d",`, c.base, at+100)
		}
		c.say(`{"result":%s,"_metadata":{%s"self":"%s/v3/marketing/lists","count":%d}}`, slice(at, 100, total), next, c.base, total)
	}},
	{name: "Asana", path: "/api/1.0/tasks", total: 45, whole: true, answer: func(c call, total int) {
		at := token(c.q("offset"))
		c.say(`{"data":%s,"next_page":%s}`, slice(at, 20, total), or(at+20 < total, `{"offset":"t%d","path":"/tasks?offset=t%d","uri":"%s/api/1.0/tasks?offset=t%d"}`, at+20, at+20, c.base, at+20))
	}},
	{name: "Paddle", path: "/customers", total: 120, whole: true, answer: func(c call, total int) {
		at := token(c.q("after"))
		c.say(`{"data":%s,"meta":{"request_id":"r","pagination":{"per_page":50,"next":"%s/customers?after=t%d","has_more":%t,"estimated_total":%d}}}`, slice(at, 50, total), c.base, at+50, at+50 < total, total)
	}},
	{name: "Coinbase", path: "/v2/accounts", total: 60, whole: true, answer: func(c call, total int) {
		at := token(c.q("starting_after"))
		c.say(`{"pagination":{"ending_before":null,"starting_after":null,"limit":25,"order":"desc","previous_uri":null,"next_uri":%s},"data":%s}`, or(at+25 < total, `"/v2/accounts?starting_after=t%d"`, at+25), slice(at, 25, total))
	}},
	{name: "Microsoft Graph", path: "/v1.0/users", total: 250, whole: true, answer: func(c call, total int) {
		at := token(c.q("$skiptoken"))
		next := ""
		if at+100 < total {
			next = fmt.Sprintf(`"@odata.nextLink":"%s/v1.0/users?$skiptoken=t%d",`, c.base, at+100)
		}
		c.say(`{"@odata.context":"c",%s"value":%s}`, next, slice(at, 100, total))
	}},
	{name: "Okta", path: "/api/v1/users", total: 450, whole: true, answer: func(c call, total int) {
		at := token(c.q("after"))
		c.w.Header().Add("Link", fmt.Sprintf(`<%s/api/v1/users?limit=200>; rel="self"`, c.base))
		if at+200 < total {
			c.w.Header().Add("Link", fmt.Sprintf(`<%s/api/v1/users?after=t%d&limit=200>; rel="next"`, c.base, at+200))
		}
		c.say("%s", slice(at, 200, total))
	}},
	{name: "Datadog events", path: "/api/v2/events", total: 25, whole: true, answer: func(c call, total int) {
		at := token(c.q("page[cursor]"))
		links, page := "", ""
		if at+10 < total {
			links, page = fmt.Sprintf(`,"links":{"next":"%s/api/v2/events?page[cursor]=t%d"}`, c.base, at+10), fmt.Sprintf(`"page":{"after":"t%d"},`, at+10)
		}
		c.say(`{"data":%s%s,"meta":{%s"elapsed":132,"status":"done"}}`, slice(at, 10, total), links, page)
	}},
	{name: "Sentry", path: "/api/0/organizations/o/issues/", total: 250, whole: true, answer: func(c call, total int) {
		at := 0
		fmt.Sscanf(c.q("cursor"), "0:%d:0", &at)
		c.w.Header().Set("Link", fmt.Sprintf(`<%s/api/0/organizations/o/issues/?cursor=0:0:1>; rel="previous"; results="false"; cursor="0:0:1", <%s/api/0/organizations/o/issues/?cursor=0:%d:0>; rel="next"; results="%t"; cursor="0:%d:0"`,
			c.base, c.base, at+100, at+100 < total, at+100))
		c.say("%s", slice(at, 100, total))
	}},
	{name: "BigCommerce", path: "/stores/s/v3/catalog/products", total: 120, whole: true, answer: func(c call, total int) {
		page := c.n("page", 1)
		next := ""
		if page < 3 {
			next = fmt.Sprintf(`"next":"?page=%d&limit=50",`, page+1)
		}
		c.say(`{"data":%s,"meta":{"pagination":{"total":%d,"count":50,"per_page":50,"current_page":%d,"total_pages":3,"links":{%s"current":"?page=%d&limit=50"}}}}`, slice((page-1)*50, 50, total), total, page, next, page)
	}},
	{name: "Klaviyo, JSON:API", path: "/api/profiles", total: 45, whole: true, answer: func(c call, total int) {
		at := token(c.q("page[cursor]"))
		c.say(`{"data":%s,"links":{"self":"%s/api/profiles","next":%s,"prev":null}}`, slice(at, 20, total), c.base, or(at+20 < total, `"%s/api/profiles?page%%5Bcursor%%5D=t%d"`, c.base, at+20))
	}},
	{name: "Calendly", path: "/scheduled_events", total: 45, whole: true, answer: func(c call, total int) {
		at := token(c.q("page_token"))
		more := at+20 < total
		c.say(`{"collection":%s,"pagination":{"count":20,"next_page":%s,"previous_page":null,"next_page_token":%s}}`, slice(at, 20, total), or(more, `"%s/scheduled_events?page_token=t%d"`, c.base, at+20), or(more, `"t%d"`, at+20))
	}},
	{name: "Freshdesk", path: "/api/v2/tickets", total: 75, whole: true, answer: func(c call, total int) {
		page := c.n("page", 1)
		if page*30 < total {
			c.w.Header().Set("Link", fmt.Sprintf(`<%s/api/v2/tickets?page=%d>; rel="next"`, c.base, page+1))
		}
		c.say("%s", slice((page-1)*30, 30, total))
	}},
	{name: "Django REST", path: "/users/", total: 250, whole: true, answer: func(c call, total int) {
		page := c.n("page", 1)
		c.say(`{"count":%d,"next":%s,"previous":null,"results":%s}`, total, or(page*100 < total, `"%s/users/?page=%d"`, c.base, page+1), slice((page-1)*100, 100, total))
	}},
	{name: "Spring Data, HAL", path: "/users", total: 45, whole: true, answer: func(c call, total int) {
		page := c.n("page", 0)
		next := ""
		if page < 2 {
			next = fmt.Sprintf(`,"next":{"href":"%s/users?page=%d&size=20"}`, c.base, page+1)
		}
		c.say(`{"_embedded":{"users":%s},"_links":{"first":{"href":"%s/users?page=0"},"self":{"href":"%s/users"}%s},"page":{"size":20,"totalElements":%d,"totalPages":3,"number":%d}}`, slice(page*20, 20, total), c.base, c.base, next, total, page)
	}},
	{name: "Laravel", path: "/api/posts", total: 40, whole: true, answer: func(c call, total int) {
		page := c.n("page", 1)
		c.say(`{"data":%s,"links":{"first":"%s/api/posts?page=1","last":"%s/api/posts?page=3","prev":null,"next":%s},"meta":{"current_page":%d,"from":1,"last_page":3,"links":[{"url":null,"label":"1","active":true}],"path":"/api/posts","per_page":15,"to":15,"total":%d}}`,
			slice((page-1)*15, 15, total), c.base, c.base, or(page < 3, `"%s/api/posts?page=%d"`, c.base, page+1), page, total)
	}},
	{name: "Bitbucket", path: "/2.0/repositories/acme", total: 25, whole: true, answer: func(c call, total int) {
		page := c.n("page", 1)
		next := ""
		if page*10 < total {
			next = fmt.Sprintf(`,"next":"%s/2.0/repositories/acme?page=%d"`, c.base, page+1)
		}
		c.say(`{"pagelen":10,"values":%s,"page":%d,"size":%d%s}`, slice((page-1)*10, 10, total), page, total, next)
	}},
	{name: "ServiceNow", path: "/api/now/table/incident", total: 250, whole: true, answer: func(c call, total int) {
		at := c.n("sysparm_offset", 0)
		c.w.Header().Set("X-Total-Count", fmt.Sprint(total))
		rel := "first"
		if at+100 < total {
			rel = "next"
		}
		c.w.Header().Set("Link", fmt.Sprintf(`<%s/api/now/table/incident?sysparm_offset=%d>;rel="%s"`, c.base, at+100, rel))
		c.say(`{"result":%s}`, slice(at, 100, total))
	}},
}
