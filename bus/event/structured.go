package event

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// StructuredType is the media type of a CloudEvent in structured mode.
const StructuredType = "application/cloudevents+json"

// attributes are the headers that every reader knows, in the order in which they
// are written.
var attributes = []string{
	HeaderID, HeaderType, HeaderSource, HeaderSubject, HeaderTime, HeaderDataSchema,
	HeaderCorrelationID, HeaderCausationID, HeaderTraceParent,
}

// Attributes returns the headers that every reader knows, except the version and
// the reference to a large body, in the order in which WriteStructured writes
// them.
func Attributes() []string { return slices.Clone(attributes) }

// WriteStructured writes a CloudEvent in structured mode (JSON) on one line: the
// message's ce-* headers as attributes, its sequence, and its payload unchanged.
// It also writes attributes of later builds. It fails if the payload is not
// JSON.
func WriteStructured(b *bytes.Buffer, sequence uint64, headers map[string]string, payload []byte) error {
	b.Grow(len(payload) + 1024)
	b.WriteString(`{"specversion":"1.0"`)
	known := map[string]bool{HeaderSpecVersion: true, HeaderDataRef: len(payload) > 0, "ce-sequence": true, "ce-data": true}
	order := slices.Clone(attributes)
	for _, header := range attributes {
		known[header] = true
	}
	for _, header := range slices.Sorted(maps.Keys(headers)) {
		if strings.HasPrefix(header, "ce-") && !known[header] {
			order = append(order, header) // of a later build
		}
	}
	for _, header := range order {
		value := headers[header]
		if value == "" {
			continue
		}
		if plain, err := url.PathUnescape(value); err == nil { // the binding's percent-encoding
			value = plain
		}
		b.WriteByte(',')
		for i, part := range []string{strings.TrimPrefix(header, "ce-"), value} {
			if i == 1 {
				b.WriteByte(':')
			}
			encoder := json.NewEncoder(b)
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(part); err != nil {
				return err
			}
			b.Truncate(b.Len() - 1) // newline that Encode adds
		}
	}
	b.WriteString(`,"sequence":` + strconv.FormatUint(sequence, 10))
	if len(payload) > 0 {
		b.WriteString(`,"datacontenttype":"` + ContentType + `","data":`)
		if err := json.Compact(b, payload); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}
