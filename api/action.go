package api

import (
	"context"
	"time"

	"headwater/api/idempotency"
	"headwater/api/web"
)

// actionTime bounds what an act may take.
const actionTime = time.Minute

// act carries a POST out that sends no command, in one go. What it makes, ids
// and secrets, derives from the seed: a request that is taken up again makes
// the same. settled says that it was carried out before and only its answer is
// wanted again.
type act func(h *Handler, ctx context.Context, r *request, s idempotency.Seed, settled bool) (*web.Answer, error)

// action answers such a POST, also one whose client has left meanwhile. An
// answer that shows a secret is not kept with the Idempotency-Key: a repeat
// composes it anew.
func (h *Handler) action(r *request) (*web.Answer, error) {
	shares := h.commandShares(r)
	if full := h.limits.Enter(1, shares...); full != nil {
		return nil, crowded(full)
	}
	defer h.limits.Leave(1, shares...)
	h.work.Add(1)
	defer h.work.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.http.Context()), actionTime)
	defer cancel()
	claim, again, err := h.claim(ctx, r)
	if again != nil || err != nil {
		return again, err
	}
	if claim.Settled() {
		a, err := r.route.act(h, ctx, r, claim.Seed(), true)
		if err == nil {
			a.Header.Set("Idempotency-Replayed", "true")
		}
		return a, err
	}
	s := claim.Seed()
	// One target and no answer is what claim.meet takes for one to compose anew.
	if err := claim.Begin(ctx, []idempotency.Target{{}}); err != nil {
		return nil, err
	}
	release := claim.Hold(ctx)
	a, err := r.route.act(h, ctx, r, s, false)
	release()
	if err == nil && r.route.unkept {
		claim.Settle(ctx)
	} else {
		claim.Finish(ctx, a)
	}
	return a, err
}
