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

// Detail says what is wrong with one part of a request.
type Detail struct {
	Field    string `json:"field"`
	Message  string `json:"message"`
	Reason   string `json:"reason,omitempty"`
	SourceID string `json:"source_id,omitempty"`
	Name     string `json:"name,omitempty"`
}

// Details returns what the contract refuses.
func Details(problems []contract.Problem) []Detail {
	wrong := make([]Detail, len(problems))
	for i, p := range problems {
		wrong[i] = Detail{Field: p.Field, Message: p.Message}
	}
	return wrong
}

// Sorted sorts by field and message, and leaves out what comes twice.
func Sorted(details []Detail) []Detail {
	slices.SortFunc(details, func(a, b Detail) int { return strings.Compare(a.Field+"\x00"+a.Message, b.Field+"\x00"+b.Message) })
	return slices.Compact(details)
}

// Failure is an error that the caller is told as it is.
type Failure struct {
	Status  int
	Code    string
	Message string
	details []Detail
	Data    any // null almost always
	Header  http.Header
}

func (f *Failure) Error() string { return f.Code + ": " + f.Message }

func Fail(status int, code, format string, args ...any) *Failure {
	return &Failure{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func (f *Failure) With(details ...Detail) *Failure {
	f.details = append(f.details, details...)
	return f
}

func (f *Failure) Set(key, value string) *Failure {
	if f.Header == nil {
		f.Header = http.Header{}
	}
	f.Header.Set(key, value)
	return f
}

// Later says after which time the same request may succeed.
func (f *Failure) Later(d time.Duration) *Failure {
	return f.Set("Retry-After", strconv.Itoa(int(max(time.Second, d+time.Second-1)/time.Second)))
}

// Malformed is the answer to a request that is wrong in the given places.
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

func Unavailable(err error) error {
	return Fail(http.StatusServiceUnavailable, "unavailable",
		"The service cannot take this now; whether it was taken is unknown. Try again, with the same Idempotency-Key if there was one").Later(2 * time.Second).Because(err)
}

// hidden is an error with a cause that only the operator is told.
type hidden struct {
	*Failure
	cause error
}

// Because returns the failure with its cause, for the operator alone.
func (f *Failure) Because(cause error) error { return &hidden{f, cause} }

func (h *hidden) Error() string   { return h.Failure.Error() + ": " + h.cause.Error() }
func (h *hidden) Unwrap() []error { return []error{h.Failure, h.cause} }

// AsFailure returns what the caller is told of an error.
func AsFailure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return Fail(http.StatusInternalServerError, "internal", "Something went wrong on our side; the operator finds it by the request id")
}

// Answer returns what the failure looks like to its caller.
func (f *Failure) Answer() *Answer {
	details := f.details
	if details == nil {
		details = []Detail{}
	}
	a, err := Compose(f.Status, "error", f.Message, f.Data, "", &Error{f.Code, details})
	if err != nil { // data that cannot be encoded is left out
		a, _ = Compose(f.Status, "error", f.Message, nil, "", &Error{f.Code, details})
	}
	for key, values := range f.Header {
		a.Header[key] = values
	}
	return a
}

type Error struct {
	Code    string   `json:"code"`
	Details []Detail `json:"details"`
}
