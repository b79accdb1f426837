package httpapi

import (
	"bytes"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"headwater/connectors/records"

	"headwater/connectors/httpapi/words"
)

// deepestSign is how many objects deep signs are looked for.
const deepestSign = 4

// number is a whole number in an answer, with the name it has there.
type number struct {
	name  string
	n     int64
	known bool
}

// token is what the next page is asked for with: a cursor, an offset, a number.
type token struct {
	name, value string
	params      []string // that may take it
}

// link is the address of the next page.
type link struct{ name, url string }

// signs are what an answer says about the pages after it, with their names: the dotted
// path to a field, or a header.
type signs struct {
	nexts  []link
	tokens []token
	lastID token    // of the last record; says nothing by itself
	gone   []string // fields that would hold the next page and say none
	more   string   // a flag that there is a next page
	over   string   // a flag that there is none
	odd    []string // what may hold the next page and is of no known form
	maybe  []number // what counts among the signs, nobody knows what
	linked bool     // there are Link headers to pages
	last   link     // the address of the last page

	page, pages, offset, size, total, count number
	atLeast                                 bool // total is a lower bound

	ignore []string // plain names of signs not to look at
	url    *url.URL // of the answer
}

// said reports whether an answer says that there is a next page, and by which sign.
func (g *signs) said() string {
	switch {
	case g.over != "":
		return ""
	case len(g.nexts) > 0:
		return g.nexts[0].name
	case len(g.tokens) > 0:
		return g.tokens[0].name
	}
	return g.more
}

// signsOf reads the signs of an answer. inside are the keys on the way to its records.
func signsOf(a *answer, inside, ignore []string) signs {
	g := signs{url: a.url}
	for _, name := range ignore {
		g.ignore = append(g.ignore, words.Plain(name))
	}
	g.headers(a.header)
	if len(a.body) > 0 && a.body[0] == '{' {
		top := a.in.index.Top()
		g.object(top, scope{inside: inside, envelope: true})
	}
	// A whole address is safer than a part of one, a text than a number.
	slices.SortStableFunc(g.nexts, func(a, b link) int {
		return rank(a.name != "Link" && !isWhole(a.url)) - rank(b.name != "Link" && !isWhole(b.url))
	})
	slices.SortStableFunc(g.tokens, func(a, b token) int { return rank(digits(a.value)) - rank(digits(b.value)) })
	return g
}

func rank(later bool) int {
	if later {
		return 1
	}
	return 0
}

func isWhole(address string) bool { return strings.Contains(address, "://") }

// scope is where in an answer an object is.
type scope struct {
	path     []string
	inside   []string // keys that still lead to the records
	envelope bool     // its numbers are about pages
	next     bool     // it is all about the next page
}

func (s scope) name(key string) string {
	if len(s.path) == 0 {
		return key
	}
	return strings.Join(s.path, ".") + "." + key
}

// fieldsOf is the fields of one object.
type fieldsOf = func(yield func(key, value []byte) bool)

func (g *signs) object(fields fieldsOf, in scope) {
	for k, value := range fields {
		if len(value) == 0 {
			continue
		}
		key := string(k)
		plain := words.Plain(key)
		name := in.name(key)
		if slices.Contains(g.ignore, plain) || slices.Contains(g.ignore, words.Plain(name)) {
			continue
		}
		switch value[0] {
		case '{':
			g.nested(name, key, plain, value, in)
		case '[':
			switch {
			case strings.HasSuffix(plain, "links") || plain == "link":
				g.relations(name, value)
			case plain == "next" && in.envelope:
				g.nextOf(name, value)
			case words.OddNames[plain] && value[len(value)-2] != '[':
				g.odd = append(g.odd, name)
			}
		default:
			g.scalar(name, plain, value, in)
		}
	}
}

// nested looks into an object of an answer.
func (g *signs) nested(name, key, plain string, value []byte, in scope) {
	child := scope{path: append(slices.Clone(in.path), key), envelope: in.envelope && words.Envelopes[plain]}
	if len(in.inside) > 0 && in.inside[0] == key {
		child.inside, child.envelope = in.inside[1:], true
	}
	switch word, next := words.Next(plain); {
	case len(child.path) > deepestSign || words.Backwards[plain] || in.next:
		return
	case next && (word == "" || word == "page" || word == "link"):
		child.next = true
		before := len(g.nexts) + len(g.tokens)
		g.object(records.Fields(value), child)
		if len(g.nexts)+len(g.tokens) == before && len(bytes.Trim(value, "{} \n\t\r")) > 0 {
			g.odd = append(g.odd, name)
		}
		return
	case words.OddNames[plain]:
		g.odd = append(g.odd, name)
		return
	case words.TotalNames[plain] && in.envelope:
		if n, ok := whole(records.Field(value, "value")); ok {
			g.total = number{name + ".value", n, true}
			relation := records.Unquote(records.Field(value, "relation"))
			g.atLeast = len(relation) > 0 && string(relation) != "eq"
		}
		return
	}
	g.object(records.Fields(value), child)
}

// scalar reads a field that is neither an object nor a list.
func (g *signs) scalar(name, plain string, value []byte, in scope) {
	text := string(records.Unquote(value))
	_, next := words.Next(plain)
	flag, isFlag := flagOf(text)
	if !isFlag && (words.MoreNames[plain] || words.OverNames[plain] && plain != "last" && value[0] == '"') {
		flag, isFlag = saysYes(text)
	}
	switch {
	case (plain == "last" || words.LastLinks[plain]) && value[0] == '"' && looksLikeURL(text):
		g.last = link{name, text}
	case in.next:
		g.continuation(name, value, text, !words.Backwards[plain])
	case next && isFlag && flag:
		g.setMore(name)
	case words.MoreNames[plain] && isFlag && (in.envelope || strings.HasPrefix(plain, "has")):
		if flag {
			g.setMore(name)
		} else {
			g.setOver(name)
		}
	case next:
		g.continuation(name, value, text, true)
	case words.OverNames[plain] && isFlag && in.envelope:
		if flag {
			g.setOver(name)
		} else {
			g.setMore(name)
		}
	case !in.envelope:
		if plain == "href" && g.elsewhere(text) {
			g.odd = append(g.odd, name)
		}
	case words.LastIDs[plain] && !empty(value):
		g.lastID = token{name, text, words.TokenParams(name)}
	case words.TokenNames[plain] || plain == "offset" && value[0] == '"' && !digits(text):
		if empty(value) {
			if plain != "cursor" && plain != "after" && plain != "marker" {
				g.gone = append(g.gone, name)
			}
			return
		}
		if none(text) { // it may be where this page is
			g.tokens = append(g.tokens, token{name, text, words.TokenParams(name)})
			return
		}
		g.continuation(name, value, text, true)
	default:
		g.counts(name, plain, value, in)
		g.unknown(name, plain, value, in)
	}
}

// continuation reads a field that says where the next page is: its address, or what it
// is asked for with. A field that says "none" means that there is no next page.
func (g *signs) continuation(name string, value []byte, text string, wanted bool) {
	switch {
	case !wanted:
	case empty(value) || none(text):
		g.gone = append(g.gone, name)
	case value[0] == '"' && looksLikeURL(text):
		g.nexts = append(g.nexts, link{name, text})
	case value[0] == 't' || value[0] == 'f':
	default:
		g.tokens = append(g.tokens, token{name, text, words.TokenParams(name)})
	}
}

func (g *signs) setMore(name string) {
	if g.more == "" {
		g.more = name
	}
}

func (g *signs) setOver(name string) {
	if g.over == "" {
		g.over = name
	}
}

// counts reads a number of pages or records.
func (g *signs) counts(name, plain string, value []byte, in scope) {
	n, ok := whole(value)
	if !ok {
		return
	}
	set := func(to *number) {
		if !to.known {
			*to = number{name, n, true}
		}
	}
	inPage := len(in.path) > 0 && words.Plain(in.path[len(in.path)-1]) == "page"
	switch {
	case words.PageNames[plain], plain == "number" && (inPage || g.pages.known || g.page.known || len(in.path) == 0):
		set(&g.page)
	case words.PagesNames[plain]:
		set(&g.pages)
	case words.SkipNames[plain]:
		set(&g.offset)
	case words.TotalNames[plain]:
		if !g.total.known || n > g.total.n {
			g.total = number{name, n, true}
		}
	case words.SizeNames[plain]:
		set(&g.size)
	case words.CountNames[plain]:
		set(&g.count)
	}
}

// relations reads a list of links, as in [{"rel":"next","href":"..."}].
func (g *signs) relations(name string, list []byte) {
	for element := range records.Elements(list) {
		if element[0] != '{' {
			return
		}
		var rel, href string
		for key, value := range records.Fields(element) {
			switch string(key) {
			case "rel", "relation", "name":
				if value[0] == '[' {
					for first := range records.Elements(value) {
						value = first
						break
					}
				}
				if string(key) != "name" || rel == "" {
					rel = string(records.Unquote(value))
				}
			case "href", "url", "uri":
				href = string(records.Unquote(value))
			}
		}
		if words.Backwards[words.Plain(rel)] && rel != "self" {
			g.linked = true
		}
		if rel == "last" && looksLikeURL(href) {
			g.last = link{name, href}
		}
		if rel == "next" && looksLikeURL(href) {
			g.nexts = append(g.nexts, link{name, href})
		}
	}
}

// flagOf reads true and false, also between quotes.
func flagOf(text string) (flag, ok bool) {
	switch strings.ToLower(text) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

// whole reads a whole number of at least 0, also in quotes, with commas between
// thousands, or as 40.0.
func whole(value []byte) (int64, bool) {
	text := string(records.Unquote(value))
	if head, tail, ok := strings.Cut(text, "."); ok && tail != "" && strings.Trim(tail, "0") == "" {
		text = head
	}
	if groups := strings.Split(text, ","); len(groups) > 1 && len(groups[0]) < 4 && !slices.ContainsFunc(groups[1:], func(g string) bool { return len(g) != 3 }) {
		text = strings.Join(groups, "")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0
}

func digits(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// empty reports whether a value means "none".
func empty(raw []byte) bool {
	switch string(raw) {
	case "null", `""`, "false":
		return true
	}
	return false
}

// none reports whether what the next page is asked for with means that there is none: 0
// and -1 stand for the first page, which is never the next.
func none(text string) bool { return text == "0" || text == "-1" }

func looksLikeURL(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "/") || strings.HasPrefix(s, "?") ||
		!strings.ContainsAny(s, " \t\n{}\"") && strings.Contains(s, "?") && strings.Contains(s[strings.IndexByte(s, '?'):], "=")
}
