package httpapi_test

import (
	"fmt"
	"net/http"
)

// Vendors whose pages are asked for by number or offset, said or not.
var vendorsByNumber = []vendor{
	{name: "Jira Server", path: "/rest/api/2/search", total: 120, whole: true, answer: func(c call, total int) {
		at := c.n("startAt", 0)
		c.say(`{"expand":"names","startAt":%d,"maxResults":50,"total":%d,"issues":%s}`, at, total, slice(at, 50, total))
	}},
	{name: "Jira Agile", path: "/rest/agile/1.0/board", total: 120, whole: true, answer: func(c call, total int) {
		at := c.n("startAt", 0)
		c.say(`{"maxResults":50,"startAt":%d,"isLast":%t,"values":%s}`, at, at+50 >= total, slice(at, 50, total))
	}},
	{name: "Stack Exchange", path: "/2.3/questions", total: 75, whole: true, answer: func(c call, total int) {
		page := c.n("page", 1)
		c.say(`{"items":%s,"has_more":%t,"quota_max":300,"quota_remaining":299}`, slice((page-1)*30, 30, total), page*30 < total)
	}},
	{name: "Auth0", path: "/api/v2/users", total: 120, whole: true, answer: func(c call, total int) {
		c.say("%s", slice(c.n("page", 0)*50, 50, total))
	}},
	{name: "PagerDuty", path: "/incidents", total: 60, whole: true, answer: func(c call, total int) {
		at := c.n("offset", 0)
		c.say(`{"incidents":%s,"limit":25,"offset":%d,"total":null,"more":%t}`, slice(at, 25, total), at, at+25 < total)
	}},
	{name: "Datadog monitors", path: "/api/v1/monitor", total: 120, whole: true, answer: func(c call, total int) {
		if c.q("page") == "" {
			c.say("%s", items(0, total))
			return
		}
		c.say("%s", slice(c.n("page", 0)*100, 100, total))
	}},
	{name: "Elasticsearch", path: "/i/_search", total: 25, whole: true, answer: func(c call, total int) {
		if c.only("from", "size") {
			c.say(`{"took":1,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0},"hits":{"total":{"value":%d,"relation":"eq"},"max_score":1.0,"hits":%s}}`, total, slice(c.n("from", 0), 10, total))
		}
	}},
	{name: "Algolia", path: "/1/indexes/i", total: 45, whole: true, answer: func(c call, total int) {
		page := c.n("page", 0)
		c.say(`{"hits":%s,"nbHits":%d,"page":%d,"nbPages":3,"hitsPerPage":20,"exhaustiveNbHits":true,"query":"","params":""}`, slice(page*20, 20, total), total, page)
	}},
	{name: "Socrata", path: "/resource/abcd-1234.json", total: 2500, whole: true, answer: func(c call, total int) {
		if c.only("$limit", "$offset") {
			c.say("%s", slice(c.n("$offset", 0), 1000, total))
		}
	}},
	{name: "Discord", path: "/api/v10/channels/1/messages", total: 120, whole: false, answer: func(c call, total int) {
		c.say("%s", slice(0, 50, total))
	}},
	{name: "Trello", path: "/1/boards/b/actions", total: 120, whole: false, answer: func(c call, total int) {
		c.say("%s", slice(0, 50, total))
	}},
	{name: "WooCommerce", path: "/wp-json/wc/v3/products", total: 25, whole: true, answer: func(c call, total int) {
		c.w.Header().Set("X-WP-Total", fmt.Sprint(total))
		c.w.Header().Set("X-WP-TotalPages", "3")
		c.say("%s", slice((c.n("page", 1)-1)*10, 10, total))
	}},
	{name: "WordPress, past the end", path: "/wp-json/wp/v2/posts", total: 20, whole: true, answer: func(c call, total int) {
		if c.n("page", 1) > 2 {
			http.Error(c.w, `{"code":"rest_post_invalid_page_number","message":"The page number requested is larger than the number of pages available."}`, http.StatusBadRequest)
			return
		}
		c.w.Header().Set("X-WP-Total", fmt.Sprint(total))
		c.w.Header().Set("X-WP-TotalPages", "2")
		c.say("%s", slice((c.n("page", 1)-1)*10, 10, total))
	}},
	{name: "Xero", path: "/api.xro/2.0/Contacts", total: 250, whole: true, answer: func(c call, total int) {
		page := c.n("page", 1)
		c.say(`{"Id":"x","Status":"OK","pagination":{"page":%d,"pageSize":100,"pageCount":3,"itemCount":%d},"Contacts":%s}`, page, total, slice((page-1)*100, 100, total))
	}},
	{name: "QuickBooks", path: "/v3/company/1/query", total: 250, whole: false, answer: func(c call, total int) {
		c.say(`{"QueryResponse":{"Invoice":%s,"startPosition":1,"maxResults":100},"time":"2024-01-01T00:00:00Z"}`, slice(0, 100, total))
	}},
	{name: "Mailchimp", path: "/3.0/lists", total: 25, whole: true, answer: func(c call, total int) {
		c.say(`{"lists":%s,"total_items":%d,"constraints":{"may_create":true},"_links":[{"rel":"self","href":"%s/3.0/lists","method":"GET"}]}`, slice(c.n("offset", 0), 10, total), total, c.base)
	}},
	{name: "Typeform", path: "/forms", total: 25, whole: true, answer: func(c call, total int) {
		c.say(`{"total_items":%d,"page_count":3,"items":%s}`, total, slice((c.n("page", 1)-1)*10, 10, total))
	}},
	{name: "ClickUp", path: "/api/v2/list/1/task", total: 250, whole: true, answer: func(c call, total int) {
		page := c.n("page", 0)
		c.say(`{"tasks":%s,"last_page":%t}`, slice(page*100, 100, total), (page+1)*100 >= total)
	}},
	{name: "Contentful", path: "/spaces/s/entries", total: 250, whole: true, answer: func(c call, total int) {
		if c.only("skip", "limit") {
			at := c.n("skip", 0)
			c.say(`{"sys":{"type":"Array"},"total":%d,"skip":%d,"limit":100,"items":%s}`, total, at, slice(at, 100, total))
		}
	}},
	{name: "Strapi", path: "/api/articles", total: 60, whole: true, answer: func(c call, total int) {
		page := c.n("pagination[page]", 1)
		c.say(`{"data":%s,"meta":{"pagination":{"page":%d,"pageSize":25,"pageCount":3,"total":%d}}}`, slice((page-1)*25, 25, total), page, total)
	}},
	{name: "Rails, headers", path: "/movies", total: 60, whole: true, answer: func(c call, total int) {
		c.w.Header().Set("Total", fmt.Sprint(total))
		c.w.Header().Set("Per-Page", "25")
		c.say("%s", slice((c.n("page", 1)-1)*25, 25, total))
	}},
	{name: "Spring Data", path: "/users", total: 45, whole: true, answer: func(c call, total int) {
		page := c.n("page", 0)
		c.say(`{"content":%s,"pageable":{"pageNumber":%d,"pageSize":20,"offset":%d,"paged":true},"last":%t,"totalPages":3,"totalElements":%d,"size":20,"number":%d,"sort":{"sorted":false},"first":%t,"numberOfElements":20,"empty":false}`,
			slice(page*20, 20, total), page, page*20, page == 2, total, page, page == 0)
	}},
	{name: "Feathers", path: "/users", total: 60, whole: true, answer: func(c call, total int) {
		for name := range c.r.URL.Query() {
			if name[0] != '$' {
				total = 0 // a filter
			}
		}
		at := c.n("$skip", 0)
		c.say(`{"total":%d,"limit":25,"skip":%d,"data":%s}`, total, at, slice(at, 25, total))
	}},
	{name: "SCIM", path: "/scim/v2/Users", total: 45, whole: true, answer: func(c call, total int) {
		at := c.n("startIndex", 1)
		c.say(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":%d,"startIndex":%d,"itemsPerPage":20,"Resources":%s}`, total, at, slice(at-1, 20, total))
	}},
	{name: "CKAN", path: "/api/3/action/package_search", total: 25, whole: true, answer: func(c call, total int) {
		c.say(`{"help":"h","success":true,"result":{"count":%d,"facets":{},"results":%s,"sort":"score","search_facets":{}}}`, total, slice(c.n("start", 0), 10, total))
	}},
	{name: "Crossref", path: "/works", total: 45, whole: true, answer: func(c call, total int) {
		at := c.n("offset", 0)
		c.say(`{"status":"ok","message-type":"work-list","message-version":"1.0.0","message":{"facets":{},"total-results":%d,"items":%s,"items-per-page":20,"query":{"start-index":%d,"search-terms":null}}}`, total, slice(at, 20, total), at)
	}},
	{name: "npm search", path: "/-/v1/search", total: 45, whole: true, answer: func(c call, total int) {
		c.say(`{"objects":%s,"total":%d,"time":"Wed Jan 01 2025"}`, slice(c.n("from", 0), 20, total), total)
	}},
	{name: "Zoho CRM", path: "/crm/v2/Leads", total: 450, whole: true, answer: func(c call, total int) {
		page := c.n("page", 1)
		c.say(`{"data":%s,"info":{"per_page":200,"count":%d,"page":%d,"more_records":%t}}`, slice((page-1)*200, 200, total), min(200, total-(page-1)*200), page, page*200 < total)
	}},
	{name: "FreshBooks", path: "/accounting/account/a/users/clients", total: 40, whole: true, answer: func(c call, total int) {
		page := c.n("page", 1)
		c.say(`{"response":{"result":{"clients":%s,"page":%d,"pages":3,"per_page":15,"total":%d}}}`, slice((page-1)*15, 15, total), page, total)
	}},
	{name: "JSONPlaceholder", path: "/todos", total: 200, whole: false, answer: func(c call, total int) {
		page, limit := c.n("_page", 0), c.n("_limit", 10)
		if page == 0 {
			c.say("%s", items(0, total))
			return
		}
		c.say("%s", slice((page-1)*limit, limit, total))
	}},
	{name: "seven rows", path: "/planets", total: 7, whole: true, answer: func(c call, total int) { c.say("%s", items(0, total)) }},
}
