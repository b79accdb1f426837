package webhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus/event"
	"headwater/bus/kv"
	"headwater/bus/seal"
)

// MaxPerScope is how many webhooks a workspace may have in each scope.
const MaxPerScope = 50

// PreviousSecretLife is how long the previous secret signs after a rotation.
const PreviousSecretLife = 24 * time.Hour

// Log is the log of events. The wiring adapts the bus to it.
type Log interface {
	// State returns the first and the last sequence that the log holds, and when
	// the log was created.
	State(ctx context.Context) (first, last uint64, created time.Time, err error)
	// CountAfter returns how many events after a sequence match the subject
	// filters.
	CountAfter(ctx context.Context, after uint64, filters ...string) (uint64, error)
	// Follow returns a subscriber to the events after that sequence, in order.
	Follow(after uint64) message.Subscriber
	// Decode decodes a message. The sequence is valid even if err is not nil.
	Decode(msg *message.Message) (sequence uint64, e *event.Event, err error)
}

// Vault stores signing keys. *seal.Vault implements it.
type Vault interface {
	// Seal stores a key and returns its reference; Open returns the key; Forget
	// erases it; Destroy erases all keys of a webhook. See package seal.
	Seal(ctx context.Context, a event.Address, plaintext []byte) (ref string, err error)
	Open(ctx context.Context, a event.Address, ref string) ([]byte, error)
	Forget(ctx context.Context, a event.Address, ref string) error
	Destroy(ctx context.Context, a event.Address) error
}

// Deps are what a Registry is built from. The Registry closes none of them.
// Every field except Told, Log and Options is required.
type Deps struct {
	Bucket kv.Store // the bus's bucket HEADWATER_WEBHOOKS
	Vault  Vault
	Events Log
	// Dial opens every connection to a receiver, and enforces the egress policy.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Allows is the egress policy. It is asked when a webhook is created.
	Allows func(netip.Addr) bool
	// Told, if not nil, is called after each attempt to deliver an event, with
	// the number of failures in a row. It is called concurrently and must not
	// block.
	Told    func(w Webhook, sequence uint64, a Attempt, failures int)
	Log     *slog.Logger // for the operator; nil discards
	Options Options
}

// Options limit what deliveries may cost. A zero field means its default.
type Options struct {
	Timeout time.Duration // of one request, default 20 s
	Backoff time.Duration // after the first failure, default 1 s
	Limit   time.Duration // the longest back-off, default 5 min
	Lease   time.Duration // of the one deliverer, default 10 s
	Poll    time.Duration // between two checks for new webhooks, default 1 s
	Save    time.Duration // between two writes of a webhook's state, default 500 ms
	Grace   time.Duration // for running requests when Deliver ends, default 5 s
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.Timeout, 20 * time.Second}, {&o.Backoff, time.Second}, {&o.Limit, 5 * time.Minute}, {&o.Lease, 10 * time.Second},
		{&o.Poll, time.Second}, {&o.Save, 500 * time.Millisecond}, {&o.Grace, 5 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return o
}

// Registry stores webhooks. It is safe for concurrent use, on any node. Close it
// after Deliver has returned.
type Registry struct {
	Deps
	sender *sender
	shares sharesOf
}

// New returns a Registry. It starts nothing.
func New(d Deps) *Registry {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	d.Options = d.Options.withDefaults()
	return &Registry{Deps: d, sender: newSender(d.Dial, d.Options.Timeout)}
}

// Close closes idle connections. Its error is always nil.
func (g *Registry) Close() error {
	g.sender.close()
	return nil
}

func definitionKey(a event.Address) string { return "def." + a.Tokens() }
func stateKey(a event.Address) string      { return "state." + a.Tokens() }

// CheckURL returns a *Problem if events cannot be sent to the URL: it is
// invalid, or its host has no permitted address.
func (g *Registry) CheckURL(ctx context.Context, text string) error {
	u, err := checkURL(text)
	if err != nil {
		return err
	}
	return checkHost(ctx, u, g.Allows)
}

// Create stores a webhook with a new ID and its signing key of 24 to 64 bytes.
// Events after w.After are delivered. If the ID exists, Create changes nothing,
// so that it may be repeated. It returns ErrTooMany, ErrTooManyOfAll, or a
// *Problem about the URL.
func (g *Registry) Create(ctx context.Context, w Webhook, key []byte) error {
	if err := g.CheckURL(ctx, w.URL); err != nil {
		return fmt.Errorf("create a webhook: %w", err)
	}
	a := w.Address()
	all, err := g.Bucket.Keys(ctx, scopeKey(a))
	if err != nil {
		return fmt.Errorf("create a webhook: %w", err)
	}
	for _, known := range all {
		if known == definitionKey(a) {
			return nil
		}
	}
	if len(all) >= MaxPerScope {
		return fmt.Errorf("create a webhook: %w", ErrTooMany)
	}
	if all, err = g.Bucket.Keys(ctx, "def."+event.Token(a.Organization)); err != nil {
		return fmt.Errorf("create a webhook: %w", err)
	}
	if len(all) >= MaxPerOrganization {
		return fmt.Errorf("create a webhook: %w", ErrTooManyOfAll)
	}
	if w.SecretRef, err = g.Vault.Seal(ctx, a, key); err != nil {
		return fmt.Errorf("create a webhook: %w", err)
	}
	if err := g.create(ctx, stateKey(a), State{Floor: w.After}); err != nil {
		return fmt.Errorf("create a webhook: %w", err)
	}
	if err := g.create(ctx, definitionKey(a), w); err != nil {
		return fmt.Errorf("create a webhook: %w", err)
	}
	return nil
}

// create stores a value under a new key. An existing value stays.
func (g *Registry) create(ctx context.Context, key string, value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if _, err = g.Bucket.Create(ctx, key, encoded, 0); errors.Is(err, kv.ErrKeyExists) {
		return nil
	}
	return err
}

// scopeKey returns the key prefix of the definitions in the scope of a.
func scopeKey(a event.Address) string {
	key := definitionKey(a)
	return key[:strings.LastIndexByte(key, '.')]
}

// Get returns a webhook, or ErrNotFound.
func (g *Registry) Get(ctx context.Context, a event.Address) (Webhook, error) {
	w, _, err := g.find(ctx, a)
	return w, err
}

func (g *Registry) find(ctx context.Context, a event.Address) (w Webhook, revision uint64, err error) {
	revision, err = g.read(ctx, definitionKey(a), &w)
	return w, revision, err
}

func (g *Registry) read(ctx context.Context, key string, into any) (revision uint64, err error) {
	entry, err := g.Bucket.Get(ctx, key)
	if errors.Is(err, kv.ErrKeyNotFound) {
		return 0, ErrNotFound
	}
	if err != nil {
		return 0, fmt.Errorf("read a webhook: %w", err)
	}
	if err := json.Unmarshal(entry.Value, into); err != nil {
		return 0, fmt.Errorf("read a webhook: %w", err)
	}
	return entry.Revision, nil
}

// List returns the webhooks of one owner ("" for the organization) in a
// workspace, sorted by id.
func (g *Registry) List(ctx context.Context, organization, workspace, owner string) ([]Webhook, error) {
	keys, err := g.Bucket.Keys(ctx, scopeKey(event.Address{Organization: organization, Workspace: workspace, Owner: owner}))
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	var all []Webhook
	for _, key := range keys {
		var w Webhook
		switch _, err := g.read(ctx, key, &w); {
		case errors.Is(err, ErrNotFound): // deleted since the keys were listed
		case err != nil:
			return nil, err
		default:
			all = append(all, w)
		}
	}
	return all, nil
}

// Progress returns the delivery state of a webhook and how many events are still
// to be delivered.
func (g *Registry) Progress(ctx context.Context, w Webhook) (s State, pending uint64, err error) {
	if _, err := g.read(ctx, stateKey(w.Address()), &s); err != nil {
		return s, 0, err
	}
	pending, err = g.Events.CountAfter(ctx, s.Floor, w.Filters()...)
	if err != nil {
		return s, 0, err
	}
	return s, pending - min(pending, uint64(len(s.Ahead))), nil
}

// Rotate sets the signing key; the previous one signs as well for
// PreviousSecretLife. If key is the current key, nothing changes.
func (g *Registry) Rotate(ctx context.Context, a event.Address, key []byte) (Webhook, error) {
	w, revision, err := g.find(ctx, a)
	if err != nil {
		return w, err
	}
	current, err := g.Vault.Open(ctx, a, w.SecretRef)
	if err == nil && bytes.Equal(current, key) {
		return w, nil
	}
	dropped := w.PreviousRef
	w.PreviousRef, w.PreviousUntil = w.SecretRef, time.Now().UTC().Add(PreviousSecretLife)
	if w.SecretRef, err = g.Vault.Seal(ctx, a, key); err != nil {
		return w, fmt.Errorf("rotate a webhook's secret: %w", err)
	}
	encoded, err := json.Marshal(w)
	if err != nil {
		return w, err
	}
	if _, err := g.Bucket.Update(ctx, definitionKey(a), encoded, revision); err != nil {
		return w, errors.Join(fmt.Errorf("rotate a webhook's secret: %w", err), g.Vault.Forget(ctx, a, w.SecretRef))
	}
	if dropped != "" {
		if err := g.Vault.Forget(ctx, a, dropped); err != nil {
			g.Log.WarnContext(ctx, "a webhook's old secret is left sealed", "webhook", a.Source, "error", err)
		}
	}
	return w, nil
}

// Delete deletes a webhook: no attempt begins after it has returned. It may be
// repeated after an error. It returns ErrNotFound for an unknown webhook.
func (g *Registry) Delete(ctx context.Context, a event.Address) error {
	if _, err := g.Get(ctx, a); err != nil {
		return err
	}
	// The definition is deleted last, so that the deletion can be repeated until
	// then.
	if err := g.Vault.Destroy(ctx, a); err != nil {
		return fmt.Errorf("delete a webhook: %w", err)
	}
	for _, key := range []string{stateKey(a), definitionKey(a)} {
		if err := g.Bucket.Erase(ctx, key); err != nil {
			return fmt.Errorf("delete a webhook: %w", err)
		}
	}
	return nil
}

// keys returns the keys that sign for a webhook now, newest first.
func (g *Registry) keys(ctx context.Context, w Webhook) ([][]byte, error) {
	key, err := g.Vault.Open(ctx, w.Address(), w.SecretRef)
	if err != nil {
		return nil, err
	}
	keys := [][]byte{key}
	if w.PreviousRef != "" && time.Now().Before(w.PreviousUntil) {
		before, err := g.Vault.Open(ctx, w.Address(), w.PreviousRef)
		if err != nil && !errors.Is(err, seal.ErrDestroyed) {
			return nil, err
		}
		if err == nil {
			keys = append(keys, before)
		}
	}
	return keys, nil
}

// TestEvent is the CloudEvents type of the event that Test sends. It is not in
// the log.
const TestEvent = "headwater.WebhookTest.v1"

// Test sends a test event, signed like any other, once, and returns the attempt.
func (g *Registry) Test(ctx context.Context, a event.Address, id string) (Attempt, error) {
	w, err := g.Get(ctx, a)
	if err != nil {
		return Attempt{}, err
	}
	keys, err := g.keys(ctx, w)
	if err != nil {
		return Attempt{}, fmt.Errorf("test a webhook: %w", err)
	}
	body, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": id, "type": TestEvent, "source": event.Source, "subject": w.ID, "time": time.Now().UTC(),
		"datacontenttype": event.ContentType,
		"data":            map[string]string{"organization": w.Organization, "workspace_id": w.Workspace, "webhook_id": w.ID},
	})
	if err != nil {
		return Attempt{}, err
	}
	return g.sender.send(ctx, w.URL, id, body, keys...), nil
}
