package webhooks

import (
	"math/rand/v2"
	"time"
)

// backoff returns the delay after that many failures in a row. It doubles from
// base up to limit, and is then reduced by a random part of up to half, so that
// a receiver that recovers does not get everything at once.
func backoff(failures int, base, limit time.Duration) time.Duration {
	d := base
	for i := 1; i < failures && d < limit; i++ {
		d *= 2
	}
	d = min(d, limit)
	return d/2 + rand.N(d/2+1)
}
