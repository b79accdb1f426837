package api

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"headwater/api/contract"
	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/event"
	"headwater/bus/webhooks"
)

type webhookRequest struct {
	Scope       string   `json:"scope"`
	URL         string   `json:"url"`
	Description string   `json:"description"`
	Types       []string `json:"types"`
	SourceID    string   `json:"source_id"`
	After       *uint64  `json:"after"`
}

// webhookDoc is a webhook as the API shows it. Only the answers that create or
// rotate its secret include the secret.
type webhookDoc struct {
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

// createWebhook creates a webhook: events are posted to its URL from then on.
func (h *Handler) createWebhook(ctx context.Context, r *request, s idempotency.Seed, settled bool) (*web.Answer, error) {
	var body webhookRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	w := webhooks.Webhook{
		ID: s.ID("whk_"), Organization: r.caller.Organization, Workspace: r.workspace, Owner: r.owner(body.Scope),
		URL: body.URL, Description: body.Description, SourceID: body.SourceID, CreatedAt: s.At, CreatedBy: r.caller.Username,
	}
	if settled {
		known, err := h.Webhooks.Get(ctx, w.Address())
		if err != nil {
			return nil, webhookFailure(err, w.ID)
		}
		return h.shown(http.StatusOK, "Created webhook "+w.ID, known, h.webhookKey(s, w.ID))
	}
	if err := h.webhookEvents(ctx, &w, body); err != nil {
		return nil, err
	}
	key := h.webhookKey(s, w.ID)
	if err := h.Webhooks.Create(ctx, w, key); err != nil {
		return nil, webhookFailure(err, w.ID)
	}
	// A request that is being resumed may have created it already.
	known, err := h.Webhooks.Get(ctx, w.Address())
	if err != nil {
		return nil, webhookFailure(err, w.ID)
	}
	told := &event.WebhookCreated{Receiver: receiver(known), Types: known.Types, OfSource: known.SourceID, After: known.After}
	if err := h.tellWebhook(ctx, r, s, known, told); err != nil {
		return nil, err
	}
	return h.shown(http.StatusOK, "Created webhook "+w.ID+"; its secret is shown only now", known, key)
}

// webhookEvents sets which events a webhook receives, and from which sequence
// on.
func (h *Handler) webhookEvents(ctx context.Context, w *webhooks.Webhook, body webhookRequest) error {
	var wrong []web.Detail
	if len(body.Types) > 0 {
		names, bad := eventNames(strings.Join(body.Types, ","))
		for i := range bad {
			bad[i].Field = "types"
		}
		slices.Sort(names)
		w.Types, wrong = slices.Compact(names), append(wrong, bad...)
	}
	if body.SourceID != "" && !historyID().MatchString(body.SourceID) {
		wrong = append(wrong, web.Detail{Field: "source_id", Message: "must be the id of one source: letters, digits, _ and -; wildcards are not taken"})
	}
	first, last, _, err := h.History.State(ctx)
	if err != nil {
		return unreadable(err)
	}
	w.After = last
	if body.After != nil {
		w.After = *body.After
		if d := checkAfter("after", w.After, first, last); d != nil {
			wrong = append(wrong, *d)
		}
	}
	if len(wrong) > 0 {
		return web.Malformed(web.Sorted(wrong)...)
	}
	return nil
}

// webhookKey derives the signing key of a webhook from the request's seed and
// the master key, so that a retry shows the same key.
func (h *Handler) webhookKey(s idempotency.Seed, id string) []byte {
	return h.fingerprint("webhook secret", hex.EncodeToString(s.Bytes), id)
}

// webhooks answers with the webhooks of one scope, sorted by id.
func (h *Handler) webhooks(ctx context.Context, r *request) (*web.Answer, error) {
	all, err := h.Webhooks.List(ctx, r.caller.Organization, r.workspace, r.owner(r.query.Get("scope")))
	if err != nil {
		return nil, web.Unavailable(err)
	}
	docs := make([]webhookDoc, len(all))
	for i, w := range all {
		docs[i] = webhookAsShown(w)
	}
	return web.Success(http.StatusOK, web.Count(len(docs), "webhook"), docs)
}

// webhook answers with one webhook and its progress.
func (h *Handler) webhook(ctx context.Context, r *request) (*web.Answer, error) {
	w, err := h.findWebhook(ctx, r)
	if err != nil {
		return nil, err
	}
	state, pending, err := h.Webhooks.Progress(ctx, w)
	if err != nil {
		return nil, webhookFailure(err, w.ID)
	}
	doc := webhookAsShown(w)
	doc.Delivery = deliveryAsShown(state, pending)
	return web.Success(http.StatusOK, deliveryMessage(doc.Delivery), doc)
}

// deleteWebhook deletes a webhook. Nothing is sent to it afterwards.
func (h *Handler) deleteWebhook(ctx context.Context, r *request) (*web.Answer, error) {
	w, err := h.findWebhook(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := h.Webhooks.Delete(ctx, w.Address()); err != nil {
		return nil, webhookFailure(err, w.ID)
	}
	if err := h.tellWebhook(ctx, r, idempotency.NewSeed(time.Now()), w, &event.WebhookDeleted{Receiver: receiver(w)}); err != nil {
		return nil, err
	}
	return web.Success(http.StatusOK, "Deleted webhook "+w.ID, map[string]string{"id": w.ID})
}

// rotateWebhook gives a webhook a new secret. For some time the previous secret
// signs as well.
func (h *Handler) rotateWebhook(ctx context.Context, r *request, s idempotency.Seed, settled bool) (*web.Answer, error) {
	w, err := h.findWebhook(ctx, r)
	if err != nil {
		return nil, err
	}
	key := h.webhookKey(s, w.ID)
	if !settled {
		if w, err = h.Webhooks.Rotate(ctx, w.Address(), key); err != nil {
			return nil, webhookFailure(err, w.ID)
		}
		if err := h.tellWebhook(ctx, r, s, w, &event.WebhookRotated{Receiver: receiver(w), PreviousUntil: w.PreviousUntil}); err != nil {
			return nil, err
		}
	}
	return h.shown(http.StatusOK, "Webhook "+w.ID+" has a new secret, shown only now; the one before signs too until "+w.PreviousUntil.Format(time.RFC3339), w, key)
}

// testWebhook posts a test event.
func (h *Handler) testWebhook(ctx context.Context, r *request, s idempotency.Seed, _ bool) (*web.Answer, error) {
	w, err := h.findWebhook(ctx, r)
	if err != nil {
		return nil, err
	}
	a, err := h.Webhooks.Test(ctx, w.Address(), s.UUID("webhook test"))
	if err != nil {
		return nil, webhookFailure(err, w.ID)
	}
	data := map[string]any{
		"webhook_id": w.ID, "event_id": s.UUID("webhook test"), "status": orNull(a.Status, 0), "duration_ms": a.Duration.Milliseconds(), "reason": orNull(a.Reason, ""),
	}
	if !a.Taken() {
		return web.Compose(http.StatusOK, "error", a.Reason, data, "", &web.Error{Code: "not_delivered", Details: []web.Detail{}})
	}
	return web.Success(http.StatusOK, "The receiver took the test event", data)
}

// findWebhook returns the webhook named by the path: the caller's own, or one of
// the organization. Any other is a 404.
func (h *Handler) findWebhook(ctx context.Context, r *request) (webhooks.Webhook, error) {
	id := r.variable("webhook_id")
	for _, owner := range []string{r.caller.Username, ""} {
		w, err := h.Webhooks.Get(ctx, event.Address{Organization: r.caller.Organization, Workspace: r.workspace, Owner: owner, Source: id})
		if !errors.Is(err, webhooks.ErrNotFound) {
			if err != nil {
				err = web.Unavailable(err)
			}
			return w, err
		}
	}
	return webhooks.Webhook{}, webhookFailure(webhooks.ErrNotFound, id)
}

// webhookFailure turns errors of the registry that the caller caused into
// failures.
func webhookFailure(err error, id string) error {
	var problem *webhooks.Problem
	switch {
	case errors.Is(err, webhooks.ErrNotFound):
		return web.Fail(http.StatusNotFound, "not_found", "There is no webhook %s in this workspace", contract.Printable(id))
	case errors.Is(err, webhooks.ErrTooMany):
		return web.Fail(http.StatusConflict, "too_many_webhooks", "The workspace has %d webhooks of this scope already; delete one", webhooks.MaxPerScope)
	case errors.Is(err, webhooks.ErrTooManyOfAll):
		return web.Fail(http.StatusConflict, "too_many_webhooks", "The organization has %d webhooks already; delete one", webhooks.MaxPerOrganization)
	case errors.As(err, &problem) && errors.Is(problem, webhooks.ErrUnreachable):
		return web.Fail(http.StatusUnprocessableEntity, string(event.ReasonUnreachable), "%s", problem.Message).With(web.Detail{Field: "url", Message: problem.Message})
	case errors.As(err, &problem):
		return web.Malformed(web.Detail{Field: "url", Message: problem.Message})
	}
	return web.Unavailable(err)
}

// shown answers with a webhook and its secret.
func (h *Handler) shown(status int, message string, w webhooks.Webhook, key []byte) (*web.Answer, error) {
	doc := webhookAsShown(w)
	doc.Secret = webhooks.Secret(key)
	return web.Success(status, message, doc)
}

func webhookAsShown(w webhooks.Webhook) webhookDoc {
	a := w.Address()
	doc := webhookDoc{
		ID: w.ID, URL: w.URL, Scope: a.Scope(), Owner: orNull(w.Owner, ""), Description: w.Description, Types: w.Types, SourceID: orNull(w.SourceID, ""),
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

func deliveryAsShown(s webhooks.State, pending uint64) *delivery {
	d := &delivery{
		Position: s.Floor, Pending: pending, LastDelivered: orNull(s.LastDelivered, 0), LastDeliveredAt: s.LastDeliveredAt, Failures: s.Failures,
		LastAttemptAt: s.LastAttemptAt, LastStatus: orNull(s.LastStatus, 0), LastReason: orNull(s.LastReason, ""), NextAttemptAt: s.NextAttemptAt,
		Waiting: make([]waitingAt, len(s.Waiting)),
	}
	for i, w := range s.Waiting {
		d.Waiting[i] = waitingAt{w.SourceID, w.Sequence, w.Failures, orNull(w.Status, 0), w.Reason, w.NextAttemptAt}
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

// orNull returns nil if the value equals nothing, else a pointer to it.
func orNull[T comparable](value, nothing T) *T {
	if value == nothing {
		return nil
	}
	return &value
}
