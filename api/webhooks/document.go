package webhooks

import (
	"time"

	"headwater/api/web"
	registry "headwater/bus/webhooks"
)

// document is a webhook as the API shows it. Only the answers that create or
// rotate its secret include the secret.
type document struct {
	ID             string     `json:"id"`
	URL            string     `json:"url"`
	Scope          string     `json:"scope"`
	Owner          *string    `json:"owner"`
	Description    string     `json:"description"`
	Types          []string   `json:"types"`
	SourceID       *string    `json:"source_id"`
	After          uint64     `json:"after"`
	CreatedAt      time.Time  `json:"created_at"`
	CreatedBy      string     `json:"created_by"`
	PreviousSecret *time.Time `json:"previous_secret_until"`
	Secret         string     `json:"secret,omitempty"`
	Delivery       *delivery  `json:"delivery,omitempty"`
}

// delivery is the progress of a webhook.
type delivery struct {
	Position        uint64      `json:"position"` // all events up to this sequence were delivered
	Pending         uint64      `json:"pending"`
	LastDelivered   *uint64     `json:"last_delivered"`
	LastDeliveredAt *time.Time  `json:"last_delivered_at"`
	Failures        int         `json:"consecutive_failures"`
	LastAttemptAt   *time.Time  `json:"last_attempt_at"`
	LastStatus      *int        `json:"last_status"`
	LastReason      *string     `json:"last_reason"`
	NextAttemptAt   *time.Time  `json:"next_attempt_at"`
	Waiting         []waitingAt `json:"waiting"`
}

type waitingAt struct {
	SourceID      string     `json:"source_id"`
	Sequence      uint64     `json:"sequence"`
	Failures      int        `json:"failures"`
	Status        *int       `json:"status"`
	Reason        string     `json:"reason"`
	NextAttemptAt *time.Time `json:"next_attempt_at"`
}

// shown answers with a webhook and its secret.
func (c *Calls) shown(status int, message string, w registry.Webhook, key []byte) (*web.Answer, error) {
	doc := asShown(w)
	doc.Secret = registry.Secret(key)
	return web.Success(status, message, doc)
}

func asShown(w registry.Webhook) document {
	a := w.Address()
	doc := document{
		ID: w.ID, URL: w.URL, Scope: a.Scope(), Owner: web.OrNull(w.Owner, ""), Description: w.Description, Types: w.Types, SourceID: web.OrNull(w.SourceID, ""),
		After: w.After, CreatedAt: w.CreatedAt, CreatedBy: w.CreatedBy,
	}
	if doc.Types == nil {
		doc.Types = []string{}
	}
	if w.PreviousUntil.After(time.Now()) {
		doc.PreviousSecret = &w.PreviousUntil
	}
	return doc
}

func deliveryAsShown(s registry.State, pending uint64) *delivery {
	d := &delivery{
		Position: s.Floor, Pending: pending, LastDelivered: web.OrNull(s.LastDelivered, 0), LastDeliveredAt: s.LastDeliveredAt, Failures: s.Failures,
		LastAttemptAt: s.LastAttemptAt, LastStatus: web.OrNull(s.LastStatus, 0), LastReason: web.OrNull(s.LastReason, ""), NextAttemptAt: s.NextAttemptAt,
		Waiting: make([]waitingAt, len(s.Waiting)),
	}
	for i, w := range s.Waiting {
		d.Waiting[i] = waitingAt{w.SourceID, w.Sequence, w.Failures, web.OrNull(w.Status, 0), w.Reason, w.NextAttemptAt}
	}
	return d
}

func deliveryMessage(d *delivery) string {
	waits := web.Count(int(d.Pending), "event") + " to deliver"
	if d.LastReason != nil && d.Failures > 0 {
		return waits + "; the last attempt failed: " + *d.LastReason
	}
	return waits
}
