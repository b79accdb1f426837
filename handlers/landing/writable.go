package landing

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
)

// probeEvery is how long the answer of Writable counts.
const probeEvery = 30 * time.Second

// probeLimit bounds what Writable asks of a bucket.
const probeLimit = 10 * time.Second

// probe is the newest answer of Writable.
type probe struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

// Writable tries whether a file can be made in the lake and removed again, at
// most every 30 s; between, it returns what it found last. The error is an
// ErrStorage with the store's own words.
func (l *Lake) Writable() error {
	l.probe.mu.Lock()
	defer l.probe.mu.Unlock()
	if now := l.now(); l.probe.at.IsZero() || now.Sub(l.probe.at) >= probeEvery {
		// A store that is silent must not hold up who asks.
		ctx, cancel := context.WithTimeout(context.Background(), probeLimit)
		defer cancel()
		l := l.within(ctx)
		name := l.root + "/" + "headwater-probe-" + uuid.NewString()
		err := storage("write a file to the lake", l.files.WriteFile(name, []byte("can be removed\n")))
		if err == nil {
			err = remove(l.files, name)
		}
		l.probe.at, l.probe.err = now, err
	}
	return l.probe.err
}
