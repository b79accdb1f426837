package httpapi

import (
	"slices"
	"strings"
	"unicode"

	"headwater/connectors/records"

	"headwater/connectors/httpapi/words"
)

// unknown notes what is among an answer's signs and has no known name: it may say that
// there is more.
func (g *signs) unknown(name, plain string, value []byte, in scope) {
	text := string(records.Unquote(value))
	switch {
	case words.Backwards[plain]:
		return
	case maybeNext(name) && !empty(value) && value[0] != 't':
		if !none(text) {
			g.odd = append(g.odd, name)
		}
		return
	case value[0] == '"' && looksLikeURL(text) && g.elsewhere(text):
		g.odd = append(g.odd, name)
		return
	case words.TotalNames[plain] || plain == "range":
		if n, ok := lastNumber(text); ok {
			g.maybe = append(g.maybe, number{name, n, true})
		}
		return
	}
	if words.PageNames[plain] || words.PagesNames[plain] || words.SkipNames[plain] || words.TotalNames[plain] || words.CountNames[plain] || words.SizeNames[plain] {
		return
	}
	if !words.Pagers[plain] && (len(in.path) == 0 || !words.Pagers[words.Plain(in.path[len(in.path)-1])]) {
		g.beside(name, value)
		return
	}
	for _, other := range []string{"max", "limit", "size", "time", "prev", "first", "start", "end", "before", "id", "sort", "date", "to", "per"} {
		if strings.Contains(plain, other) && !strings.Contains(plain, "total") {
			return
		}
	}
	if n, ok := whole(value); ok {
		g.maybe = append(g.maybe, number{name, n, true})
	} else if value[0] == '"' && strings.ContainsAny(text, "0123456789") && !looksLikeURL(text) {
		g.odd = append(g.odd, name)
	}
}

// maybeNext reports whether a name begins with "next" and may be one of a next page,
// though it is not among those that are known.
func maybeNext(name string) bool {
	list := wordsIn(name[strings.LastIndexByte(name, '.')+1:])
	return len(list) > 1 && list[0] == "next" && !slices.ContainsFunc(list, func(w string) bool { return words.OtherNext[w] })
}

// mostCounted is the largest number that may count records: times are larger.
const mostCounted = 1e9

// beside notes a number beside the records that may count them, unless its name says
// that it counts or measures something else.
func (g *signs) beside(name string, value []byte) {
	n, ok := whole(value)
	if !ok || value[0] == '"' || n >= mostCounted || slices.ContainsFunc(wordsIn(name), func(w string) bool { return words.Uncounted[w] }) {
		return
	}
	g.maybe = append(g.maybe, number{name, n, true})
}

// wordsIn returns the words of a name such as took_ms, tookMs and meta.took-ms,
// in lower case.
func wordsIn(name string) (list []string) {
	var word []rune
	end := func() {
		if len(word) > 0 {
			list = append(list, strings.ToLower(string(word)))
		}
		word = nil
	}
	lower := false
	for _, r := range name {
		if !unicode.IsLetter(r) || unicode.IsUpper(r) && lower {
			end()
		}
		if lower = unicode.IsLower(r); unicode.IsLetter(r) {
			word = append(word, r)
		}
	}
	end()
	return list
}

// nextOf reads a list of addresses of the next page, as in {"next":[{"href":"..."}]}.
func (g *signs) nextOf(name string, list []byte) {
	for element := range records.Elements(list) {
		href := element
		if element[0] == '{' {
			href = records.Field(element, "href")
		}
		if text := string(records.Unquote(href)); looksLikeURL(text) {
			g.nexts = append(g.nexts, link{name, text})
		} else {
			g.odd = append(g.odd, name)
		}
		return
	}
	g.gone = append(g.gone, name)
}

// elsewhere reports whether an address is that of the same list with another query, so
// another page of it.
func (g *signs) elsewhere(address string) bool {
	u, err := g.url.Parse(address)
	return err == nil && u.Path == g.url.Path && u.RawQuery != "" && u.RawQuery != g.url.RawQuery
}

// lastNumber reads the number at the end of text such as "1-25 of 250" and "40+".
func lastNumber(text string) (int64, bool) {
	text = strings.TrimRight(text, "+ ")
	return whole([]byte(text[strings.LastIndexFunc(text, func(r rune) bool { return r != ',' && (r < '0' || r > '9') })+1:]))
}

// saysYes reads a flag that is not a boolean: yes or no, or how many there are.
func saysYes(text string) (flag, ok bool) {
	switch strings.ToLower(text) {
	case "y", "yes":
		return true, true
	case "n", "no":
		return false, true
	}
	n, ok := whole([]byte(text))
	return n > 0, ok
}
