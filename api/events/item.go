package events

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus/event"
)

// logged is an event as the API shows it.
type logged struct {
	sequence uint64
	name     string // such as SyncCompleted
	json     []byte // a CloudEvent in structured mode, on one line
}

// logged returns the sequence of an event and the event as the API shows it, or
// nil if the event is outside the query's time range or cannot be read. An event
// of a later version is shown as it is. If a large body is lost, its reference
// is shown instead.
func (c *Calls) logged(msg *message.Message, q query) (uint64, *logged) {
	sequence, _, err := c.History.Decode(msg)
	if err != nil && !errors.Is(err, event.ErrUnknown) && !errors.Is(err, event.ErrReferenced) {
		c.Log.Debug("an event cannot be read", "sequence", sequence, "error", err)
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
	if err := event.WriteStructured(&b, sequence, msg.Metadata, msg.Payload); err != nil || name == "" || strings.ContainsAny(name, "\r\n") {
		c.Log.Debug("an event cannot be shown", "sequence", sequence, "error", err)
		return sequence, nil
	}
	return sequence, &logged{sequence, name, b.Bytes()}
}
