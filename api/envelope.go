package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"headwater/api/contract"
)

// answer is one complete answer: an envelope, unless its Content-Type says
// otherwise.
type answer struct {
	status int
	header http.Header
	body   []byte
	// through, if any, belongs into the body before its last tail bytes. It is
	// not ours to change.
	through raw
	tail    int
}

// buffers are for the joining of answers.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxBuffer is the capacity above which a buffer is not used again.
const maxBuffer = 1 << 20

// send writes the body. A client that left is nobody's error.
func (a *answer) send(w http.ResponseWriter) {
	if a.through == nil {
		_, _ = w.Write(a.body)
		return
	}
	// One copy costs less than the further system calls of three writes.
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	end := len(a.body) - a.tail
	b.Write(a.body[:end])
	b.Write(a.through)
	b.Write(a.body[end:])
	_, _ = w.Write(b.Bytes())
	if b.Cap() <= maxBuffer {
		buffers.Put(b)
	}
}

// page writes the envelope around documents that are written through. next is
// the cursor of the next page, "" for none.
func page(message string, documents raw, next string) *answer {
	b := append(make([]byte, 0, 128), `{"status":"success","message":`...)
	b = appendText(b, message)
	b = append(b, `,"data":`...)
	head := len(b)
	if next != "" {
		b = appendText(append(b, `,"next_cursor":`...), next)
	}
	b = append(b, "}\n"...)
	return &answer{status: http.StatusOK, header: http.Header{"Content-Type": {contentJSON}}, body: b, through: documents, tail: len(b) - head}
}

const contentJSON = "application/json; charset=utf-8"

// appendText appends a JSON string.
func appendText(b []byte, text string) []byte {
	encoded, _ := json.Marshal(text) // a string always marshals
	return append(b, encoded...)
}

// raw is JSON that is written through as it is.
type raw []byte

// detail says what is wrong with one part of a request.
type detail struct {
	Field    string `json:"field"`
	Message  string `json:"message"`
	Reason   string `json:"reason,omitempty"`
	SourceID string `json:"source_id,omitempty"`
	Name     string `json:"name,omitempty"`
}

// details returns what the contract refuses.
func details(problems []contract.Problem) []detail {
	wrong := make([]detail, len(problems))
	for i, p := range problems {
		wrong[i] = detail{Field: p.Field, Message: p.Message}
	}
	return wrong
}

// sorted sorts by field and message, and leaves out what comes twice.
func sorted(details []detail) []detail {
	slices.SortFunc(details, func(a, b detail) int { return strings.Compare(a.Field+"\x00"+a.Message, b.Field+"\x00"+b.Message) })
	return slices.Compact(details)
}

// failure is an error that the caller is told as it is.
type failure struct {
	status  int
	code    string
	message string
	details []detail
	data    any // null almost always
	header  http.Header
}

func (f *failure) Error() string { return f.code + ": " + f.message }

func fail(status int, code, format string, args ...any) *failure {
	return &failure{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func (f *failure) with(details ...detail) *failure {
	f.details = append(f.details, details...)
	return f
}

func (f *failure) set(key, value string) *failure {
	if f.header == nil {
		f.header = http.Header{}
	}
	f.header.Set(key, value)
	return f
}

// later says after which time the same request may succeed.
func (f *failure) later(d time.Duration) *failure {
	return f.set("Retry-After", strconv.Itoa(int(max(time.Second, d+time.Second-1)/time.Second)))
}

// malformed is the answer to a request that is wrong in the given places.
func malformed(details ...detail) *failure {
	message := "The request is not valid"
	if len(details) > 0 {
		message = details[0].Field + " " + details[0].Message
		if len(details) > 1 {
			message += fmt.Sprintf(" (and %d more)", len(details)-1)
		}
	}
	return fail(http.StatusBadRequest, "invalid_request", "%s", message).with(details...)
}

func unavailable(err error) error {
	return &hidden{fail(http.StatusServiceUnavailable, "unavailable",
		"The service cannot take this now; whether it was taken is unknown. Try again, with the same Idempotency-Key if there was one").later(2 * time.Second), err}
}

// hidden is an error with a cause that only the operator is told.
type hidden struct {
	*failure
	cause error
}

func (h *hidden) Error() string   { return h.failure.Error() + ": " + h.cause.Error() }
func (h *hidden) Unwrap() []error { return []error{h.failure, h.cause} }

// asFailure returns what the caller is told of an error.
func asFailure(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	return fail(http.StatusInternalServerError, "internal", "Something went wrong on our side; the operator finds it by the request id")
}

// success is the answer to a request that was carried out.
func success(status int, message string, data any) (*answer, error) {
	return compose(status, "success", message, data, "", nil)
}

// answer returns what the failure looks like to its caller.
func (f *failure) answer() *answer {
	details := f.details
	if details == nil {
		details = []detail{}
	}
	a, err := compose(f.status, "error", f.message, f.data, "", &apiError{f.code, details})
	if err != nil { // data that cannot be encoded is left out
		a, _ = compose(f.status, "error", f.message, nil, "", &apiError{f.code, details})
	}
	for key, values := range f.header {
		a.header[key] = values
	}
	return a
}

type apiError struct {
	Code    string   `json:"code"`
	Details []detail `json:"details"`
}

// compose writes an envelope. next is the cursor of the next page, "" for none.
func compose(status int, outcome, message string, data any, next string, failed *apiError) (*answer, error) {
	var b bytes.Buffer
	if through, ok := data.(raw); ok {
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
		if through, ok := part.value.(raw); ok {
			b.Write(through)
			continue
		}
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(part.value); err != nil {
			return nil, fmt.Errorf("encode the answer: %w", err)
		}
		b.Truncate(b.Len() - 1) // Encode's newline
	}
	b.WriteString("}\n")
	return &answer{status: status, header: http.Header{"Content-Type": {contentJSON}}, body: b.Bytes()}, nil
}
