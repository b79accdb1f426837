package call

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"time"

	"headwater/bus/event"
	"headwater/bus/kv"
)

// Events appends events of the API's own to the log. *bus.Bus implements it.
type Events interface {
	// Append publishes e as the next event of its address's history and returns
	// its sequence. If the last sequence of that history is not after, it stores
	// nothing and its error wraps kv.ErrConflict.
	Append(ctx context.Context, after uint64, e *event.Event) (uint64, error)
	// LastSequence returns the sequence of the newest event in the history of an
	// address, or 0 if there is none.
	LastSequence(ctx context.Context, a event.Address) (uint64, error)
}

// appendTries is how often to append an event after another one took its place
// in the history.
const appendTries = 16

// Tell appends an event for an action of the caller that is not a command.
// Calling it again with the same id has no further effect.
func (r *Request) Tell(ctx context.Context, events Events, id string, at event.Address, data event.Data) error {
	request := r.ID()
	*data.Header() = event.At(at, event.Operation{ID: request, Kind: event.KindRequest, Targets: 1, Actor: r.Caller.Username, RequestID: request})
	e := &event.Event{ID: id, Time: time.Now().UTC(), TraceParent: TraceOf(r.HTTP.Header), Data: data}
	return AppendNext(ctx, events, at, e, func(uint64) (bool, error) { return false, nil })
}

// AppendNext appends an event to the end of an address's history, and tries again
// if another event was appended first. Before each try it calls settled with the
// history's last sequence; if that returns true or an error, nothing is appended.
func AppendNext(ctx context.Context, events Events, at event.Address, e *event.Event, settled func(after uint64) (bool, error)) error {
	for try := 0; ; try++ {
		after, err := events.LastSequence(ctx, at)
		if err != nil {
			return err
		}
		if done, err := settled(after); done || err != nil {
			return err
		}
		if _, err = events.Append(ctx, after, e); err == nil || try >= appendTries || !errors.Is(err, kv.ErrConflict) {
			return err
		}
	}
}

var trace = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// TraceOf returns the trace that a request belongs to (W3C Trace Context), or "".
func TraceOf(h http.Header) string {
	if text := h.Get("Traceparent"); trace.MatchString(text) {
		return text
	}
	return ""
}
