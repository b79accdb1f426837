// Package tablekeys has the store of a lake in a bucket give out keys that open one
// table and end soon. It asks the store's STS for them with the service's own keys,
// which it never gives out.
package tablekeys

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/sync/singleflight"

	"headwater/handlers/landing/bucket"
)

// How long keys may live: an STS gives none for less than the first, nor for more
// than the second to who has a role already.
const (
	LeastLife = 15 * time.Minute
	MostLife  = time.Hour
)

const (
	askLimit   = 5 * time.Second  // what the STS and the bucket have for an answer, each
	askAtOnce  = 8                // requests to the STS
	pause      = 30 * time.Second // after a refusal, before the STS is asked again
	shortPause = 5 * time.Second  // if it is asked too often
	leastLeft  = 5 * time.Minute  // of keys that are given again because the STS has no others
	maxKept    = 4096             // keys and refusals of single tables that are remembered
	maxTold    = 100              // reasons that were told
)

// Settings say where keys come from.
type Settings struct {
	Endpoint string        // URL of the STS; "" for Amazon's of the bucket's region
	Role     string        // ARN of the role to assume; "" for stores that need none
	Life     time.Duration // how long keys live; LeastLife to MostLife
}

// Keys open one table until they end. Printed or logged they are [redacted].
type Keys struct {
	Access, Secret, Session string
	Region                  string // of the bucket
	Expires                 time.Time
}

const redacted = "[redacted]"

// String returns no key.
func (Keys) String() string { return redacted }

// GoString returns no key.
func (Keys) GoString() string { return redacted }

// LogValue returns no key.
func (Keys) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns no key.
func (Keys) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Table is what keys open.
type Table struct {
	Folder   string // URL; everything below it is the table's
	Metadata string // URL of a file in it, with which the keys are tried; "" not to try
}

// Holder is whom keys are for.
type Holder struct {
	Organization, Username string
	TokenID                string    // of a token that can be revoked, else ""
	Expires                time.Time // of the holder's token; zero for never
}

// Issuer issues keys. It is safe for concurrent use.
type Issuer struct {
	settings Settings
	bucket   *bucket.Bucket
	root     string // the lake's, as a URL
	outside  string // a file of the lake that no table has
	client   *sts.Client
	log      *slog.Logger
	now      func() time.Time
	limit    time.Duration // askLimit

	asking singleflight.Group
	places chan struct{}

	mu      sync.Mutex
	kept    kept
	resumes time.Time // before which the STS is not asked
	paused  *Refusal  // why
	told    map[string]bool
}

// New returns an Issuer for a lake whose root is a URL in the bucket. outside names
// a file of the lake that belongs to no table, with which is proved that keys are
// narrow. New asks nobody.
func New(b *bucket.Bucket, root, outside string, s Settings, log *slog.Logger) *Issuer {
	return &Issuer{
		settings: s, bucket: b, root: root, outside: outside, client: stsOf(b.Config(), s.Endpoint), log: log, now: time.Now, limit: askLimit,
		places: make(chan struct{}, askAtOnce), kept: newKept(maxKept), told: map[string]bool{},
	}
}

// Check asks the STS for keys to a table that does not exist, and proves that they
// are narrow. It returns a *Refusal.
func (i *Issuer) Check(ctx context.Context) error {
	_, err := i.issue(ctx, Table{Folder: i.root + "/headwater-sts-check"}, "headwater-check", LeastLife)
	i.settle(err)
	return err
}

// Keys returns keys to a table: those that the holder was given before, as long as
// half of their life is left. Those who ask at once share one answer. It returns a
// *Refusal if there are none, or the context's error.
func (i *Issuer) Keys(ctx context.Context, t Table, h Holder) (Keys, error) {
	life, ends := i.life(h.Expires)
	key := keptKey{h.Organization, h.Username, h.TokenID, t.Folder, ends}
	if k, r, ok := i.known(key); ok {
		return k, asError(r)
	}
	answers := i.asking.DoChan(key.text(), func() (any, error) {
		// The one who asked first may leave; the others wait for the answer.
		return i.ask(context.WithoutCancel(ctx), key, t, sessionName(h), life)
	})
	select {
	case a := <-answers:
		if a.Err != nil {
			return Keys{}, a.Err
		}
		return a.Val.(Keys), nil
	case <-ctx.Done():
		return Keys{}, ctx.Err()
	}
}

// life returns how long keys for a token that ends then live, and that end if it
// comes before the settings' one: 0 if it does not.
func (i *Issuer) life(token time.Time) (life time.Duration, ends int64) {
	left := token.Sub(i.now())
	if token.IsZero() || left >= i.settings.Life {
		return i.settings.Life, 0
	}
	return max(left.Truncate(time.Second), LeastLife), token.Unix()
}

// known returns what is remembered of a table and its holder, or why nobody is asked
// now.
func (i *Issuer) known(key keptKey) (Keys, *Refusal, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	e, ok := i.kept.get(key, i.now())
	switch {
	case ok && (i.now().Before(e.until) || i.now().Before(i.resumes)):
		return e.keys, e.refusal, true
	case i.now().Before(i.resumes):
		return Keys{}, i.paused, true
	}
	return Keys{}, nil, false
}

// ask gets keys and remembers them, or why there are none.
func (i *Issuer) ask(ctx context.Context, key keptKey, t Table, session string, life time.Duration) (Keys, error) {
	i.places <- struct{}{}
	defer func() { <-i.places }()
	if k, r, ok := i.known(key); ok { // while it waited for its turn
		return k, asError(r)
	}
	k, err := i.issue(ctx, t, session, life)
	r := i.settle(err)
	i.mu.Lock()
	defer i.mu.Unlock()
	if r == nil {
		i.kept.put(key, keptValue{keys: k, until: i.now().Add(k.Expires.Sub(i.now()) / 2)})
		return k, nil
	}
	if r.oneTable {
		i.kept.put(key, keptValue{refusal: r, until: i.now().Add(pause)})
	} else if e, ok := i.kept.get(key, i.now()); ok {
		return e.keys, nil // there is use in them yet
	}
	return Keys{}, r
}

// settle notes how asking went, and tells the operator of each reason once, until
// there are keys again.
func (i *Issuer) settle(err error) *Refusal {
	var r *Refusal
	if err != nil && !errors.As(err, &r) {
		r = &Refusal{Why: "the store's STS cannot be asked"} // what issue returns is one
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if r == nil {
		if i.paused != nil {
			i.log.Info("the store gives keys to tables again")
			i.paused, i.told = nil, map[string]bool{}
		}
		return nil
	}
	if !r.oneTable {
		wait := pause
		if r.throttle {
			wait = shortPause
		}
		i.resumes, i.paused = i.now().Add(wait), r
	}
	if why := r.Error(); !i.told[why] && len(i.told) < maxTold {
		i.told[why] = true
		i.log.Warn("the store gives no keys to tables: engines need their own", "reason", why)
	}
	return r
}

// asError keeps a nil *Refusal from being an error.
func asError(r *Refusal) error {
	if r == nil {
		return nil
	}
	return r
}
