package httpapi

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"headwater/connectors/records"
)

// The names under which APIs tell about the next page. Each is a path of keys.
var (
	// containers are the objects that hold the rest, the answer itself first.
	containers = [][]string{{}, {"meta"}, {"pagination"}, {"paging"}, {"page_info"}, {"pageInfo"}, {"meta", "pagination"}, {"response_metadata"}, {"metadata"}, {"_meta"}, {"info"}, {"page"}, {"links"}, {"_links"}, {"cursors"}, {"paging", "cursors"}, {"data"}}

	urlNames    = []string{"next", "next_url", "nextUrl", "next_page_url", "nextPageUrl", "next_link", "nextLink", "@odata.nextLink", "next_page", "nextPage", "next_href"}
	cursorNames = []struct{ field, param string }{
		{"next_cursor", "cursor"}, {"nextCursor", "cursor"}, {"next_page_token", "page_token"}, {"nextPageToken", "pageToken"},
		{"next_token", "next_token"}, {"nextToken", "nextToken"}, {"continuation_token", "continuation_token"}, {"continuationToken", "continuationToken"},
		{"end_cursor", "after"}, {"endCursor", "after"}, {"after", "after"}, {"cursor", "cursor"}, {"scroll_id", "scroll_id"}, {"offset_token", "offset_token"},
	}
	moreNames  = []string{"has_more", "hasMore", "more", "has_next", "hasNext", "has_next_page", "hasNextPage"}
	pageNames  = []struct{ field, param string }{{"page", "page"}, {"current_page", "page"}, {"currentPage", "page"}, {"page_number", "page_number"}, {"pageNumber", "pageNumber"}, {"number", "page"}, {"pageIndex", "pageIndex"}}
	pagesNames = []string{"total_pages", "totalPages", "pages", "last_page", "lastPage", "page_count", "pageCount", "num_pages"}
	skipNames  = []string{"offset", "skip", "start", "startAt", "start_index"}
	totalNames = []string{"total", "total_count", "totalCount", "total_results", "totalResults", "total_records", "totalElements", "total_items", "totalItems"}
)

// signs are what an answer tells about the pages after it.
type signs struct {
	next        string // a URL
	cursor      string
	cursorParam string
	ended       bool // it says that there is no next page
	more        bool // it says that there is one
	page, pages int  // -1 is unknown
	pageParam   string
	offset      int64 // -1 is unknown
	offsetParam string
	total       int64 // records in all, -1 is unknown
	count       int64 // records in all or on this page, -1 is unknown
}

// detect reads the signs of an answer.
func detect(a *answer) signs {
	g := signs{page: -1, pages: -1, offset: -1, total: -1, count: -1}
	for _, name := range []string{"X-Total-Count", "X-Total", "Total-Count"} {
		if n, err := strconv.ParseInt(a.header.Get(name), 10, 64); err == nil && n >= 0 {
			g.total = n
		}
	}
	if len(a.body) == 0 || a.body[0] != '{' {
		return g
	}
	top := a.top()
	for _, path := range containers {
		fields := top
		if len(path) > 0 {
			object := records.Field(top[path[0]], path[1:]...)
			if len(object) == 0 {
				continue
			}
			if last := path[len(path)-1]; object[0] == '[' && (last == "links" || last == "_links") {
				g.relations(object)
			}
			if object[0] != '{' {
				continue
			}
			fields = map[string][]byte{}
			for key, value := range records.Fields(object) {
				fields[string(key)] = value
			}
		}
		g.links(fields)
		g.cursors(fields)
		g.numbers(fields)
	}
	if raw := top["link"]; len(raw) > 0 {
		g.relations(raw)
	}
	return g
}

// links reads next-page URLs, and whether there is a next page.
func (g *signs) links(fields map[string][]byte) {
	for _, name := range urlNames {
		raw, ok := fields[name]
		if !ok {
			continue
		}
		if raw[0] == '{' {
			raw = records.Field(raw, "href")
		}
		switch text := string(records.Unquote(raw)); {
		case len(raw) == 0:
		case empty(raw):
			g.ended = true
		case raw[0] == '"' && looksLikeURL(text):
			if g.next == "" {
				g.next = text
			}
		case raw[0] == '"' && g.cursor == "" && name == "next":
			g.cursor, g.cursorParam = text, "cursor"
		default:
			if n, err := strconv.Atoi(text); err == nil && g.page < 0 && n > 0 {
				g.page, g.pageParam, g.more = n-1, "page", true
			}
		}
	}
	for _, name := range moreNames {
		switch raw := fields[name]; string(raw) {
		case "true":
			g.more = true
		case "false":
			g.ended = true
		}
	}
}

// relations reads a list of links, as in [{"rel":"next","href":"..."}].
func (g *signs) relations(list []byte) {
	for link := range records.Elements(list) {
		if link[0] != '{' {
			return
		}
		var rel, href string
		for key, value := range records.Fields(link) {
			switch string(key) {
			case "rel", "relation":
				rel = string(records.Unquote(value))
			case "href", "url", "uri":
				href = string(records.Unquote(value))
			}
		}
		if rel == "next" && looksLikeURL(href) && g.next == "" {
			g.next = href
		}
	}
}

func (g *signs) cursors(fields map[string][]byte) {
	for _, c := range cursorNames {
		raw, ok := fields[c.field]
		if !ok || raw[0] == '{' || raw[0] == '[' || g.cursor != "" {
			continue
		}
		if empty(raw) {
			g.ended = g.ended || c.field != "cursor" && c.field != "after"
			continue
		}
		text := string(records.Unquote(raw))
		if raw[0] == '"' && looksLikeURL(text) {
			if g.next == "" {
				g.next = text
			}
			continue
		}
		g.cursor, g.cursorParam = text, c.param
	}
}

func (g *signs) numbers(fields map[string][]byte) {
	whole := func(name string) (int64, bool) {
		n, err := strconv.ParseInt(string(records.Unquote(fields[name])), 10, 64)
		return n, err == nil && n >= 0
	}
	for _, p := range pageNames {
		if n, ok := whole(p.field); ok && g.page < 0 {
			g.page, g.pageParam = int(n), p.param
		}
	}
	for _, name := range pagesNames {
		if n, ok := whole(name); ok && g.pages < 0 {
			g.pages = int(n)
		}
	}
	for _, name := range skipNames {
		if n, ok := whole(name); ok && g.offset < 0 {
			g.offset, g.offsetParam = n, name
		}
	}
	for _, name := range totalNames {
		if n, ok := whole(name); ok {
			g.total = max(g.total, n)
		}
	}
	if n, ok := whole("count"); ok && g.count < 0 {
		g.count = n
	}
}

// empty reports whether a value says "none".
func empty(raw []byte) bool {
	switch string(raw) {
	case "null", `""`, "false":
		return true
	}
	return false
}

func looksLikeURL(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "/") || strings.HasPrefix(s, "?")
}

// nextLink returns the target of rel="next" of the Link headers (RFC 8288), or
// "". linked tells whether there was any link to a page.
func nextLink(header http.Header) (next string, linked bool) {
	for _, value := range header.Values("Link") {
		for len(value) > 0 {
			start := strings.IndexByte(value, '<')
			if start < 0 {
				break
			}
			end := strings.IndexByte(value[start:], '>')
			if end < 0 {
				break
			}
			target := value[start+1 : start+end]
			value = value[start+end+1:]
			params := value
			if i := strings.IndexByte(value, '<'); i >= 0 {
				params = value[:i]
			}
			for param := range strings.SplitSeq(params, ";") {
				name, rels, _ := strings.Cut(strings.Trim(param, " ,\t"), "=")
				if !strings.EqualFold(strings.TrimSpace(name), "rel") {
					continue
				}
				for rel := range strings.FieldsSeq(strings.Trim(strings.Trim(rels, " ,"), `"`)) {
					switch strings.ToLower(rel) {
					case "next":
						next, linked = target, true
					case "prev", "first", "last":
						linked = true
					}
				}
			}
		}
	}
	return next, linked
}

// with returns u with a query parameter set.
func with(u *url.URL, name, value string) *url.URL {
	out := *u
	query := out.Query()
	query.Set(name, value)
	out.RawQuery = query.Encode()
	return &out
}
