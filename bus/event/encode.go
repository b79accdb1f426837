package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Source is the CloudEvents source of everything Headwater publishes.
const Source = "/headwater"

// ContentType is the media type of every body.
const ContentType = "application/json"

// DataSchema returns the CloudEvents dataschema of the named event or command.
// CloudEvents requires an absolute URI and only the deployment knows its host,
// so it is a URN. The API serves the document at /schemas/<name>.v1.json.
func DataSchema(name string) string { return "urn:headwater:schema:" + name + ":v1" }

// Subject returns the subject on which the event is published.
func (e *Event) Subject() string { return e.Address().Subject(e.Name()) }

// Checked, if not nil, is called with every payload before Encode returns it; if
// it fails, so does Encode. Tests use it to validate payloads against the JSON
// Schemas. Set it before the first Encode.
var Checked func(name string, body []byte) error

// Encode returns the headers and the body with which the event is published. It
// fails for an event that lacks a required field.
func (e *Event) Encode() (headers map[string]string, body []byte, err error) {
	if e.Data == nil {
		return nil, nil, errors.New("event without data")
	}
	headers, err = Headers(e.Name(), e.ID, e.Time, e.TraceParent, e.Data.Header())
	if err != nil {
		return nil, nil, err
	}
	if e.Causation != "" {
		headers[HeaderCausationID] = e.Causation
	}
	if body, err = json.Marshal(e.Data); err != nil {
		return nil, nil, fmt.Errorf("payload of %s: %w", e.Name(), err)
	}
	if Checked != nil {
		if err := Checked(e.Name(), body); err != nil {
			return nil, nil, fmt.Errorf("payload of %s: %w", e.Name(), err)
		}
	}
	return headers, body, nil
}

var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// Headers returns the CloudEvents headers of one message. It omits an invalid
// traceparent, which comes from outside and must not fail the request.
func Headers(name, id string, at time.Time, trace string, m *Meta) (map[string]string, error) {
	if id == "" || at.IsZero() {
		return nil, fmt.Errorf("%s without id or time", name)
	}
	if m.Organization == "" || m.WorkspaceID == "" || m.SourceID == "" {
		return nil, fmt.Errorf("%s without organization, workspace or source", name)
	}
	headers := map[string]string{
		HeaderID:          Attribute(id),
		HeaderSpecVersion: "1.0",
		HeaderType:        Type(name),
		HeaderSource:      Source,
		HeaderSubject:     Attribute(m.SourceID),
		HeaderTime:        at.UTC().Format(time.RFC3339Nano),
		HeaderDataSchema:  DataSchema(name),
		HeaderContentType: ContentType,
	}
	if m.Operation.ID != "" {
		headers[HeaderCorrelationID] = Attribute(m.Operation.ID)
	}
	if traceparent.MatchString(trace) {
		headers[HeaderTraceParent] = trace
	}
	return headers, nil
}

// Attribute encodes a CloudEvents attribute as a header value, as the NATS
// protocol binding requires: printable ASCII is unchanged, and space, double
// quote, percent and everything else become %XX for each UTF-8 byte.
func Attribute(value string) string {
	var out []byte
	for i := 0; i < len(value); i++ {
		if c := value[i]; c > 0x20 && c < 0x7f && c != '"' && c != '%' {
			out = append(out, c)
		} else {
			out = append(out, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(out)
}
