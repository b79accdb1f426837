package httpapi_test

import (
	"fmt"
	"net/http"
)

// Vendors that give a token for the next page, or a flag that there is one.
var vendorsByToken = []vendor{
	{name: "Slack", path: "/api/users.list", total: 250, whole: true, settings: map[string]any{"bearer_token": "xoxb"}, answer: func(c call, total int) {
		if c.r.Header.Get("Authorization") != "Bearer xoxb" {
			c.say(`{"ok":false,"error":"not_authed"}`)
			return
		}
		at := token(c.q("cursor"))
		next := ""
		if at+100 < total {
			next = fmt.Sprintf("t%d", at+100)
		}
		c.say(`{"ok":true,"members":%s,"cache_ts":1498777272,"response_metadata":{"next_cursor":"%s"}}`, slice(at, 100, total), next)
	}},
	{name: "Stripe", path: "/v1/customers", total: 25, whole: true, settings: map[string]any{"api_key": "sk_test"}, answer: func(c call, total int) {
		if c.r.Header.Get("Authorization") != "Bearer sk_test" {
			http.Error(c.w, `{"error":{"message":"You did not provide an API key."}}`, http.StatusUnauthorized)
			return
		}
		if c.only("limit", "starting_after", "ending_before") {
			at := c.n("starting_after", -1) + 1
			c.say(`{"object":"list","url":"/v1/customers","has_more":%t,"data":%s}`, at+10 < total, slice(at, 10, total))
		}
	}},
	{name: "Notion", path: "/v1/users", total: 250, whole: true, settings: map[string]any{"bearer_token": "ntn", "headers": map[string]string{"Notion-Version": "2022-06-28"}}, answer: func(c call, total int) {
		if c.only("start_cursor", "page_size") {
			at := token(c.q("start_cursor"))
			more := at+100 < total
			c.say(`{"object":"list","results":%s,"next_cursor":%s,"has_more":%t,"type":"user","user":{}}`, slice(at, 100, total), or(more, `"t%d"`, at+100), more)
		}
	}},
	{name: "Airtable", path: "/v0/app1/Table1", total: 250, whole: true, answer: func(c call, total int) {
		at := token(c.q("offset"))
		next := ""
		if at+100 < total {
			next = fmt.Sprintf(`,"offset":"t%d"`, at+100)
		}
		c.say(`{"records":%s%s}`, slice(at, 100, total), next)
	}},
	{name: "Intercom", path: "/contacts", total: 120, whole: true, answer: func(c call, total int) {
		at := token(c.q("starting_after"))
		next := ""
		if at+50 < total {
			next = fmt.Sprintf(`"next":{"page":%d,"starting_after":"t%d"},`, at/50+2, at+50)
		}
		c.say(`{"type":"list","data":%s,"total_count":%d,"pages":{"type":"pages",%s"page":%d,"per_page":50,"total_pages":3}}`, slice(at, 50, total), total, next, at/50+1)
	}},
	{name: "Linear", path: "/graphql", whole: false, answer: func(c call, total int) {
		http.Error(c.w, `{"errors":[{"message":"GET query missing."}]}`, http.StatusBadRequest)
	}},
	{name: "Monday", path: "/v2", whole: false, answer: func(c call, total int) {
		http.Error(c.w, `{"error":"Method not allowed"}`, http.StatusMethodNotAllowed)
	}},
	{name: "Chargebee", path: "/api/v2/customers", total: 25, whole: true, answer: func(c call, total int) {
		if c.only("limit", "offset") {
			at := token(c.q("offset"))
			next := ""
			if at+10 < total {
				next = fmt.Sprintf(`,"next_offset":"t%d"`, at+10)
			}
			c.say(`{"list":%s%s}`, slice(at, 10, total), next)
		}
	}},
	{name: "Azure DevOps", path: "/org/p/_apis/build/builds", total: 250, whole: true, answer: func(c call, total int) {
		at := token(c.q("continuationToken"))
		if at+100 < total {
			c.w.Header().Set("X-Ms-Continuationtoken", fmt.Sprintf("t%d", at+100))
		}
		c.say(`{"count":%d,"value":%s}`, min(100, total-at), slice(at, 100, total))
	}},
	{name: "Jira Cloud", path: "/rest/api/3/search/jql", total: 120, whole: true, answer: func(c call, total int) {
		at := token(c.q("nextPageToken"))
		next := ""
		if at+50 < total {
			next = fmt.Sprintf(`,"nextPageToken":"t%d"`, at+50)
		}
		c.say(`{"issues":%s,"isLast":%t%s}`, slice(at, 50, total), next == "", next)
	}},
	{name: "Twitter", path: "/2/users/1/tweets", total: 25, whole: true, answer: func(c call, total int) {
		if c.only("max_results", "pagination_token") {
			at := token(c.q("pagination_token"))
			next := ""
			if at+10 < total {
				next = fmt.Sprintf(`,"next_token":"t%d"`, at+10)
			}
			c.say(`{"data":%s,"meta":{"result_count":%d,"newest_id":"1","oldest_id":"2"%s}}`, slice(at, 10, total), min(10, total-at), next)
		}
	}},
	{name: "YouTube", path: "/youtube/v3/playlistItems", total: 45, whole: true, answer: func(c call, total int) {
		at := token(c.q("pageToken"))
		next := ""
		if at+20 < total {
			next = fmt.Sprintf(`"nextPageToken":"t%d",`, at+20)
		}
		c.say(`{"kind":"youtube#playlistItemListResponse","etag":"e",%s"items":%s,"pageInfo":{"totalResults":%d,"resultsPerPage":20}}`, next, slice(at, 20, total), total)
	}},
	{name: "Google, sync token at the end", path: "/calendar/v3/calendars/c/events", total: 250, whole: true, answer: func(c call, total int) {
		at := token(c.q("pageToken"))
		next := `"nextSyncToken":"s"`
		if at+100 < total {
			next = fmt.Sprintf(`"nextPageToken":"t%d"`, at+100)
		}
		c.say(`{"kind":"calendar#events",%s,"items":%s}`, next, slice(at, 100, total))
	}},
	{name: "Reddit", path: "/r/golang/new.json", total: 60, whole: true, answer: func(c call, total int) {
		at := token(c.q("after"))
		c.say(`{"kind":"Listing","data":{"after":%s,"dist":25,"modhash":"","children":%s,"before":null}}`, or(at+25 < total, `"t%d"`, at+25), slice(at, 25, total))
	}},
	{name: "Pipedrive", path: "/v1/deals", total: 250, whole: true, answer: func(c call, total int) {
		at := c.n("start", 0)
		next := ""
		if at+100 < total {
			next = fmt.Sprintf(`,"next_start":%d`, at+100)
		}
		c.say(`{"success":true,"data":%s,"additional_data":{"pagination":{"start":%d,"limit":100,"more_items_in_collection":%t%s}}}`, slice(at, 100, total), at, next != "", next)
	}},
	{name: "Kubernetes", path: "/api/v1/pods", total: 250, whole: true, answer: func(c call, total int) {
		at := token(c.q("continue"))
		next := `""`
		if at+100 < total {
			next = fmt.Sprintf(`"t%d"`, at+100)
		}
		c.say(`{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1","continue":%s},"items":%s}`, next, slice(at, 100, total))
	}},
	{name: "AWS", path: "/things", total: 250, whole: true, answer: func(c call, total int) {
		at := token(c.q("NextToken"))
		next := ""
		if at+100 < total {
			next = fmt.Sprintf(`,"NextToken":"t%d"`, at+100)
		}
		c.say(`{"Things":%s%s}`, slice(at, 100, total), next)
	}},
	{name: "OpenAI", path: "/v1/files", total: 45, whole: true, answer: func(c call, total int) {
		at := c.n("after", -1) + 1
		c.say(`{"object":"list","data":%s,"first_id":"%d","last_id":"%d","has_more":%t}`, slice(at, 20, total), at, min(at+20, total)-1, at+20 < total)
	}},
	{name: "MediaWiki", path: "/w/api.php", total: 25, whole: false, answer: func(c call, total int) {
		c.say(`{"batchcomplete":"","continue":{"apcontinue":"B","continue":"-||"},"query":{"allpages":%s}}`, slice(0, 10, total))
	}},
	{name: "Algolia browse", path: "/1/indexes/i/browse", total: 2500, whole: true, answer: func(c call, total int) {
		at := token(c.q("cursor"))
		next := ""
		if at+1000 < total {
			next = fmt.Sprintf(`,"cursor":"t%d"`, at+1000)
		}
		c.say(`{"hits":%s,"nbHits":%d,"page":0,"nbPages":1,"hitsPerPage":1000,"processingTimeMS":1%s}`, slice(at, 1000, total), total, next)
	}},
}
