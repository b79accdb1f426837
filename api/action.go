package api

import (
	"context"
	"time"

	"headwater/api/idempotency"
	"headwater/api/web"
)

// actionTime is how long an act may take.
const actionTime = time.Minute

// act carries out a POST that sends no command. The ids and secrets it creates
// derive from the seed, so that a retry creates the same ones. settled means
// that the request was carried out before and only its answer is needed again.
type act func(h *Handler, ctx context.Context, r *request, s idempotency.Seed, settled bool) (*web.Answer, error)

// action runs the act of a route, even if the client disconnects meanwhile. An
// answer that shows a secret is not stored with the Idempotency-Key: a repeat
// composes it again.
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
	// claim.meet recognizes a plan of one target without a stored answer as an
	// act whose answer has to be composed again.
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
