package buckettest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// misbehave answers a request as a fault says:
//
//	silent   never, with the connection open
//	reset    the connection breaks, nothing was done
//	lost     it was done, and the connection breaks before the answer
//	half     the answer breaks off
//	short    half the answer, as if it were the whole
//	empty    200, and nothing
//	page     200, and a page of a proxy that wants a login
//	inner    200, and an error in it, as "inner 500 InternalError"
//	void     the answer to a removal, and nothing was removed
//	twice    it came twice
//	etag     the answer names another ETag
//	stale    the first answer to this request again: a listing that lags
//	redirect 307 to where it was
//	slow     after Delay
//	narrow   its body is taken at Rate
func (p *Proxy) misbehave(f Fault, forward http.Handler, w http.ResponseWriter, r *http.Request) {
	switch f.Kind {
	case "silent":
		io.Copy(io.Discard, r.Body)
		select {
		case <-p.end:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	case "reset":
		panic(http.ErrAbortHandler)
	case "slow":
		select {
		case <-p.end:
		case <-time.After(f.Delay):
		}
		forward.ServeHTTP(w, r)
	case "narrow":
		r.Body = &narrow{r.Body, p, f.Rate}
		forward.ServeHTTP(w, r)
	case "lost":
		forward.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case "half", "short":
		answer := recorded(forward, r)
		cut := answer.Body.Bytes()[:answer.Body.Len()/2]
		if f.Kind == "short" {
			answer.Header().Set("Content-Length", fmt.Sprint(len(cut)))
		}
		give(w, answer, cut)
		if f.Kind == "half" {
			panic(http.ErrAbortHandler)
		}
	case "empty":
		io.Copy(io.Discard, r.Body)
	case "page":
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<html><body>Please <b>log in</b></body></html>")
	case "void":
		io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
		} else {
			w.Header().Set("Content-Type", "application/xml")
			io.WriteString(w, `<?xml version="1.0"?><DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></DeleteResult>`)
		}
	case "twice":
		body, _ := io.ReadAll(r.Body)
		for _, to := range []http.ResponseWriter{httptest.NewRecorder(), w} {
			again := r.Clone(r.Context())
			again.Body = io.NopCloser(bytes.NewReader(body))
			forward.ServeHTTP(to, again)
		}
	case "etag":
		answer := recorded(forward, r)
		answer.Header().Set("ETag", `"00000000000000000000000000000000"`)
		give(w, answer, answer.Body.Bytes())
	case "stale":
		p.mu.Lock()
		answer := p.stale[r.URL.String()]
		p.mu.Unlock()
		if answer == nil {
			answer = recorded(forward, r)
			p.mu.Lock()
			p.stale[r.URL.String()] = answer
			p.mu.Unlock()
		}
		give(w, answer, answer.Body.Bytes())
	case "redirect":
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", p.URL+r.URL.String())
		refuse(w, r, "307 TemporaryRedirect")
	default:
		refuse(w, r, f.Kind)
	}
}

// narrow is a body that comes slowly.
type narrow struct {
	io.ReadCloser
	p    *Proxy
	rate int
}

func (n *narrow) Read(b []byte) (int, error) {
	n.p.pass.Lock()
	defer n.p.pass.Unlock()
	if ahead := time.Until(n.p.next); ahead > 5*time.Millisecond {
		select {
		case <-n.p.end:
		case <-time.After(ahead):
		}
	} else if ahead < -time.Second {
		n.p.next = time.Now()
	}
	got, err := n.ReadCloser.Read(b[:min(len(b), 16<<10)])
	n.p.next = n.p.next.Add(time.Duration(got) * time.Second / time.Duration(n.rate))
	return got, err
}

func recorded(forward http.Handler, r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	forward.ServeHTTP(answer, r)
	return answer
}

func give(w http.ResponseWriter, answer *httptest.ResponseRecorder, body []byte) {
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	if w.Header().Get("Content-Length") == "" {
		w.Header().Set("Content-Length", fmt.Sprint(answer.Body.Len()))
	}
	w.WriteHeader(answer.Code)
	w.Write(body)
}

// refuse answers with a status and a code, as "503 SlowDown".
func refuse(w http.ResponseWriter, r *http.Request, kind string) {
	status, code, inner := 503, "", strings.HasPrefix(kind, "inner ")
	fmt.Sscanf(strings.TrimPrefix(kind, "inner "), "%d %s", &status, &code)
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/xml")
	if !inner {
		w.WriteHeader(status)
	}
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>as told</Message></Error>", code)
}
