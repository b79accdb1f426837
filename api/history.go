package api

import (
	"context"
	"errors"
	"net/url"
	"time"

	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/event"
	"headwater/bus/kv"
	"headwater/bus/webhooks"
)

// appendTries is how often to append an event after another one took its place
// in the history.
const appendTries = 16

// tell appends an event for an action of the caller that is not a command.
// Calling it again with the same id has no further effect.
func (h *Handler) tell(ctx context.Context, r *request, id string, at event.Address, data event.Data) error {
	request := r.http.Header.Get(headerRequestID)
	*data.Header() = event.At(at, event.Operation{ID: request, Kind: event.KindRequest, Targets: 1, Actor: r.caller.Username, RequestID: request})
	e := &event.Event{ID: id, Time: time.Now().UTC(), TraceParent: traceOf(r.http.Header), Data: data}
	return h.appendNext(ctx, at, e, func(uint64) (bool, error) { return false, nil })
}

// appendNext appends an event to the end of an address's history, and tries again
// if another event was appended first. Before each try it calls settled with the
// history's last sequence; if that returns true or an error, nothing is appended.
func (h *Handler) appendNext(ctx context.Context, at event.Address, e *event.Event, settled func(after uint64) (bool, error)) error {
	for try := 0; ; try++ {
		after, err := h.Events.LastSequence(ctx, at)
		if err != nil {
			return err
		}
		if done, err := settled(after); done || err != nil {
			return err
		}
		if _, err = h.Events.Append(ctx, after, e); err == nil || try >= appendTries || !errors.Is(err, kv.ErrConflict) {
			return err
		}
	}
}

// tellWebhook is tell for an action on a webhook.
func (h *Handler) tellWebhook(ctx context.Context, r *request, s idempotency.Seed, w webhooks.Webhook, data event.Data) error {
	if err := h.tell(ctx, r, s.UUID(data.EventName(), w.ID), w.Address(), data); err != nil {
		return web.Unavailable(err)
	}
	return nil
}

// receiver returns scheme and host of a webhook's URL. The rest of the URL may
// be secret.
func receiver(w webhooks.Webhook) string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
