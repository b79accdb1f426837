package landing

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"headwater/handlers/landing/storage"
)

// claim is the ownership that a lake may not have yet.
type claim struct {
	asked atomic.Bool // Claim was called
	owned atomic.Bool
	home  string
	turn  chan struct{} // held by whoever asks the store
	last  atomic.Pointer[error]
}

// Claim is Own for a start that must not wait for a store: it returns ErrStorage
// when the lake has not answered within the limit, and then every Begin and Drop
// asks again before it does anything. Other errors are Own's. It is called once,
// before anything else uses the lake.
func (l *Lake) Claim(ctx context.Context, home string, limit time.Duration) error {
	l.claim.home = home
	l.claim.asked.Store(true)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return l.Claimed(ctx)
}

// Claimed returns nil once the lake belongs to this catalog, and asks the store
// if that is not known yet; else it returns Own's error. Without a Claim there
// is nothing to know. It is safe for concurrent use.
func (l *Lake) Claimed(ctx context.Context) error {
	if !l.claim.asked.Load() || l.claim.owned.Load() {
		return nil
	}
	select {
	case l.claim.turn <- struct{}{}:
		defer func() { <-l.claim.turn }()
	case <-ctx.Done():
		err := ctx.Err()
		if last := l.claim.last.Load(); last != nil {
			err = errors.Join(*last, err)
		}
		return storage.Wrap("wait for the lake's marker", err)
	}
	if l.claim.owned.Load() {
		return nil
	}
	err := l.Own(ctx, l.claim.home)
	l.claim.last.Store(&err)
	l.claim.owned.Store(err == nil)
	return err
}
