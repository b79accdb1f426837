package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"headwater/api/contract"
)

// Detail is a problem with one part of a request.
type Detail struct {
	Field    string `json:"field"`
	Message  string `json:"message"`
	Reason   string `json:"reason,omitempty"`
	SourceID string `json:"source_id,omitempty"`
	Name     string `json:"name,omitempty"`
}

// Details converts the problems that the contract found.
func Details(problems []contract.Problem) []Detail {
	wrong := make([]Detail, len(problems))
	for i, p := range problems {
		wrong[i] = Detail{Field: p.Field, Message: p.Message}
	}
	return wrong
}

// Sorted sorts the details by field and message and removes duplicates, in
// place.
func Sorted(details []Detail) []Detail {
	slices.SortFunc(details, func(a, b Detail) int { return strings.Compare(a.Field+"\x00"+a.Message, b.Field+"\x00"+b.Message) })
	return slices.Compact(details)
}

// Failure is an error that is shown to the caller as it is.
type Failure struct {
	Status  int
	Code    string
	Message string
	details []Detail
	Data    any // nil in most cases
	Header  http.Header
}

// Error returns the code and the message.
func (f *Failure) Error() string { return f.Code + ": " + f.Message }

// Fail returns a failure with that status, error code and message. The message
// is shown to the caller.
func Fail(status int, code, format string, args ...any) *Failure {
	return &Failure{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// With adds details and returns the failure.
func (f *Failure) With(details ...Detail) *Failure {
	f.details = append(f.details, details...)
	return f
}

// Set sets a header of the answer and returns the failure.
func (f *Failure) Set(key, value string) *Failure {
	if f.Header == nil {
		f.Header = http.Header{}
	}
	f.Header.Set(key, value)
	return f
}

// Later sets Retry-After: the time after which the same request may succeed. It
// returns the failure.
func (f *Failure) Later(d time.Duration) *Failure {
	return f.Set("Retry-After", strconv.Itoa(int(max(time.Second, d+time.Second-1)/time.Second)))
}

// Malformed returns the 400 for a request with problems in these places.
func Malformed(details ...Detail) *Failure {
	message := "The request is not valid"
	if len(details) > 0 {
		message = details[0].Field + " " + details[0].Message
		if len(details) > 1 {
			message += fmt.Sprintf(" (and %d more)", len(details)-1)
		}
	}
	return Fail(http.StatusBadRequest, "invalid_request", "%s", message).With(details...)
}

// Unavailable returns the 503 for err, which only the operator sees. The caller
// is told that it is unknown whether the request was carried out.
func Unavailable(err error) error {
	return Fail(http.StatusServiceUnavailable, "unavailable",
		"The service cannot take this now; whether it was taken is unknown. Try again, with the same Idempotency-Key if there was one").Later(2 * time.Second).Because(err)
}

// hidden is a failure with a cause that only the operator sees.
type hidden struct {
	*Failure
	cause error
}

// Because returns the failure with its cause, which only the operator sees.
func (f *Failure) Because(cause error) error { return &hidden{f, cause} }

func (h *hidden) Error() string   { return h.Failure.Error() + ": " + h.cause.Error() }
func (h *hidden) Unwrap() []error { return []error{h.Failure, h.cause} }

// AsFailure returns the *Failure that err wraps, or a 500 without any of err's
// text.
func AsFailure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return Fail(http.StatusInternalServerError, "internal", "Something went wrong on our side; the operator finds it by the request id")
}

// Answer returns the failure as its caller sees it.
func (f *Failure) Answer() *Answer {
	details := f.details
	if details == nil {
		details = []Detail{}
	}
	a, err := Compose(f.Status, "error", f.Message, f.Data, "", &Error{f.Code, details})
	if err != nil { // data that cannot be encoded is omitted
		a, _ = Compose(f.Status, "error", f.Message, nil, "", &Error{f.Code, details})
	}
	for key, values := range f.Header {
		a.Header[key] = values
	}
	return a
}

// Error is the "error" member of an envelope.
type Error struct {
	Code    string   `json:"code"`
	Details []Detail `json:"details"`
}
