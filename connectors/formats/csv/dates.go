package csv

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"headwater/connectors/driver"
)

// directives are what date_format knows, as strftime names them, and what Go
// calls it.
var directives = map[byte]string{
	'd': "02", 'e': "_2", 'm': "01", 'Y': "2006", 'y': "06", 'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday",
	'H': "15", 'I': "03", 'M': "04", 'S': "05", 'f': "000000", 'p': "PM", 'z': "-0700", '%': "%",
}

// format is how a file writes dates. The zero format is ISO 8601.
type format struct {
	layout      string
	timed, zone bool
}

// parseFormat reads a date_format, or returns an ErrInvalidConfig.
func parseFormat(text string) (format, error) {
	var f format
	if text == "" {
		return f, nil
	}
	invalid := func(why string) (format, error) {
		return f, driver.InvalidField("date_format", "%s; write it like %%d.%%m.%%Y or %%m/%%d/%%Y %%H:%%M:%%S", why)
	}
	var b strings.Builder
	seen := map[byte]bool{}
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			if c := text[i]; c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' && c != 'T' && c != 'Z' || c == '_' {
				return invalid("has a letter or digit that is no directive")
			}
			b.WriteByte(text[i])
			continue
		}
		if i++; i == len(text) {
			return invalid("ends with %")
		}
		layout, ok := directives[text[i]]
		if !ok {
			return invalid("has the unknown directive %" + text[i:i+1])
		}
		seen[text[i]] = true
		b.WriteString(layout)
	}
	has := func(any string) bool { return slices.ContainsFunc([]byte(any), func(c byte) bool { return seen[c] }) }
	if !has("de") || !has("mbB") || !has("Yy") {
		return invalid("must name a day, a month and a year")
	}
	// A fraction behind the seconds is read without being asked for.
	f.layout = strings.ReplaceAll(b.String(), ".000000", "")
	if strings.Contains(f.layout, "000000") {
		return invalid("may have %f behind %S. only")
	}
	f.timed, f.zone = has("HIMS"), seen['z']
	if f.zone && !f.timed {
		return invalid("has a zone and no time")
	}
	return f, nil
}

// iso appends a value of the format as ISO 8601, or returns nil for what is
// none. A day or month of one digit is taken as well as one of two.
func (f format) iso(out, v []byte) []byte {
	if len(v) > 64 {
		return nil
	}
	at, err := time.Parse(f.layout, string(v))
	if err != nil {
		at, err = time.Parse(f.layout, padded(v))
	}
	switch {
	case err != nil || at.Nanosecond()%1000 != 0:
		return nil
	case !f.timed:
		return at.AppendFormat(out, "2006-01-02")
	case f.zone:
		return at.AppendFormat(out, "2006-01-02T15:04:05.999999Z07:00")
	}
	return at.AppendFormat(out, "2006-01-02T15:04:05.999999")
}

// padded puts a zero before every digit that stands alone.
func padded(v []byte) string {
	var b strings.Builder
	digit := func(i int) bool { return i >= 0 && i < len(v) && v[i] >= '0' && v[i] <= '9' }
	for i, c := range v {
		if digit(i) && !digit(i-1) && !digit(i+1) {
			b.WriteByte('0')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// noValue stands for a text that is no number where decimal says so, though it
// may look like one.
var noValue = []byte("?")

// plainNumber appends a number with a decimal comma as one with a point, without
// what groups its digits by three: 1.234,5 is 1234.5. What is no such number it
// returns as it is, or as noValue if it would be a number with a point.
func plainNumber(out, v []byte) []byte {
	comma, point := bytes.IndexByte(v, ','), bytes.IndexByte(v, '.')
	if comma < 0 && point < 0 || len(v) > 64 {
		return v
	}
	whole, fraction := v, []byte(nil)
	if comma >= 0 {
		whole, fraction = v[:comma], v[comma+1:]
	}
	sign := 0
	if len(whole) > 0 && whole[0] == '-' {
		sign = 1
	}
	groups := bytes.Split(whole[sign:], []byte("."))
	for i, g := range groups {
		if !digits(g) || i > 0 && len(g) != 3 || i == 0 && len(groups) > 1 && (len(g) > 3 || g[0] == '0') {
			return noValue
		}
	}
	if comma >= 0 && !digits(fraction) {
		return noValue
	}
	out = append(out, whole[:sign]...)
	for _, g := range groups {
		out = append(out, g...)
	}
	if comma >= 0 {
		out = append(append(out, '.'), fraction...)
	}
	return out
}

func digits(v []byte) bool {
	return len(v) > 0 && !slices.ContainsFunc(v, func(c byte) bool { return c < '0' || c > '9' })
}
