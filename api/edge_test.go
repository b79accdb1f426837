package api

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"headwater/api/web"
)

// raw asks without a client that compresses or decompresses by itself.
func (c caller) rawly(method, path string, headers ...string) (*http.Response, []byte) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.server.URL+c.base+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res, body
}

func unpack(t *testing.T, coding string, body []byte) string {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	var err error
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(r); err == nil {
			defer d.Close()
			r = d
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestAnswersAreCompressed(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	var many []object
	for i := range 10 {
		many = append(many, source(fmt.Sprint("s", i), "h"))
	}
	c.connected("user", many...)
	_, plain := c.rawly(http.MethodGet, "/data/w1/list")
	for accept, want := range map[string]string{
		"gzip": "gzip", "zstd": "zstd", "gzip, deflate, br, zstd": "zstd", "zstd;q=0.5, gzip;q=0.8": "gzip", "*": "zstd", "GZIP; q=1.0": "gzip", "x-gzip": "gzip",
		"": "", "identity": "", "br": "", "gzip;q=0": "", "*;q=0": "", "gzip;q=0, *": "zstd", "gzip;q=0.1, identity;q=0.9": "", "gzip;q=2": "", "gzip;q=NaN": "",
	} {
		res, body := c.rawly(http.MethodGet, "/data/w1/list", "Accept-Encoding", accept)
		if got := res.Header.Get("Content-Encoding"); got != want || res.ContentLength != int64(len(body)) || res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %q, length %d of %d, Vary %q", accept, got, res.ContentLength, len(body), res.Header.Get("Vary"))
		}
		if got := unpack(t, want, body); got != string(plain) {
			t.Errorf("%q: reads %d bytes, not %d", accept, len(got), len(plain))
		}
		if want != "" && len(body)*2 > len(plain) {
			t.Errorf("%q: %d bytes of %d", accept, len(body), len(plain))
		}
		// HEAD is told what GET would be.
		head, _ := c.rawly(http.MethodHead, "/data/w1/list", "Accept-Encoding", accept)
		for _, name := range []string{"Content-Encoding", "Content-Length", "Vary", "ETag"} {
			if head.Header.Get(name) != res.Header.Get(name) {
				t.Errorf("%q: HEAD's %s is %q, GET's %q", accept, name, head.Header.Get(name), res.Header.Get(name))
			}
		}
		// A tag holds for all forms.
		if again, body := c.rawly(http.MethodGet, "/data/w1/list", "Accept-Encoding", accept, "If-None-Match", res.Header.Get("ETag")); again.StatusCode != 304 || len(body) != 0 || again.Header.Get("Content-Encoding") != "" {
			t.Errorf("%q: %d, %d bytes", accept, again.StatusCode, len(body))
		}
	}
	if res, _ := c.rawly(http.MethodGet, "/data/w1/operations/op_none", "Accept-Encoding", "gzip"); res.Header.Get("Content-Encoding") != "" || res.Header.Get("Vary") != "" {
		t.Errorf("a short answer: %v", res.Header)
	}
	if res, body := c.rawly(http.MethodGet, "/openapi.yaml", "Accept-Encoding", "gzip"); res.Header.Get("Content-Encoding") != "gzip" || unpack(t, "gzip", body) != string(openapi) {
		t.Errorf("the contract: %v", res.Header)
	}
	// An event stream is read as it comes.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.server.URL+"/api/v1/data/w1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"Authorization": "Bearer " + c.token, "Accept": "text/event-stream", "Accept-Encoding": "gzip, zstd"} {
		req.Header.Set(key, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Content-Encoding") != "" {
		t.Errorf("the stream: %v", res.Header)
	}
}

func TestCrossOrigin(t *testing.T) {
	const app = "https://app.example.com"
	off, exact, every := newHouse(t).ada(), newHouse(t, func(d *Deps) { d.Options.Origins = []string{app, "http://localhost:3000"} }).ada(),
		newHouse(t, func(d *Deps) { d.Options.Origins = []string{"*"} }).ada()
	ask := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type"}
	for _, test := range []struct {
		name   string
		c      caller
		origin string
		want   string
	}{
		{"off", off, app, ""}, {"the origin", exact, app, app}, {"another of them", exact, "http://localhost:3000", "http://localhost:3000"},
		{"one that begins so", exact, app + ".evil.com", ""}, {"another scheme", exact, "http://app.example.com", ""}, {"another port", exact, app + ":8443", ""},
		{"none", exact, "", ""}, {"null", exact, "null", ""}, {"every one", every, "https://anybody.example", "*"},
	} {
		headers := append([]string{"Origin", test.origin}, ask...)
		if test.origin == "" {
			headers = ask
		}
		res, _ := test.c.rawly(http.MethodOptions, "/data/w1/connect", headers...)
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != test.want || (test.want != "") != (res.StatusCode == 204) {
			t.Errorf("%s: asked: %d %q", test.name, res.StatusCode, got)
		}
		if test.want != "" && (!strings.Contains(res.Header.Get("Access-Control-Allow-Headers"), "Authorization") || !strings.Contains(res.Header.Get("Access-Control-Allow-Methods"), "POST")) {
			t.Errorf("%s: %v", test.name, res.Header)
		}
		res, _ = test.c.rawly(http.MethodGet, "/data/w1/list", headers[:len(headers)-4]...)
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != test.want || res.StatusCode != 200 || (test.want != "") != strings.Contains(res.Header.Get("Access-Control-Expose-Headers"), "X-Request-Id") {
			t.Errorf("%s: %d %q %v", test.name, res.StatusCode, got, res.Header)
		}
		if vary := res.Header.Get("Vary"); (vary == "Origin") != (test.c.house == exact.house) {
			t.Errorf("%s: Vary is %q", test.name, vary)
		}
		if res.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: credentials are let through", test.name)
		}
	}
	// A refusal can be read by the page, too.
	bad := exact
	bad.token = "x"
	if res, _ := bad.rawly(http.MethodGet, "/data/w1/list", "Origin", app); res.StatusCode != 401 || res.Header.Get("Access-Control-Allow-Origin") != app {
		t.Errorf("a refusal: %d %v", res.StatusCode, res.Header)
	}
	for origin, ok := range map[string]bool{"*": true, app: true, "http://localhost:3000": true, "": false, "app.example.com": false, app + "/": false, "https://*.example.com": false, "HTTPS://app.example.com": false, "https://u@app.example.com": false, "null": false} {
		if err := web.CheckOrigin(origin); (err == nil) != ok {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

func TestHalfCharactersAreRefused(t *testing.T) {
	c := newHouse(t).ada()
	for text, ok := range map[string]bool{
		`a\ud800`: false, `\udc00a`: false, `\ud800\ud800`: false, `\udc00\ud800`: false, `\uD83D`: false, `\ud83d\n\ude00`: false, `\ud83dx\ude00`: false, `\\\ud800`: false,
		`\ud83d\ude00`: true, `\\ud800`: true, `\ufffd`: true, `\\\\ud800`: true, `\u00e9`: true, "😀": true,
	} {
		for where, body := range map[string]string{
			"a name":   `{"sources":[{"type":"database","name":"n%s","connection_config":{"host":"h","database":"d","port":5432}}]}`,
			"a config": `{"sources":[{"type":"database","name":"n","connection_config":{"host":"h","database":"n%s","port":5432}}]}`,
			"a key":    `{"sources":[{"type":"database","name":"n","connection_config":{"host":"h","database":"d","port":5432},"metadata":{"n%s":1}}]}`,
		} {
			r := c.post("/data/w1/connect", strings.Replace(body, "%s", text, 1))
			if refused := r.Code == 400 && strings.Contains(r.Raw, "half of a character"); refused == ok {
				t.Errorf("%s %s: %d %s", where, text, r.Code, r.Raw)
			}
		}
	}
}

func TestNamesCanBeSeen(t *testing.T) {
	c := newHouse(t).ada()
	for name, ok := range map[string]bool{
		"a\u202eb": false, "a\u200bb": false, "a\u2066b": false, "a\ufeffb": false, "a\u00adb": false, "a\u200db": false, "a\u2028b": false, "a\u3164b": false, "a\u034fb": false,
		"a\U000e0041b": false, "a\u061cb": false, "a\u2800b": false,
		"Größe": true, "数据": true, "مبيعات": true, "a b": true, "❤\ufe0f": true, "e\u0301": true, "😀": true,
	} {
		r := c.post("/data/w1/connect", object{"sources": []object{source(name, "h")}})
		if (r.Code == 200) != ok {
			t.Errorf("%q: %d %s", name, r.Code, r.Raw)
		}
	}
}
