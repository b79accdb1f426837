package ownership

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

// Claim is Own for a start that must not wait for a store: it returns
// parts.ErrStorage if the lake has not answered within the limit, and then every
// write asks again first, by Claimed. Other errors are Own's. Call it once, before
// anything else uses the lake.
func (o *Owner) Claim(ctx context.Context, home string, limit time.Duration) error {
	o.claim.home = home
	o.claim.asked.Store(true)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return o.Claimed(ctx)
}

// Claimed returns nil if the lake is known to belong to this catalog. If that is not
// known yet it calls Own, one caller at a time, and returns its error. Without a
// Claim before, it returns nil. It is safe for concurrent use.
func (o *Owner) Claimed(ctx context.Context) error {
	if !o.claim.asked.Load() || o.claim.owned.Load() {
		return nil
	}
	select {
	case o.claim.turn <- struct{}{}:
		defer func() { <-o.claim.turn }()
	case <-ctx.Done():
		err := ctx.Err()
		if last := o.claim.last.Load(); last != nil {
			err = errors.Join(*last, err)
		}
		return storage.Wrap("wait for the lake's marker", err)
	}
	if o.claim.owned.Load() {
		return nil
	}
	err := o.Own(ctx, o.claim.home)
	o.claim.last.Store(&err)
	o.claim.owned.Store(err == nil)
	return err
}
