package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus/event"
)

// logged is one event of the log as readers over HTTP get it.
type logged struct {
	sequence uint64
	name     string // such as SyncCompleted
	json     []byte // a CloudEvent in structured mode, on one line
}

// logged returns an event as it is shown, nil if the query does not mean it or
// nobody can read it. An event of a later build is shown as it is, and one
// whose large body was lost with its reference instead.
func (h *Handler) logged(msg *message.Message, q eventQuery) (uint64, *logged) {
	sequence, _, err := h.History.Decode(msg)
	if err != nil && !errors.Is(err, event.ErrUnknown) && !errors.Is(err, event.ErrReferenced) {
		h.Log.Debug("an event cannot be read", "sequence", sequence, "error", err)
		return sequence, nil
	}
	if !q.since.IsZero() || !q.until.IsZero() {
		at, err := time.Parse(time.RFC3339Nano, msg.Metadata.Get(event.HeaderTime))
		if err != nil || at.Before(q.since) || !q.until.IsZero() && !at.Before(q.until) {
			return sequence, nil
		}
	}
	name := event.NameOf(msg.Metadata.Get(event.HeaderType))
	var b bytes.Buffer
	if err := writeCloudEvent(&b, sequence, msg.Metadata, msg.Payload); err != nil || name == "" || strings.ContainsAny(name, "\r\n") {
		h.Log.Debug("an event cannot be shown", "sequence", sequence, "error", err)
		return sequence, nil
	}
	return sequence, &logged{sequence, name, b.Bytes()}
}

// attributes are the headers that every reader knows, in the order in which
// they are shown.
var attributes = []string{
	event.HeaderID, event.HeaderType, event.HeaderSource, event.HeaderSubject, event.HeaderTime, event.HeaderDataSchema,
	event.HeaderCorrelationID, event.HeaderCausationID, event.HeaderTraceParent,
}

// writeCloudEvent writes the JSON of structured mode: the message's attributes,
// its sequence and its payload as it is. It fails for a payload that is not
// JSON.
func writeCloudEvent(b *bytes.Buffer, sequence uint64, headers map[string]string, payload []byte) error {
	b.Grow(len(payload) + 1024)
	b.WriteString(`{"specversion":"1.0"`)
	known := map[string]bool{event.HeaderSpecVersion: true, event.HeaderDataRef: len(payload) > 0, "ce-sequence": true, "ce-data": true}
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
		if plain, err := url.PathUnescape(value); err == nil { // the binding's encoding
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
			b.Truncate(b.Len() - 1) // Encode's newline
		}
	}
	b.WriteString(`,"sequence":` + strconv.FormatUint(sequence, 10))
	if len(payload) > 0 {
		b.WriteString(`,"datacontenttype":"` + event.ContentType + `","data":`)
		if err := json.Compact(b, payload); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}
