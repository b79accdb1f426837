package binlog

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// Bits of sql_mode that a statement is read by.
const (
	modeANSIQuotes  = 1 << 2
	modeNoBackslash = 1 << 20
)

// Query is a statement as the log has it.
type Query struct {
	Schema  string // that it was run in
	SQL     string
	Seconds uint32 // it took
	Mode    uint64 // sql_mode
	Charset uint16 // number of a collation of the client's character set, 0 if it is not told
}

// Query reads a QUERY event: the thread, the seconds it took, the length of the
// schema's name, an error's number, the length of the session's variables; then
// those, the name, a zero, and the statement, which MariaDB may have compressed.
func (r *Reader) Query(e Event) (Query, error) {
	fixed := r.fixed(e.Type, 13)
	if e.Type != QueryEvent && e.Type != QueryCompressed || fixed < 13 || len(e.Body) < fixed {
		return Query{}, ErrEvent
	}
	q := Query{Seconds: binary.LittleEndian.Uint32(e.Body[4:])}
	variables, p, ok := take(e.Body[fixed:], uint64(binary.LittleEndian.Uint16(e.Body[11:])))
	if !ok {
		return Query{}, ErrEvent
	}
	q.Mode, q.Charset = session(variables)
	name, p, ok := take(p, uint64(e.Body[8])+1)
	if !ok || name[len(name)-1] != 0 {
		return Query{}, ErrEvent
	}
	q.Schema = string(name[:len(name)-1])
	if e.Type == QueryCompressed {
		var err error
		if p, err = r.decompress(p); err != nil {
			return Query{}, err
		}
	}
	q.SQL = string(bytes.TrimRight(p, "\x00"))
	return q, nil
}

// session finds sql_mode and the client's character set among a session's variables, of
// which those before them have known lengths.
func session(p []byte) (mode uint64, charset uint16) {
	if len(p) >= 5 && p[0] == 0 {
		p = p[5:]
	}
	if len(p) >= 9 && p[0] == 1 {
		mode, p = binary.LittleEndian.Uint64(p[1:]), p[9:]
	}
	if len(p) >= 2 && p[0] == 6 && len(p) >= 2+int(p[1]) { // the catalog
		p = p[2+int(p[1]):]
	}
	if len(p) >= 5 && p[0] == 3 { // steps of AUTO_INCREMENT
		p = p[5:]
	}
	if len(p) >= 7 && p[0] == 4 {
		charset = binary.LittleEndian.Uint16(p[1:])
	}
	return mode, charset
}

// OfServer reports whether a statement changes no rows but those of one of the server's
// own tables (schema mysql), as services that host servers do. There are no triggers
// there. It is false for one that names another table, or that may call a function which
// the server did not come with: what those change is not known.
func (q Query) OfServer() bool {
	s := q.scan()
	var t tokens
	for one, ok := s.next(); ok; one, ok = s.next() {
		if t = append(t, one); len(t) > 1<<10 {
			return false
		}
	}
	update, remove := t.is("UPDATE"), t.is("DELETE")
	if !t.skip("INSERT", "REPLACE", "UPDATE", "DELETE") {
		return false
	}
	t.skip("LOW_PRIORITY", "IGNORE", "INTO", "FROM")
	if n, ok := t.name(q.Schema); !ok || n.Schema != "mysql" || t.has("SELECT") || update && !t.is("SET") || remove && len(t) > 0 && !t.is("WHERE") {
		return false
	}
	for i, one := range t {
		if one.kind != mark || i == 0 {
			continue
		}
		before := t[i-1 : i]
		if one.text == "." && strings.Trim(before[0].text, "0123456789") != "" || one.text == "(" && before[0].kind <= quoted && !before.is(opening...) {
			return false
		}
	}
	return true
}

// opening are words before a parenthesis that call no function of a user's: keywords, and
// functions of the server's own, which no other can hide.
var opening = []string{"VALUES", "VALUE", "WHERE", "AND", "OR", "NOT", "IN", "NOW", "CURRENT_TIMESTAMP", "UNIX_TIMESTAMP", "UTC_TIMESTAMP", "SYSDATE", "UUID"}
