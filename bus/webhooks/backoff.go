package webhooks

import (
	"math/rand/v2"
	"time"
)

// backoff returns how long to wait after that many failures in a row: doubled
// with each from base up to limit, and between half and the whole of it, so
// that receivers that come back are not met by everybody at once.
func backoff(failures int, base, limit time.Duration) time.Duration {
	d := base
	for i := 1; i < failures && d < limit; i++ {
		d *= 2
	}
	d = min(d, limit)
	return d/2 + rand.N(d/2+1)
}
