package httpapi

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"headwater/connectors/records"

	"headwater/connectors/httpapi/words"
)

// headers reads the signs in headers.
func (g *signs) headers(header http.Header) {
	if g.ignores("Link") {
		header = header.Clone()
		header.Del("Link")
	}
	next, last, over, linked := nextLink(header)
	g.linked = linked
	if last != "" {
		g.last = link{"Link", last}
	}
	switch {
	case over:
		g.setOver(`Link; results="false"`)
	case next != "":
		g.nexts = append(g.nexts, link{"Link", next})
	}
	for name, values := range header {
		if len(values) == 0 || g.ignores(name) {
			continue
		}
		g.header(name, strings.TrimSpace(values[0]))
	}
	slices.SortStableFunc(g.tokens, func(a, b token) int { return strings.Compare(a.name, b.name) })
}

func (g *signs) ignores(name string) bool { return slices.Contains(g.ignore, words.Plain(name)) }

// header reads the signs of one header, such as X-Next-Page, X-WP-TotalPages,
// x-ms-continuationtoken or X-Pagination with JSON in it.
func (g *signs) header(name, value string) {
	plain := words.Plain(name)
	for _, other := range []string{"ratelimit", "remaining", "reset", "quota", "contentlength", "age", "retry", "timeout", "policy"} {
		if strings.Contains(plain, other) && !strings.Contains(plain, "page") && other != "age" || plain == other {
			return
		}
	}
	if strings.Contains(plain, "pagination") && strings.HasPrefix(value, "{") {
		var x records.Index
		if x.Read([]byte(value), nil) {
			g.object(x.Top(), scope{path: []string{name}, envelope: true})
		}
		return
	}
	if plain == "contentrange" {
		g.contentRange(name, value)
		return
	}
	ends := func(suffixes ...string) bool {
		return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(plain, s) })
	}
	n, err := strconv.ParseInt(value, 10, 64)
	isNumber := err == nil && n >= 0
	set := func(to *number) {
		if isNumber && !to.known {
			*to = number{name, n, true}
		}
	}
	switch {
	case ends("nextpage", "nextcursor", "nexttoken", "nextpagetoken", "continuationtoken", "continuation", "nextmarker", "nextoffset", "nextpageurl", "nextlink", "pagenext"):
		switch {
		case value == "" || none(value):
			g.gone = append(g.gone, name)
		case looksLikeURL(value):
			g.nexts = append(g.nexts, link{name, value})
		default:
			g.tokens = append(g.tokens, token{name, value, headerParams(plain)})
		}
	case ends("hasmore", "hasnextpage", "hasmorepages"):
		flag, ok := flagOf(value)
		if !ok {
			flag, ok = saysYes(value)
		}
		switch {
		case ok && flag:
			g.setMore(name)
		case ok:
			g.setOver(name)
		}
	case ends("totalpages", "pagecount", "pagestotal", "totalpagecount", "lastpage"), plain == "pages", plain == "xpages":
		set(&g.pages)
	case ends("totalcount", "xtotal", "wptotal", "totalresults", "totalitems", "totalrecords", "paginationtotal", "listtotal", "paginationcount", "totalelements", "totalhits", "totalobjects", "totalentries", "totalrows", "totalmatches", "totalsize"), plain == "totalcount", plain == "total":
		set(&g.total)
	case ends("perpage", "pagesize", "paginationlimit", "pagelimit"):
		set(&g.size)
	case ends("currentpage", "xpage", "paginationpage", "pagenumber"):
		set(&g.page)
	case ends("paginationoffset", "xoffset"):
		set(&g.offset)
	case (strings.HasPrefix(plain, "next") || strings.HasPrefix(plain, "xnext")) && value != "" && !strings.HasPrefix(plain, "nextjs"):
		g.odd = append(g.odd, name)
	}
}

// headerParams returns the request parameters that may take the value of a header.
func headerParams(plain string) []string {
	for _, h := range []struct{ end, as string }{
		{"continuationtoken", "continuationToken"}, {"continuation", "continuation"}, {"nextpagetoken", "next_page_token"}, {"nextcursor", "next_cursor"},
		{"nexttoken", "next_token"}, {"nextmarker", "next_marker"}, {"nextoffset", "next_offset"}, {"pagenext", "next_page"},
	} {
		if strings.HasSuffix(plain, h.end) {
			return words.TokenParams(h.as)
		}
	}
	return words.TokenParams("next_page")
}

// contentRange reads "items 0-24/250".
func (g *signs) contentRange(name, value string) {
	if at := strings.LastIndexByte(value, ' '); at >= 0 {
		if strings.HasPrefix(value, "bytes") {
			return
		}
		value = value[at+1:]
	}
	span, total, _ := strings.Cut(value, "/")
	if n, err := strconv.ParseInt(total, 10, 64); err == nil && n >= 0 && !g.total.known {
		g.total = number{name, n, true}
	}
	from, _, _ := strings.Cut(span, "-")
	if n, err := strconv.ParseInt(from, 10, 64); err == nil && n >= 0 && !g.offset.known {
		g.offset = number{name, n, true}
	}
}

// nextLink returns the targets of rel="next" and rel="last" of the Link headers (RFC
// 8288), "" if there are none. over says that such a link has results="false", linked
// that there was any link to a page.
func nextLink(header http.Header) (next, last string, over, linked bool) {
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
			target := strings.TrimSpace(value[start+1 : start+end])
			value = value[start+end+1:]
			params := value
			if i := strings.IndexByte(value, '<'); i >= 0 {
				params = value[:i]
			}
			rels, none := "", false
			for param := range strings.SplitSeq(params, ";") {
				name, v, _ := strings.Cut(strings.Trim(param, " ,\t"), "=")
				v = strings.Trim(strings.Trim(v, " ,"), `"`)
				switch strings.ToLower(strings.TrimSpace(name)) {
				case "rel":
					rels = v
				case "results":
					none = strings.EqualFold(v, "false")
				}
			}
			for rel := range strings.FieldsSeq(rels) {
				switch strings.ToLower(rel) {
				case "next":
					next, over, linked = target, none, true
				case "last":
					last, linked = target, true
				case "prev", "previous", "first":
					linked = true
				}
			}
		}
	}
	return next, last, over, linked
}
