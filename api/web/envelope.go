// Package web writes answers: the envelope, failures with their details,
// compression, ETags, and access by web pages of other origins. It does not know
// calls, commands or the read model.
package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
)

// Answer is a complete answer: an envelope, unless its Content-Type says
// otherwise.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// through, if set, is inserted into the body before its last tail bytes. It
	// is shared and must not be changed.
	through Raw
	tail    int
}

// Size returns the length of the body in bytes.
func (a *Answer) Size() int { return len(a.Body) + len(a.through) }

// Write sends the answer, compressed if the client accepts that.
func (a *Answer) Write(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	for key, values := range a.Header {
		header[key] = values
	}
	if header.Get("Etag") != "" {
		// Only the client may cache it, and must revalidate it each time.
		header.Set("Cache-Control", "private, no-cache")
	}
	a.compress(header, r.Header)
	if a.Status != http.StatusNotModified {
		header.Set("Content-Length", strconv.Itoa(a.Size()))
	}
	w.WriteHeader(a.Status)
	if r.Method != http.MethodHead && a.Status != http.StatusNotModified {
		a.send(w)
	}
}

// buffers are for joining the parts of answers.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxBuffer is the capacity above which a buffer is not used again.
const maxBuffer = 1 << 20

// send writes the body. Errors are ignored: the client has disconnected.
func (a *Answer) send(w http.ResponseWriter) {
	if a.through == nil {
		_, _ = w.Write(a.Body)
		return
	}
	// One copy costs less than the additional system calls of three writes.
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	end := len(a.Body) - a.tail
	b.Write(a.Body[:end])
	b.Write(a.through)
	b.Write(a.Body[end:])
	_, _ = w.Write(b.Bytes())
	if b.Cap() <= maxBuffer {
		buffers.Put(b)
	}
}

// Page returns an answer around documents that are passed through unchanged.
// next is the cursor of the next page, or "" for none.
func Page(message string, documents Raw, next string) *Answer {
	b := append(make([]byte, 0, 128), `{"status":"success","message":`...)
	b = appendText(b, message)
	b = append(b, `,"data":`...)
	head := len(b)
	if next != "" {
		b = appendText(append(b, `,"next_cursor":`...), next)
	}
	b = append(b, "}\n"...)
	return &Answer{Status: http.StatusOK, Header: http.Header{"Content-Type": {contentJSON}}, Body: b, through: documents, tail: len(b) - head}
}

const contentJSON = "application/json; charset=utf-8"

// appendText appends a JSON string.
func appendText(b []byte, text string) []byte {
	encoded, _ := json.Marshal(text) // a string always marshals
	return append(b, encoded...)
}

// Raw is JSON that is passed through unchanged.
type Raw []byte

// Success returns the answer to a request that was carried out. It fails if data
// does not marshal.
func Success(status int, message string, data any) (*Answer, error) {
	return Compose(status, "success", message, data, "", nil)
}

// Compose returns an answer with this envelope. outcome is "success" or "error",
// and next is the cursor of the next page, or "" for none. It fails if data does
// not marshal.
func Compose(status int, outcome, message string, data any, next string, failed *Error) (*Answer, error) {
	var b bytes.Buffer
	if through, ok := data.(Raw); ok {
		b.Grow(len(through) + 256)
	}
	b.WriteString(`{"status":`)
	for _, part := range []struct {
		key   string
		value any
		write bool
	}{
		{"", outcome, true}, {`,"message":`, message, true}, {`,"data":`, data, true},
		{`,"next_cursor":`, next, next != ""}, {`,"error":`, failed, failed != nil},
	} {
		if !part.write {
			continue
		}
		b.WriteString(part.key)
		if through, ok := part.value.(Raw); ok {
			b.Write(through)
			continue
		}
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(part.value); err != nil {
			return nil, fmt.Errorf("encode the answer: %w", err)
		}
		b.Truncate(b.Len() - 1) // newline that Encode adds
	}
	b.WriteString("}\n")
	return &Answer{Status: status, Header: http.Header{"Content-Type": {contentJSON}}, Body: b.Bytes()}, nil
}
