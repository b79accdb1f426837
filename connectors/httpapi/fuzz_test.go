package httpapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
)

// FuzzAnswer gives any answer to what looks for records and the next page: it
// must end, stay on the host and never panic.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"next":"/x?page=2","data":[{"id":1}]}`, `{"next":{"href":"https://example.com:443/"},"d":[{}]}`, `{"links":[{"rel":"next","href":"//evil/"}],"d":[{}]}`,
		`{"next_cursor":7,"has_more":true,"d":[{"id":{}}]}`, `{"page":{"number":0,"totalPages":9223372036854775807},"d":[{}]}`, `[{"id":"x"}]`, `{"offset":0,"total":-1,"d":[{}]}`, `{"next":"http://api.example.com\\@evil/","d":[{}]}`,
	} {
		f.Add([]byte(s), `<https://api.example.com/x?page=2>; rel="next", <b>; rel=last`)
	}
	base, err := url.Parse("https://api.example.com/x")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, document []byte, link string) {
		if !json.Valid(document) {
			return
		}
		s := &source{maxPages: 10}
		for _, header := range []http.Header{{}, {"Link": {link}}} {
			p := newPager(s, endpoint{Endpoint: Endpoint{Name: "x"}, url: base}, nil)
			a := &answer{url: base, header: header, body: trimmed(document), in: new(body)}
			a.in.index.Read(a.body, nil)
			pg, err := p.read(a)
			if err != nil {
				continue
			}
			if _, err := p.take(a, pg); err == nil && (p.url.Scheme != "https" || p.url.Host != base.Host && p.url.Host != base.Host+":443" || p.url.User != nil) {
				t.Fatalf("%q with link %q leads to %s", document, link, p.url)
			}
		}
	})
}

func trimmed(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\n' || b[0] == '\t' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}
