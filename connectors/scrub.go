package connectors

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const redacted = "[redacted]"

// scrubber replaces secret values in text, in every form in which a library may
// show them.
type scrubber struct {
	long  []string // replaced wherever they stand, longest first
	short []string // replaced as whole words: "a" must not eat every a
}

// shortest is the length from which a form is replaced inside other words.
const shortest = 4

// newScrubber takes the values from the secret half of a configuration.
func newScrubber(secret json.RawMessage) *scrubber {
	var values []string
	d := json.NewDecoder(bytes.NewReader(secret))
	d.UseNumber()
	var v any
	if d.Decode(&v) == nil {
		values = leaves(v, nil)
	}
	s := &scrubber{}
	for _, value := range values {
		for _, form := range forms(value) {
			if len(form) >= shortest {
				s.long = append(s.long, form)
			} else if form != "" {
				s.short = append(s.short, form)
			}
		}
	}
	longestFirst := func(a, b string) int { return len(b) - len(a) }
	slices.SortFunc(s.long, longestFirst)
	slices.SortFunc(s.short, longestFirst)
	return s
}

// scrub returns text without the secrets.
func (s *scrubber) scrub(text string) string {
	for _, form := range s.long {
		text = strings.ReplaceAll(text, form, redacted)
	}
	for _, form := range s.short {
		text = replaceWord(text, form)
	}
	return text
}

// leaves collects strings and numbers; true, false and null are no secrets.
func leaves(v any, into []string) []string {
	switch v := v.(type) {
	case string:
		into = append(into, v)
	case json.Number:
		into = append(into, v.String())
	case []any:
		for _, e := range v {
			into = leaves(e, into)
		}
	case map[string]any:
		for _, e := range v {
			into = leaves(e, into)
		}
	}
	return into
}

// forms returns the value as it is and as URLs, JSON, Go, SQL, hex and base64
// show it. Base64 of a longer text that holds the value, such as the header of
// basic authentication, shows the middle of one of three alignments.
func forms(value string) []string {
	quoted, _ := json.Marshal(value)
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	_ = e.Encode(value)
	goQuoted, asciiQuoted := strconv.Quote(value), strconv.QuoteToASCII(value)
	all := []string{
		value, strings.TrimSpace(value),
		url.QueryEscape(value), url.PathEscape(value), url.UserPassword("", value).String()[1:],
		string(quoted[1 : len(quoted)-1]), strings.Trim(strings.TrimSpace(plain.String()), `"`),
		goQuoted[1 : len(goQuoted)-1], asciiQuoted[1 : len(asciiQuoted)-1],
		strings.ReplaceAll(value, "'", "''"),
	}
	if len(value) >= shortest {
		h := hex.EncodeToString([]byte(value))
		all = append(all, h, strings.ToUpper(h))
		for shift := range 3 {
			for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				text := encoding.EncodeToString(append(make([]byte, shift), value...))
				// Characters that also hold bits of a neighbour are left off.
				from, to := (shift*8+5)/6, (shift+len(value))*8/6
				if to-from >= shortest {
					all = append(all, text[from:to])
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func replaceWord(text, word string) string {
	var out strings.Builder
	for {
		i := strings.Index(text, word)
		if i < 0 {
			out.WriteString(text)
			return out.String()
		}
		end := i + len(word)
		out.WriteString(text[:i])
		if (i > 0 && wordByte(text[i-1])) || (end < len(text) && wordByte(text[end])) {
			out.WriteString(word)
		} else {
			out.WriteString(redacted)
		}
		text = text[end:]
	}
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// all returns texts without the secrets.
func (s *scrubber) all(texts []string) []string {
	if len(texts) == 0 {
		return nil
	}
	clean := make([]string, len(texts))
	for i, text := range texts {
		clean[i] = s.scrub(text)
	}
	return clean
}
