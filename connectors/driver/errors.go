package driver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Kinds of failure. They cross the bus and the API as reasons. Every error of a driver has
// one of them, from E or InvalidField.
var (
	ErrInvalidConfig  = errors.New("invalid configuration")
	ErrUnreachable    = errors.New("unreachable")
	ErrAuthentication = errors.New("authentication failed")
	ErrPermission     = errors.New("permission denied")
	ErrNotFound       = errors.New("not found")
	ErrBadData        = errors.New("bad data")
	ErrUnsupported    = errors.New("unsupported")
	ErrLimit          = errors.New("limit passed")
	ErrTimeout        = errors.New("timed out")
	// ErrReplaced says that a table is not the one that a cursor belongs to: it was
	// truncated, swapped or restored. It has to be read from its start.
	ErrReplaced = errors.New("the table was replaced")
	// ErrRetyped says that a Read met a value that does not fit the type which a sample
	// had shown. Discover of the same Source then returns the table with types that fit,
	// and it has to be read from its start.
	ErrRetyped = errors.New("values of other types came")
)

// FieldError says what is wrong with one setting. It contains neither its value nor a
// secret.
type FieldError struct {
	Field   string // below connection_config: "port", "auth.token"; "" is the whole of it
	Message string // continues the field's name: "must be 1 to 65535"
}

// Error returns the field's full name and the message.
func (e FieldError) Error() string {
	name := "connection_config"
	if e.Field != "" {
		name += "." + e.Field
	}
	return name + " " + e.Message
}

// Error is a failure: its kind, and a message for people that says what to change. It
// contains no secret; connectors.Conn scrubs it nevertheless.
type Error struct {
	Kind    error  // one of the kinds above
	Message string // "table public.orders, row 12: ..."
	Cause   error  // the library's own error, may be nil
	// Field is the setting that the message is about, nil for none.
	Field *FieldError
}

// E returns an *Error. The format's arguments must hold no secret.
func E(kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// InvalidField returns an ErrInvalidConfig about one setting: errors.As finds its
// FieldError. The format's arguments must hold no secret.
func InvalidField(field, format string, args ...any) *Error {
	wrong := FieldError{field, fmt.Sprintf(format, args...)}
	return &Error{Kind: ErrInvalidConfig, Message: wrong.Error(), Field: &wrong}
}

// Error returns the message, and the cause if there is one.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

// Unwrap lets errors.Is find the kind and the cause, and errors.As the FieldError.
func (e *Error) Unwrap() []error {
	all := []error{e.Kind}
	if e.Cause != nil {
		all = append(all, e.Cause)
	}
	if e.Field != nil {
		all = append(all, *e.Field)
	}
	return all
}

// Decode reads settings into the driver's typed struct. An unknown key, a value of
// another type and a second value are ErrInvalidConfig. Errors name the key and never
// the value.
func Decode(settings json.RawMessage, into any) error {
	d := json.NewDecoder(bytes.NewReader(settings))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return InvalidField(keyPath(wrong.Field), "must be %s, not %s", wrong.Type, wrong.Value)
		}
		return E(ErrInvalidConfig, nil, "connection_config: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return E(ErrInvalidConfig, nil, "connection_config: more than one JSON value")
	}
	return nil
}

// keyPath returns the path of a field by its keys. The library puts embedded structs into
// it, which have no key; only they begin with a capital.
func keyPath(path string) string {
	parts := strings.Split(path, ".")
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part != "" && part[0] >= 'A' && part[0] <= 'Z' }), ".")
}
