// Package idempotency carries out a request with an Idempotency-Key at most
// once. The state of each key is in a bucket that all nodes share. A repeat gets
// the first answer. A request that was abandoned is resumed with the same seed,
// from which all of its ids derive.
package idempotency

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
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"headwater/api/web"
	"headwater/bus/event"
	"headwater/bus/kv"
)

const (
	maxIdempotencyKey = 255
	maxKept           = 512 << 10 // bytes of a compressed answer; a larger one is composed again
	maxReplayed       = 256 << 20 // bytes of a stored answer, uncompressed
)

// Bucket stores the records of requests with an Idempotency-Key and is shared by
// all nodes. The bus's bucket BucketIdempotency implements it. Its errors are
// those of package kv.
type Bucket interface {
	// Get, Create and Update are those of kv.Store; a value expires ttl after
	// its creation.
	Get(ctx context.Context, key string) (kv.Entry, error)
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) (revision uint64, err error)
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
}

// Target is one source of a request. It is stored with the key and must hold
// nothing secret.
type Target struct {
	SourceID string `json:"source_id"`
	Name     string `json:"name,omitempty"`
	SyncID   string `json:"sync_id,omitempty"`
	Attached bool   `json:"attached,omitempty"` // follows a running sync and sends no command
	At       int    `json:"at"`                 // its index in the request
}

// Record is the stored state of a request with an Idempotency-Key. It is written
// before the first command, so that whoever resumes the request does exactly the
// same.
type Record struct {
	Fingerprint []byte            `json:"fingerprint"` // keyed hash, because the body holds secrets
	Seed        Seed              `json:"seed"`
	Targets     []Target          `json:"targets"`
	Until       time.Time         `json:"until"` // end of the lease, unless a node renews it
	Done        bool              `json:"done"`
	Status      int               `json:"status,omitempty"`
	Header      map[string]string `json:"header,omitempty"`
	Body        []byte            `json:"body,omitempty"` // gzip; empty if it was too large to store
}

// Claim is the right to carry out a request. The methods of a nil Claim, which a
// request without a key has, do nothing.
type Claim struct {
	k        *Keeper
	key      string // of the record in the bucket
	mu       sync.Mutex
	record   Record
	revision uint64 // 0 before it is stored
	lost     bool   // another node has taken over
}

// Keeper manages the records of requests with a key. It is safe for concurrent
// use.
type Keeper struct {
	Bucket Bucket
	MAC    func(purpose string, parts ...string) []byte // keyed hash of texts
	Lease  time.Duration                                // how long after its last renewal a request counts as abandoned
	Keep   time.Duration                                // how long answers are stored
	Log    *slog.Logger
}

// Call identifies a request.
type Call struct {
	Organization string
	Parts        []string // who calls what; the same key with other parts is a different key
	Content      []string // what is asked; the same key with other content is refused
}

// Claim looks up the Idempotency-Key of a request. It returns the first answer
// if there is one; a 409 while that is being made; a 422 if the key belongs to a
// different request; and otherwise a claim, which is new or resumes an abandoned
// request.
func (k *Keeper) Claim(ctx context.Context, header http.Header, c Call) (*Claim, *web.Answer, error) {
	values := header.Values("Idempotency-Key")
	if len(values) == 0 {
		return nil, nil, nil
	}
	key := strings.TrimSpace(values[0])
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	wrong := func(c rune) bool { return c < ' ' || c > '~' }
	if len(values) > 1 || key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, wrong) {
		return nil, nil, web.Malformed(web.Detail{Field: "Idempotency-Key", Message: fmt.Sprintf("must be one text of 1 to %d printable ASCII characters", maxIdempotencyKey)})
	}
	made := &Claim{
		k:      k,
		key:    event.Token(c.Organization) + "." + hex.EncodeToString(k.MAC("idempotency key", slices.Concat(c.Parts, []string{key})...)),
		record: Record{Seed: NewSeed(time.Now()), Fingerprint: k.MAC("idempotency body", slices.Concat(c.Parts, c.Content)...)},
	}
	entry, err := k.Bucket.Get(ctx, made.key)
	if errors.Is(err, kv.ErrKeyNotFound) {
		return made, nil, nil
	}
	if err != nil {
		return nil, nil, web.Unavailable(err)
	}
	return made.meet(entry)
}

// meet compares the request with the stored record of its key.
func (c *Claim) meet(entry kv.Entry) (*Claim, *web.Answer, error) {
	var known Record
	if err := json.Unmarshal(entry.Value, &known); err != nil {
		return nil, nil, fmt.Errorf("record of an Idempotency-Key: %w", err)
	}
	switch {
	case !hmac.Equal(known.Fingerprint, c.record.Fingerprint):
		return nil, nil, web.Fail(http.StatusUnprocessableEntity, "idempotency_mismatch", "This Idempotency-Key came with another request before; use a new one")
	case known.Done && (len(known.Body) > 0 || len(known.Targets) == 0):
		a, err := known.Answer()
		return nil, a, err
	case !known.Done && time.Now().Before(known.Until):
		return nil, nil, inFlight()
	}
	c.record, c.revision = known, entry.Revision
	return c, nil, nil
}

func inFlight() *web.Failure {
	return web.Fail(http.StatusConflict, "idempotency_in_flight", "The request with this Idempotency-Key is still being carried out").Later(time.Second)
}

// Seed returns the seed from which every id of the request derives. A request
// without a key has a new seed.
func (c *Claim) Seed() Seed {
	if c == nil {
		return NewSeed(time.Now())
	}
	return c.record.Seed
}

// Targets returns the stored targets of a request that is being resumed, else
// nil.
func (c *Claim) Targets() []Target {
	if c == nil {
		return nil
	}
	return c.record.Targets
}

// Settled reports that the request was carried out before and only its answer
// has to be composed again.
func (c *Claim) Settled() bool { return c != nil && c.record.Done }

// Begin stores the plan. It returns a 409 if another node was first.
func (c *Claim) Begin(ctx context.Context, targets []Target) error {
	if c == nil || c.record.Done {
		return nil
	}
	c.record.Targets = targets
	c.record.Until = time.Now().Add(c.k.Lease)
	return c.stored(c.store(ctx))
}

// Keep stores the answer of a request that needed no command.
func (c *Claim) Keep(ctx context.Context, a *web.Answer) error {
	if c == nil || c.record.Done {
		return nil
	}
	if err := c.take(a); err != nil {
		return err
	}
	return c.stored(c.store(ctx))
}

func (c *Claim) stored(err error) error {
	if errors.Is(err, kv.ErrKeyExists) || errors.Is(err, kv.ErrConflict) {
		return inFlight()
	}
	if err != nil {
		return web.Unavailable(err)
	}
	return nil
}

// store writes the record as the next revision. The caller holds mu or has sole
// access.
func (c *Claim) store(ctx context.Context) error {
	value, err := json.Marshal(c.record)
	if err != nil {
		return err
	}
	if c.revision == 0 {
		c.revision, err = c.k.Bucket.Create(ctx, c.key, value, c.k.Keep)
		return err
	}
	revision, err := c.k.Bucket.Update(ctx, c.key, value, c.revision)
	if err == nil {
		c.revision = revision
	}
	return err
}

// Hold renews the lease in the background until release is called.
func (c *Claim) Hold(ctx context.Context) (release func()) {
	if c == nil || c.record.Done {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(c.k.Lease / 3)
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

// renew extends the lease once. If that fails the lease expires; a second node
// may then repeat the work, which has no further effect.
func (c *Claim) renew(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.k.Lease/3)
	defer cancel()
	c.record.Until = time.Now().Add(c.k.Lease)
	c.lost = errors.Is(c.store(ctx), kv.ErrConflict)
}

// Finish stores the answer. Without an answer it releases the claim, so that a
// retry carries out the request.
func (c *Claim) Finish(ctx context.Context, a *web.Answer) {
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
			c.k.Log.Error("keep an answer", "error", err)
			return
		}
	}
	c.conclude(ctx)
}

// Settle records that the request was carried out, without storing its answer,
// which shows a secret: a repeat composes the answer again.
func (c *Claim) Settle(ctx context.Context) {
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
func (c *Claim) conclude(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// A renewal that was cut off may have been stored, as a revision that this
	// node does not know.
	err := c.store(ctx)
	if errors.Is(err, kv.ErrConflict) {
		if entry, getErr := c.k.Bucket.Get(ctx, c.key); getErr == nil {
			var known Record
			if json.Unmarshal(entry.Value, &known) == nil && !known.Done {
				c.revision = entry.Revision
				err = c.store(ctx)
			}
		}
	}
	if err != nil && !errors.Is(err, kv.ErrConflict) {
		c.k.Log.Error("keep an answer", "error", err)
	}
}

// take puts an answer into the record.
func (c *Claim) take(a *web.Answer) error {
	c.record.Done, c.record.Status, c.record.Header = true, a.Status, map[string]string{}
	for key := range a.Header {
		c.record.Header[key] = a.Header.Get(key)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(a.Body); err != nil {
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

// Answer returns the stored answer. It fails if the record's body is damaged.
func (r *Record) Answer() (*web.Answer, error) {
	a := &web.Answer{Status: r.Status, Header: http.Header{}}
	for key, value := range r.Header {
		a.Header.Set(key, value)
	}
	a.Header.Set("Idempotency-Replayed", "true")
	z, err := gzip.NewReader(bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("kept answer: %w", err)
	}
	if a.Body, err = io.ReadAll(io.LimitReader(z, maxReplayed)); err != nil {
		return nil, fmt.Errorf("kept answer: %w", err)
	}
	return a, nil
}
