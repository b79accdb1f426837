package capture

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
	"headwater/connectors/mysql/typemap"
)

// charset turns text of a character set into UTF-8. Rows of the log have the bytes that
// the column stores.
type charset struct {
	unit   int  // bytes of a unit of UTF-16 and UTF-32, 0 for others
	little bool // little-endian
	pairs  bool // with surrogate pairs

	// The character that the server makes of one byte, of two, and of three that begin
	// with 0x8f; 0 if there is none.
	single [256]rune
	double map[uint16]rune
	triple map[uint16]rune // by the second and third byte
}

// isUTF8 reports whether text of a character set is UTF-8.
func isUTF8(name string) bool {
	return slices.Contains([]string{"utf8mb4", "utf8mb3", "utf8", "ascii", ""}, name)
}

// multibyte are the character sets with characters of two bytes, and whether they have
// some of three, which begin with 0x8f.
var multibyte = map[string]bool{"sjis": false, "cp932": false, "gbk": false, "gb2312": false, "big5": false, "euckr": false, "ujis": true, "eucjpms": true}

// learnCharset returns how text of a character set is read, nil for UTF-8. It asks the
// server, so that the result is that of a whole read. ErrUnsupported says that the set
// cannot be read from the log.
func learnCharset(ctx context.Context, c *session.Session, name string) (*charset, error) {
	switch {
	case isUTF8(name):
		return nil, nil
	case name == "ucs2":
		return &charset{unit: 2}, nil
	case name == "utf16", name == "utf16le":
		return &charset{unit: 2, pairs: true, little: name == "utf16le"}, nil
	case name == "utf32":
		return &charset{unit: 4}, nil
	case name == "gb18030" || !typemap.IsWord(name):
		return nil, driver.E(driver.ErrUnsupported, nil, "text in the character set %s cannot be read from the log", name)
	}
	cs := &charset{}
	if err := learn(ctx, c, name, bytesFrom(0, 255), func(b []byte, r rune) { cs.single[b[0]] = r }); err != nil {
		return nil, err
	}
	three, several := multibyte[name]
	if !several {
		return cs, nil
	}
	cs.double, cs.triple = map[uint16]rune{}, map[uint16]rune{}
	two := bytesFrom(0x81, 0xfe)
	if err := learn(ctx, c, name, product(two, bytesFrom(0x40, 0xfe)), func(b []byte, r rune) { cs.double[uint16(b[0])<<8|uint16(b[1])] = r }); err != nil {
		return nil, err
	}
	if three {
		trail := bytesFrom(0xa1, 0xfe)
		if err := learn(ctx, c, name, product([][]byte{{0x8f}}, product(trail, trail)), func(b []byte, r rune) { cs.triple[uint16(b[1])<<8|uint16(b[2])] = r }); err != nil {
			return nil, err
		}
	}
	return cs, nil
}

func bytesFrom(first, last int) (all [][]byte) {
	for b := first; b <= last; b++ {
		all = append(all, []byte{byte(b)})
	}
	return all
}

func product(a, b [][]byte) (all [][]byte) {
	for _, x := range a {
		for _, y := range b {
			all = append(all, slices.Concat(x, y))
		}
	}
	return all
}

// learn asks the server which character each sequence of bytes is. What is not a
// character comes back as NULL from MySQL, and as one or more question marks from MariaDB.
func learn(ctx context.Context, c *session.Session, name string, all [][]byte, f func([]byte, rune)) error {
	const atOnce = 4096
	for part := range slices.Chunk(all, atOnce) {
		ask := make([]string, len(part))
		for i, b := range part {
			ask[i] = "COALESCE(HEX(CONVERT(CONVERT(x'" + hex.EncodeToString(b) + "' USING " + name + ") USING utf8mb4)),'')"
		}
		var answer string
		err := c.Query(ctx, "SELECT CONCAT_WS(',',"+strings.Join(ask, ",")+")", func(row []*string) error {
			answer = session.Text(row[0])
			return nil
		})
		if err != nil {
			return err
		}
		characters := strings.Split(answer, ",")
		if len(characters) != len(part) {
			return driver.E(driver.ErrBadData, nil, "the server does not say what the character set %s contains", name)
		}
		for i, text := range characters {
			character, err := hex.DecodeString(text)
			if err != nil {
				return driver.E(driver.ErrBadData, nil, "the server does not say what the character set %s contains", name)
			}
			if r, n := utf8.DecodeRune(character); n == len(character) && n > 0 && r != utf8.RuneError && (r != '?' || part[i][0] == '?') {
				f(part[i], r)
			}
		}
	}
	return nil
}

// append appends text as UTF-8. It returns false if bytes are not characters.
func (cs *charset) append(dst, p []byte) ([]byte, bool) {
	if cs.unit > 0 {
		return cs.appendUnits(dst, p)
	}
	for len(p) > 0 {
		r, n := cs.single[p[0]], 1
		if r == 0 && p[0] != 0 && len(p) > 1 {
			r, n = cs.double[uint16(p[0])<<8|uint16(p[1])], 2
			if r == 0 && p[0] == 0x8f && len(p) > 2 {
				r, n = cs.triple[uint16(p[1])<<8|uint16(p[2])], 3
			}
		}
		if r == 0 && p[0] != 0 {
			return dst, false
		}
		dst, p = utf8.AppendRune(dst, r), p[n:]
	}
	return dst, true
}

func (cs *charset) appendUnits(dst, p []byte) ([]byte, bool) {
	if len(p)%cs.unit != 0 {
		return dst, false
	}
	read := func(p []byte) (r rune) {
		for i := range cs.unit {
			b := p[i]
			if cs.little {
				b = p[cs.unit-1-i]
			}
			r = r<<8 | rune(b)
		}
		return r
	}
	for len(p) > 0 {
		r := read(p)
		p = p[cs.unit:]
		if cs.pairs && utf16.IsSurrogate(r) && len(p) >= 2 {
			r = utf16.DecodeRune(r, read(p))
			p = p[2:]
			if r == utf8.RuneError {
				return dst, false
			}
		}
		if !utf8.ValidRune(r) {
			return dst, false
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, true
}
