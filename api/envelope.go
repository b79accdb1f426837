package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// answer is one complete answer: an envelope, unless its Content-Type says
// otherwise.
type answer struct {
	status int
	header http.Header
	body   []byte
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
	return &answer{status, http.Header{"Content-Type": {"application/json; charset=utf-8"}}, b.Bytes()}, nil
}
