package syncoptions

import (
	"strings"
	"unicode/utf8"
)

// glob is a compiled pattern: * is any text, ? any character, [a-z] and [^a-z] a
// class, and a backslash takes the next character as it is. Unlike in path.Match
// a slash is a character as any other.
type glob []element

// element is one part of a glob: any text, or one character of the spans (with
// not: out of them).
type element struct {
	text  bool // any, of any length
	not   bool
	spans []bounds
}

type bounds struct{ low, high rune }

func (e element) takes(r rune) bool {
	for _, s := range e.spans {
		if s.low <= r && r <= s.high {
			return !e.not
		}
	}
	return e.not
}

// compile returns false for a text that is no pattern: it has a class that does
// not end, or a backslash that nothing follows.
func compile(pattern string) (g glob, ok bool) {
	for p := pattern; p != ""; {
		switch p[0] {
		case '*':
			p = strings.TrimLeft(p, "*")
			g = append(g, element{text: true})
		case '?':
			p = p[1:]
			g = append(g, element{not: true})
		case '[':
			var e element
			if e, p, ok = class(p[1:]); !ok {
				return nil, false
			}
			g = append(g, e)
		default:
			var r rune
			if r, p, ok = character(p); !ok {
				return nil, false
			}
			g = append(g, element{spans: []bounds{{r, r}}})
		}
	}
	return g, true
}

// class reads what follows the [ of a class, and its end.
func class(p string) (e element, rest string, ok bool) {
	if strings.HasPrefix(p, "^") {
		e.not, p = true, p[1:]
	}
	for {
		if strings.HasPrefix(p, "]") {
			return e, p[1:], len(e.spans) > 0
		}
		if p == "" || p[0] == '-' {
			return e, "", false
		}
		var s bounds
		if s.low, p, ok = character(p); !ok {
			return e, "", false
		}
		s.high = s.low
		if strings.HasPrefix(p, "-") {
			if p = p[1:]; strings.HasPrefix(p, "]") || strings.HasPrefix(p, "-") {
				return e, "", false
			}
			if s.high, p, ok = character(p); !ok {
				return e, "", false
			}
		}
		e.spans = append(e.spans, s)
	}
}

// character reads one character, or the one that a backslash takes as it is.
func character(p string) (r rune, rest string, ok bool) {
	p = strings.TrimPrefix(p, `\`)
	r, n := utf8.DecodeRuneInString(p)
	return r, p[n:], n > 0
}

// match reports whether the whole name is of the pattern. Its time is at most
// the product of both lengths.
func (g glob) match(name string) bool {
	at, star, mark := 0, -1, ""
	for name != "" {
		if at < len(g) && g[at].text {
			star, mark = at, name
			at++
			continue
		}
		r, n := utf8.DecodeRuneInString(name)
		if at < len(g) && g[at].takes(r) {
			at, name = at+1, name[n:]
			continue
		}
		if star < 0 {
			return false
		}
		// The last * takes one character more.
		_, n = utf8.DecodeRuneInString(mark)
		mark = mark[n:]
		at, name = star+1, mark
	}
	for at < len(g) && g[at].text {
		at++
	}
	return at == len(g)
}
