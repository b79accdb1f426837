package api

import (
	"context"
	"time"
)

// actionTime bounds what an act may take.
const actionTime = time.Minute

// act carries a POST out that sends no command, in one go. What it makes, ids
// and secrets, derives from the seed: a request that is taken up again makes
// the same. settled says that it was carried out before and only its answer is
// wanted again.
type act func(h *Handler, ctx context.Context, r *request, s seed, settled bool) (*answer, error)

// action answers such a POST, also one whose client has left meanwhile. An
// answer that shows a secret is not kept with the Idempotency-Key: a repeat
// composes it anew.
func (h *Handler) action(r *request) (*answer, error) {
	shares := h.commandShares(r)
	if full := h.limits.enter(1, shares...); full != nil {
		return nil, crowded(full)
	}
	defer h.limits.leave(1, shares...)
	h.work.Add(1)
	defer h.work.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.http.Context()), actionTime)
	defer cancel()
	claim, again, err := h.claim(ctx, r)
	if again != nil || err != nil {
		return again, err
	}
	if claim.settled() {
		a, err := r.route.act(h, ctx, r, claim.record.Seed, true)
		if err == nil {
			a.header.Set("Idempotency-Replayed", "true")
		}
		return a, err
	}
	s := newSeed(time.Now())
	if claim != nil {
		s = claim.record.Seed
	}
	// One target and no answer is what claim.meet takes for one to compose anew.
	if err := claim.begin(ctx, []target{{}}); err != nil {
		return nil, err
	}
	release := claim.hold(ctx)
	a, err := r.route.act(h, ctx, r, s, false)
	release()
	if err == nil && r.route.unkept {
		claim.settle(ctx)
	} else {
		claim.finish(ctx, a)
	}
	return a, err
}
