// Package webhooks has the calls on webhooks: create, list, show, rotate, test and
// delete. They send no command; the registry of the bus delivers.
package webhooks

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"headwater/api/call"
	"headwater/api/contract"
	"headwater/api/events"
	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/event"
	registry "headwater/bus/webhooks"
)

// Registry stores webhooks, the URLs that events are posted to.
// *registry.Registry implements it; the errors are those of that package.
type Registry interface {
	// CheckURL returns an error if events may not be posted to the URL.
	CheckURL(ctx context.Context, text string) error
	// Create stores a webhook. It leaves an existing one with the same id
	// unchanged.
	Create(ctx context.Context, w registry.Webhook, key []byte) error
	// Get and List return webhooks. Get's error wraps registry.ErrNotFound if
	// there is none at the address.
	Get(ctx context.Context, a event.Address) (registry.Webhook, error)
	List(ctx context.Context, organization, workspace, owner string) ([]registry.Webhook, error)
	// Progress returns the delivery state of a webhook and how many events are
	// still to be delivered.
	Progress(ctx context.Context, w registry.Webhook) (s registry.State, pending uint64, err error)
	// Rotate replaces the signing key. The previous key signs as well until the
	// webhook's PreviousUntil.
	Rotate(ctx context.Context, a event.Address, key []byte) (registry.Webhook, error)
	// Test posts a test event with that id and returns the attempt, which may
	// have failed.
	Test(ctx context.Context, a event.Address, id string) (registry.Attempt, error)
	// Delete deletes a webhook. Its error wraps registry.ErrNotFound if there is
	// none.
	Delete(ctx context.Context, a event.Address) error
}

// Calls are the calls on webhooks. All fields are required. They are safe for
// concurrent use.
type Calls struct {
	Registry Registry
	Events   call.Events
	History  History
	// Fingerprint returns a keyed hash of the texts, the same on every node.
	Fingerprint func(purpose string, parts ...string) []byte
}

// History says what the log holds. *bus.Bus implements it.
type History interface {
	// State returns the first and the last sequence that the log holds, and when
	// the log was created.
	State(ctx context.Context) (first, last uint64, created time.Time, err error)
}

// tell appends the event of an action on a webhook.
func (c *Calls) tell(ctx context.Context, r *call.Request, s idempotency.Seed, w registry.Webhook, data event.Data) error {
	if err := r.Tell(ctx, c.Events, s.UUID(data.EventName(), w.ID), w.Address(), data); err != nil {
		return web.Unavailable(err)
	}
	return nil
}

// receiver returns scheme and host of a webhook's URL. The rest of the URL may
// be secret.
func receiver(w registry.Webhook) string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

type createRequest struct {
	Scope       string   `json:"scope"`
	URL         string   `json:"url"`
	Description string   `json:"description"`
	Types       []string `json:"types"`
	SourceID    string   `json:"source_id"`
	After       *uint64  `json:"after"`
}

// Create creates a webhook: events are posted to its URL from then on.
func (c *Calls) Create(ctx context.Context, r *call.Request, s idempotency.Seed, settled bool) (*web.Answer, error) {
	var body createRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	w := registry.Webhook{
		ID: s.ID("whk_"), Organization: r.Caller.Organization, Workspace: r.Workspace, Owner: r.Owner(body.Scope),
		URL: body.URL, Description: body.Description, SourceID: body.SourceID, CreatedAt: s.At, CreatedBy: r.Caller.Username,
	}
	if settled {
		known, err := c.Registry.Get(ctx, w.Address())
		if err != nil {
			return nil, failure(err, w.ID)
		}
		return c.shown(http.StatusOK, "Created webhook "+w.ID, known, c.key(s, w.ID))
	}
	if err := c.choose(ctx, &w, body); err != nil {
		return nil, err
	}
	key := c.key(s, w.ID)
	if err := c.Registry.Create(ctx, w, key); err != nil {
		return nil, failure(err, w.ID)
	}
	// A request that is being resumed may have created it already.
	known, err := c.Registry.Get(ctx, w.Address())
	if err != nil {
		return nil, failure(err, w.ID)
	}
	told := &event.WebhookCreated{Receiver: receiver(known), Types: known.Types, OfSource: known.SourceID, After: known.After}
	if err := c.tell(ctx, r, s, known, told); err != nil {
		return nil, err
	}
	return c.shown(http.StatusOK, "Created webhook "+w.ID+"; its secret is shown only now", known, key)
}

// choose sets which events a webhook receives, and from which sequence on.
func (c *Calls) choose(ctx context.Context, w *registry.Webhook, body createRequest) error {
	var wrong []web.Detail
	if len(body.Types) > 0 {
		names, bad := events.Names(strings.Join(body.Types, ","))
		for i := range bad {
			bad[i].Field = "types"
		}
		slices.Sort(names)
		w.Types, wrong = slices.Compact(names), append(wrong, bad...)
	}
	if body.SourceID != "" && !call.HistoryID().MatchString(body.SourceID) {
		wrong = append(wrong, web.Detail{Field: "source_id", Message: "must be the id of one source: letters, digits, _ and -; wildcards are not taken"})
	}
	first, last, _, err := c.History.State(ctx)
	if err != nil {
		return events.Unreadable(err)
	}
	w.After = last
	if body.After != nil {
		w.After = *body.After
		if d := events.CheckAfter("after", w.After, first, last); d != nil {
			wrong = append(wrong, *d)
		}
	}
	if len(wrong) > 0 {
		return web.Malformed(web.Sorted(wrong)...)
	}
	return nil
}

// key derives the signing key of a webhook from the request's seed and
// the master key, so that a retry shows the same key.
func (c *Calls) key(s idempotency.Seed, id string) []byte {
	return c.Fingerprint("webhook secret", hex.EncodeToString(s.Bytes), id)
}

// List answers with the webhooks of one scope, sorted by id.
func (c *Calls) List(ctx context.Context, r *call.Request) (*web.Answer, error) {
	all, err := c.Registry.List(ctx, r.Caller.Organization, r.Workspace, r.Owner(r.Query.Get("scope")))
	if err != nil {
		return nil, web.Unavailable(err)
	}
	docs := make([]document, len(all))
	for i, w := range all {
		docs[i] = asShown(w)
	}
	return web.Success(http.StatusOK, web.Count(len(docs), "webhook"), docs)
}

// Get answers with one webhook and its progress.
func (c *Calls) Get(ctx context.Context, r *call.Request) (*web.Answer, error) {
	w, err := c.find(ctx, r)
	if err != nil {
		return nil, err
	}
	state, pending, err := c.Registry.Progress(ctx, w)
	if err != nil {
		return nil, failure(err, w.ID)
	}
	doc := asShown(w)
	doc.Delivery = deliveryAsShown(state, pending)
	return web.Success(http.StatusOK, deliveryMessage(doc.Delivery), doc)
}

// Delete deletes a webhook. Nothing is sent to it afterwards.
func (c *Calls) Delete(ctx context.Context, r *call.Request) (*web.Answer, error) {
	w, err := c.find(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := c.Registry.Delete(ctx, w.Address()); err != nil {
		return nil, failure(err, w.ID)
	}
	if err := c.tell(ctx, r, idempotency.NewSeed(time.Now()), w, &event.WebhookDeleted{Receiver: receiver(w)}); err != nil {
		return nil, err
	}
	return web.Success(http.StatusOK, "Deleted webhook "+w.ID, map[string]string{"id": w.ID})
}

// Rotate gives a webhook a new secret. For some time the previous secret
// signs as well.
func (c *Calls) Rotate(ctx context.Context, r *call.Request, s idempotency.Seed, settled bool) (*web.Answer, error) {
	w, err := c.find(ctx, r)
	if err != nil {
		return nil, err
	}
	key := c.key(s, w.ID)
	if !settled {
		if w, err = c.Registry.Rotate(ctx, w.Address(), key); err != nil {
			return nil, failure(err, w.ID)
		}
		if err := c.tell(ctx, r, s, w, &event.WebhookRotated{Receiver: receiver(w), PreviousUntil: w.PreviousUntil}); err != nil {
			return nil, err
		}
	}
	return c.shown(http.StatusOK, "Webhook "+w.ID+" has a new secret, shown only now; the one before signs too until "+w.PreviousUntil.Format(time.RFC3339), w, key)
}

// Test posts a test event.
func (c *Calls) Test(ctx context.Context, r *call.Request, s idempotency.Seed, _ bool) (*web.Answer, error) {
	w, err := c.find(ctx, r)
	if err != nil {
		return nil, err
	}
	a, err := c.Registry.Test(ctx, w.Address(), s.UUID("webhook test"))
	if err != nil {
		return nil, failure(err, w.ID)
	}
	data := map[string]any{
		"webhook_id": w.ID, "event_id": s.UUID("webhook test"), "status": web.OrNull(a.Status, 0), "duration_ms": a.Duration.Milliseconds(), "reason": web.OrNull(a.Reason, ""),
	}
	if !a.Taken() {
		return web.Compose(http.StatusOK, "error", a.Reason, data, "", &web.Error{Code: "not_delivered", Details: []web.Detail{}})
	}
	return web.Success(http.StatusOK, "The receiver took the test event", data)
}

// find returns the webhook named by the path: the caller's own, or one of
// the organization. Any other is a 404.
func (c *Calls) find(ctx context.Context, r *call.Request) (registry.Webhook, error) {
	id := r.Variable("webhook_id")
	for _, owner := range []string{r.Caller.Username, ""} {
		w, err := c.Registry.Get(ctx, r.Address(owner, id))
		if !errors.Is(err, registry.ErrNotFound) {
			if err != nil {
				err = web.Unavailable(err)
			}
			return w, err
		}
	}
	return registry.Webhook{}, failure(registry.ErrNotFound, id)
}

// failure turns errors of the registry that the caller caused into
// failures.
func failure(err error, id string) error {
	var problem *registry.Problem
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return web.Fail(http.StatusNotFound, "not_found", "There is no webhook %s in this workspace", contract.Printable(id))
	case errors.Is(err, registry.ErrTooMany):
		return web.Fail(http.StatusConflict, "too_many_webhooks", "The workspace has %d webhooks of this scope already; delete one", registry.MaxPerScope)
	case errors.Is(err, registry.ErrTooManyOfAll):
		return web.Fail(http.StatusConflict, "too_many_webhooks", "The organization has %d webhooks already; delete one", registry.MaxPerOrganization)
	case errors.As(err, &problem) && errors.Is(problem, registry.ErrUnreachable):
		return web.Fail(http.StatusUnprocessableEntity, string(event.ReasonUnreachable), "%s", problem.Message).With(web.Detail{Field: "url", Message: problem.Message})
	case errors.As(err, &problem):
		return web.Malformed(web.Detail{Field: "url", Message: problem.Message})
	}
	return web.Unavailable(err)
}
