package jobs

import (
	"context"
	"time"

	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/web"
)

// actionTime is how long an act may take.
const actionTime = time.Minute

// Act carries out a POST that sends no command. The ids and secrets it creates
// derive from the seed, so that a retry creates the same ones. settled means
// that the request was carried out before and only its answer is needed again.
type Act func(ctx context.Context, r *call.Request, s idempotency.Seed, settled bool) (*web.Answer, error)

// Act carries out an act, even if the client disconnects meanwhile. If the
// answer shows a secret, unkept, it is not stored with the Idempotency-Key: a repeat
// composes it again.
func (u *Runner) Act(r *call.Request, act Act, unkept bool) (*web.Answer, error) {
	shares := u.commandShares(r)
	if full := u.inFlight.Enter(1, shares...); full != nil {
		return nil, crowded(full)
	}
	defer u.inFlight.Leave(1, shares...)
	u.work.Add(1)
	defer u.work.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.HTTP.Context()), actionTime)
	defer cancel()
	claim, again, err := u.claim(ctx, r)
	if again != nil || err != nil {
		return again, err
	}
	if claim.Settled() {
		a, err := act(ctx, r, claim.Seed(), true)
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
	a, err := act(ctx, r, s, false)
	release()
	if err == nil && unkept {
		claim.Settle(ctx)
	} else {
		claim.Finish(ctx, a)
	}
	return a, err
}
