package binlog

import "strings"

// token is a part of a statement.
type token struct {
	kind tokenKind
	text string // of an identifier or string without its quotes
}

type tokenKind uint8

const (
	word   tokenKind = iota // bare: a keyword or a name
	quoted                  // a name in its quotes
	text                    // a string
	mark                    // one character
)

// scanner parts a statement. Comments that servers execute are read as what they
// hold.
type scanner struct {
	sql   string
	mode  uint64
	leads func(byte) bool // which bytes begin a character whose second may be a mark or a quote, nil if none does
}

func (q Query) scan() scanner { return scanner{q.SQL, q.Mode, leads(q.Charset)} }

// leads returns which bytes begin such a character in the character set of a collation.
// Those that MariaDB numbers from 1024 to 2047 are others with nothing but NO PAD.
func leads(collation uint16) func(byte) bool {
	if collation>>10 == 1 {
		collation -= 1024
	}
	switch collation {
	case 13, 88, 95, 96: // sjis, cp932
		return func(c byte) bool { return c >= 0x81 && c <= 0x9f || c >= 0xe0 && c <= 0xfc }
	case 1, 84, 28, 87, 248, 249, 250: // big5, gbk, gb18030
		return func(c byte) bool { return c >= 0x81 && c <= 0xfe }
	}
	return nil
}

// double reports whether the byte at i begins a character of two bytes.
func (s *scanner) double(i int) bool { return s.leads != nil && i+1 < len(s.sql) && s.leads(s.sql[i]) }

// next returns the next token, or false at the end.
func (s *scanner) next() (token, bool) {
	for s.sql != "" {
		switch c := s.sql[0]; {
		case c == ' ' || c >= '\t' && c <= '\r':
			s.sql = s.sql[1:]
		case c == '#' || strings.HasPrefix(s.sql, "--") && (len(s.sql) == 2 || s.sql[2] <= ' '):
			_, s.sql, _ = strings.Cut(s.sql, "\n")
		case strings.HasPrefix(s.sql, "/*!"), strings.HasPrefix(s.sql, "/*M!"):
			s.sql = strings.TrimLeft(s.sql[strings.IndexByte(s.sql, '!')+1:], "0123456789")
		case strings.HasPrefix(s.sql, "/*"):
			_, s.sql, _ = strings.Cut(s.sql[2:], "*/")
		case strings.HasPrefix(s.sql, "*/"):
			s.sql = s.sql[2:]
		case c == '`':
			return token{quoted, s.quotes('`', false)}, true
		case c == '"' && s.mode&modeANSIQuotes != 0:
			return token{quoted, s.quotes('"', false)}, true
		case c == '"' || c == '\'':
			return token{text, s.quotes(c, s.mode&modeNoBackslash == 0)}, true
		case inWord(c):
			n := 0
			for n < len(s.sql) && inWord(s.sql[n]) {
				if s.double(n) {
					n++
				}
				n++
			}
			t := token{word, s.sql[:n]}
			s.sql = s.sql[n:]
			return t, true
		default:
			t := token{mark, s.sql[:1]}
			s.sql = s.sql[1:]
			return t, true
		}
	}
	return token{}, false
}

func inWord(c byte) bool {
	return c >= 0x80 || c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// quotes reads up to the closing quote; doubled, it stands for itself.
func (s *scanner) quotes(quote byte, backslash bool) string {
	var out strings.Builder
	i := 1
	for ; i < len(s.sql); i++ {
		switch c := s.sql[i]; {
		case s.double(i):
			out.WriteByte(c)
			i++
		case c == '\\' && backslash && i+1 < len(s.sql):
			i++
		case c == quote:
			if i+1 == len(s.sql) || s.sql[i+1] != quote {
				s.sql = s.sql[i+1:]
				return out.String()
			}
			i++
		}
		out.WriteByte(s.sql[i])
	}
	s.sql = ""
	return out.String()
}

// tokens are a statement's tokens that are still to be read.
type tokens []token

// is reports whether the next token is one of the bare words, in upper case.
func (t tokens) is(words ...string) bool {
	if len(t) == 0 || t[0].kind != word {
		return false
	}
	for _, w := range words {
		if strings.EqualFold(t[0].text, w) {
			return true
		}
	}
	return false
}

// has reports whether one of the words stands anywhere.
func (t tokens) has(words ...string) bool {
	for i := range t {
		if t[i:].is(words...) {
			return true
		}
	}
	return false
}

// skip takes the words off that come next, each if it is there.
func (t *tokens) skip(words ...string) (any bool) {
	for _, w := range words {
		if t.is(w) {
			*t, any = (*t)[1:], true
		}
	}
	return any
}

// mark takes a character off, if it comes next.
func (t *tokens) mark(c string) bool {
	if len(*t) == 0 || (*t)[0].kind != mark || (*t)[0].text != c {
		return false
	}
	*t = (*t)[1:]
	return true
}

// name takes a table's name off.
func (t *tokens) name(schema string) (Name, bool) {
	if len(*t) == 0 || (*t)[0].kind > quoted {
		return Name{}, false
	}
	n := Name{schema, (*t)[0].text}
	*t = (*t)[1:]
	if t.mark(".") {
		if len(*t) == 0 || (*t)[0].kind > quoted {
			return Name{}, false
		}
		n = Name{n.Table, (*t)[0].text}
		*t = (*t)[1:]
	}
	return n, true
}

// names takes a list of names off.
func (t *tokens) names(schema string) (all []Name) {
	for {
		n, ok := t.name(schema)
		if !ok {
			return all
		}
		if all = append(all, n); !t.mark(",") {
			return all
		}
	}
}

// parts cuts at the commas that stand in no parentheses.
func (t tokens) parts() (all []tokens) {
	depth, from := 0, 0
	for i, tok := range t {
		if tok.kind != mark {
			continue
		}
		switch tok.text {
		case "(":
			depth++
		case ")":
			depth--
		case ",":
			if depth == 0 {
				all, from = append(all, t[from:i]), i+1
			}
		}
	}
	return append(all, t[from:])
}
