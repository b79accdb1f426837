package ownership

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"headwater/handlers/landing/storage"
)

const (
	probeEvery = 30 * time.Second // how long a good answer of Writable counts
	badEvery   = 2 * time.Second  // and a bad one
	probeLimit = 10 * time.Second // what Writable asks of a bucket ends then
	probeWait  = 2 * time.Second  // whoever asks is told then that there is no answer yet
)

// probe is the newest answer of Writable.
type probe struct {
	mu    sync.Mutex
	at    time.Time
	err   error
	under chan struct{} // closed when the probe under way has its answer
}

// Writable returns nil if a file can be made in the lake and removed again. It tries
// at most every 30 s, or 2 s after a failure, and otherwise returns what it found
// last. It waits for at most 2 s, however long the store takes. The error is a
// parts.ErrStorage with the store's own words, or the *ForeignLakeError of Claimed.
func (o *Owner) Writable(ctx context.Context) error {
	p := o.probe
	p.mu.Lock()
	every := probeEvery
	if p.err != nil {
		every = badEvery
	}
	if p.under == nil && !p.at.IsZero() && o.now().Sub(p.at) < every {
		defer p.mu.Unlock()
		return p.err
	}
	if p.under == nil {
		p.under = make(chan struct{})
		go o.find(p.under)
	}
	under := p.under
	p.mu.Unlock()
	wait := time.NewTimer(probeWait)
	defer wait.Stop()
	select {
	case <-under:
	case <-wait.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.under == under {
		var last error
		if said := o.claim.last.Load(); said != nil {
			last = *said
		}
		return errors.Join(p.err, last, storage.Wrap("write a file to the lake", fmt.Errorf("no answer for %v: %w", probeWait, context.DeadlineExceeded)))
	}
	return p.err
}

// find finds out whether the lake can be written.
func (o *Owner) find(under chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), probeLimit)
	defer cancel()
	err := o.Claimed(ctx)
	if err == nil {
		o := o.within(ctx)
		name := o.root + "/" + "headwater-probe-" + uuid.NewString()
		if err = storage.Wrap("write a file to the lake", o.files().WriteFile(name, []byte("can be removed\n"))); err == nil {
			err = storage.Remove(o.files(), name)
		}
	}
	o.probe.mu.Lock()
	defer o.probe.mu.Unlock()
	o.probe.at, o.probe.err, o.probe.under = o.now(), err, nil
	close(under)
}
