package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"headwater/bus/event"
	"headwater/bus/kv"
)

const (
	maxIdempotencyKey = 255
	maxKept           = 512 << 10 // bytes of a compressed answer; a larger one is composed anew
	maxReplayed       = 256 << 20 // bytes of an answer that was kept
)

// record is what is known of a request with an Idempotency-Key. It is written
// before the first command, so that whoever takes the request up again does
// exactly the same.
type record struct {
	Fingerprint []byte            `json:"fingerprint"` // keyed, because the body holds secrets
	Seed        seed              `json:"seed"`
	Targets     []target          `json:"targets"`
	Until       time.Time         `json:"until"` // a node is at work and will say so again before
	Done        bool              `json:"done"`
	Status      int               `json:"status,omitempty"`
	Header      map[string]string `json:"header,omitempty"`
	Body        []byte            `json:"body,omitempty"` // gzip; empty when it was too large to keep
}

// claim is the right to carry a request out. A nil claim, of a request without
// a key, does nothing.
type claim struct {
	h        *Handler
	key      string // in the bucket
	mu       sync.Mutex
	record   record
	revision uint64 // 0 before it is stored
	lost     bool   // another node took it over
}

// claim reads the request's Idempotency-Key. It returns the first answer where
// there is one, a 409 while it is in the making, a 422 for a key that came with
// another request, and else the claim: a new one, or one that was abandoned.
func (h *Handler) claim(ctx context.Context, r *request) (*claim, *answer, error) {
	values := r.http.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return nil, nil, nil
	}
	key := strings.TrimSpace(values[0])
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	wrong := func(c rune) bool { return c < ' ' || c > '~' }
	if len(values) > 1 || key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, wrong) {
		return nil, nil, malformed(detail{Field: "Idempotency-Key", Message: fmt.Sprintf("must be one text of 1 to %d printable ASCII characters", maxIdempotencyKey)})
	}
	// The same call under either base path is the same call.
	call := []string{r.caller.Organization, r.caller.Username, r.route.method, r.route.path, r.workspace, r.variable("operation_id") + r.variable("webhook_id")}
	c := &claim{
		h:      h,
		key:    event.Token(r.caller.Organization) + "." + hex.EncodeToString(h.fingerprint("idempotency key", append(call, key)...)),
		record: record{Seed: newSeed(time.Now()), Fingerprint: h.fingerprint("idempotency body", append(call, r.query.Encode(), string(r.body))...)},
	}
	entry, err := h.Idempotency.Get(ctx, c.key)
	if errors.Is(err, kv.ErrKeyNotFound) {
		return c, nil, nil
	}
	if err != nil {
		return nil, nil, unavailable(err)
	}
	return c.meet(entry)
}

// meet compares the request with what is known of its key.
func (c *claim) meet(entry kv.Entry) (*claim, *answer, error) {
	var known record
	if err := json.Unmarshal(entry.Value, &known); err != nil {
		return nil, nil, fmt.Errorf("record of an Idempotency-Key: %w", err)
	}
	switch {
	case !hmac.Equal(known.Fingerprint, c.record.Fingerprint):
		return nil, nil, fail(http.StatusUnprocessableEntity, "idempotency_mismatch", "This Idempotency-Key came with another request before; use a new one")
	case known.Done && (len(known.Body) > 0 || len(known.Targets) == 0):
		a, err := known.answer()
		return nil, a, err
	case !known.Done && time.Now().Before(known.Until):
		return nil, nil, inFlight()
	}
	c.record, c.revision = known, entry.Revision
	return c, nil, nil
}

func inFlight() *failure {
	return fail(http.StatusConflict, "idempotency_in_flight", "The request with this Idempotency-Key is still being carried out").later(time.Second)
}

// fingerprint returns a keyed hash of texts.
func (h *Handler) fingerprint(purpose string, parts ...string) []byte {
	encoded, _ := json.Marshal(append([]string{purpose}, parts...)) // texts always marshal
	return h.Vault.MAC(encoded)
}

// settled reports that the request was carried out before and only its answer
// is to be made again.
func (c *claim) settled() bool { return c != nil && c.record.Done }

// begin stores the plan. It returns a 409 when another node was first.
func (c *claim) begin(ctx context.Context, targets []target) error {
	if c == nil || c.record.Done {
		return nil
	}
	c.record.Targets = targets
	c.record.Until = time.Now().Add(c.h.Options.Lease)
	return c.stored(c.store(ctx))
}

// keep stores the answer of a request that needed no command.
func (c *claim) keep(ctx context.Context, a *answer) error {
	if c == nil || c.record.Done {
		return nil
	}
	if err := c.take(a); err != nil {
		return err
	}
	return c.stored(c.store(ctx))
}

func (c *claim) stored(err error) error {
	if errors.Is(err, kv.ErrKeyExists) || errors.Is(err, kv.ErrConflict) {
		return inFlight()
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// store writes the record as the next revision. The caller holds mu or is
// alone.
func (c *claim) store(ctx context.Context) error {
	value, err := json.Marshal(c.record)
	if err != nil {
		return err
	}
	if c.revision == 0 {
		c.revision, err = c.h.Idempotency.Create(ctx, c.key, value, c.h.Options.KeepAnswers)
		return err
	}
	revision, err := c.h.Idempotency.Update(ctx, c.key, value, c.revision)
	if err == nil {
		c.revision = revision
	}
	return err
}

// hold says again and again that this node is at work, until release is called.
func (c *claim) hold(ctx context.Context) (release func()) {
	if c == nil || c.record.Done {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(c.h.Options.Lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.renew(ctx)
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// renew prolongs the lease. One that cannot be prolonged ends by itself: that
// a second node then does the same work changes nothing.
func (c *claim) renew(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.h.Options.Lease/3)
	defer cancel()
	c.record.Until = time.Now().Add(c.h.Options.Lease)
	c.lost = errors.Is(c.store(ctx), kv.ErrConflict)
}

// finish stores the answer, or, when there is none, gives the request free: a
// repeat then takes it up again.
func (c *claim) finish(ctx context.Context, a *answer) {
	if c == nil || c.record.Done {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost {
		return
	}
	c.record.Until = time.Time{}
	if a != nil {
		if err := c.take(a); err != nil {
			c.h.Log.Error("keep an answer", "error", err)
			return
		}
	}
	c.conclude(ctx)
}

// settle notes that the request was carried out and keeps nothing of its
// answer, which shows a secret: a repeat composes it anew.
func (c *claim) settle(ctx context.Context) {
	if c == nil || c.record.Done {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost {
		return
	}
	c.record.Until, c.record.Done = time.Time{}, true
	c.conclude(ctx)
}

// conclude stores the record for the last time. The caller holds mu.
func (c *claim) conclude(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// A renewal that was cut off may have been stored, as a revision that this
	// node does not know.
	err := c.store(ctx)
	if errors.Is(err, kv.ErrConflict) {
		if entry, getErr := c.h.Idempotency.Get(ctx, c.key); getErr == nil {
			var known record
			if json.Unmarshal(entry.Value, &known) == nil && !known.Done {
				c.revision = entry.Revision
				err = c.store(ctx)
			}
		}
	}
	if err != nil && !errors.Is(err, kv.ErrConflict) {
		c.h.Log.Error("keep an answer", "error", err)
	}
}

// take puts an answer into the record.
func (c *claim) take(a *answer) error {
	c.record.Done, c.record.Status, c.record.Header = true, a.status, map[string]string{}
	for key := range a.header {
		c.record.Header[key] = a.header.Get(key)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(a.body); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if c.record.Body = nil; b.Len() <= maxKept {
		c.record.Body = b.Bytes()
	}
	return nil
}

// answer returns the first answer again.
func (r *record) answer() (*answer, error) {
	a := &answer{status: r.Status, header: http.Header{}}
	for key, value := range r.Header {
		a.header.Set(key, value)
	}
	a.header.Set("Idempotency-Replayed", "true")
	z, err := gzip.NewReader(bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("kept answer: %w", err)
	}
	if a.body, err = io.ReadAll(io.LimitReader(z, maxReplayed)); err != nil {
		return nil, fmt.Errorf("kept answer: %w", err)
	}
	return a, nil
}
