package iceberg

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// Error types, as named by the REST catalog specification.
const (
	typeBadRequest   = "BadRequestException"
	typeUnauthorized = "NotAuthorizedException"
	typeExpired      = "AuthenticationTimeoutException"
	typeNoWarehouse  = "NoSuchWarehouseException"
	typeNoNamespace  = "NoSuchNamespaceException"
	typeNoTable      = "NoSuchTableException"
	typeNoView       = "NoSuchViewException"
	typeNotFound     = "NotFoundException"
	typeUnsupported  = "UnsupportedOperationException"
	typeInternal     = "InternalServerError"
	typeUnavailable  = "ServiceUnavailableException"
)

// statusExpired is the specification's status for an expired token.
const statusExpired = 419

// failure is an error that is shown to the caller.
type failure struct {
	status       int
	typ, message string
	header       http.Header
}

func (f *failure) Error() string { return f.message }

func fail(status int, typ, format string, args ...any) *failure {
	return &failure{status: status, typ: typ, message: fmt.Sprintf(format, args...), header: http.Header{}}
}

// asFailure returns err if it is a failure, else a failure that shows none of
// err's text.
func asFailure(err error) *failure {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f
	default:
		return fail(http.StatusInternalServerError, typeInternal, "The catalog cannot answer now; the service's log says why")
	}
}

func (f *failure) write(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(map[string]any{"error": map[string]any{"message": f.message, "type": f.typ, "code": f.status}})
	if err != nil { // strings and a number always marshal
		body = nil
	}
	for name, values := range f.header {
		w.Header()[name] = values
	}
	send(w, r, f.status, body)
}

// send writes a JSON body.
func send(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client has disconnected
	}
}

// quoted shortens a name that the caller sent, for use in an answer.
func quoted(text string) string {
	runes := []rune(text)
	if len(runes) > 64 {
		return strconv.QuoteToGraphic(string(runes[:64])) + "..."
	}
	return strconv.QuoteToGraphic(text)
}
