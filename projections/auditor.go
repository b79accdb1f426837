package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// AuditPolicy says when a node audits its store. Every field is needed.
type AuditPolicy struct {
	First time.Duration // after the start
	Every time.Duration // after the end of the one before
	Share float64       // of one processor, above 0 and at most 1
}

// Auditor audits a store again and again and remembers what came of it. Its
// methods may be called concurrently, Run once.
type Auditor struct {
	store  *Store
	policy AuditPolicy

	mu   sync.Mutex
	last AuditResult
	lost error // why the last one could not read the whole log, nil if it could
}

// NewAuditor returns an Auditor that has not begun.
func NewAuditor(store *Store, policy AuditPolicy) *Auditor {
	return &Auditor{store: store, policy: policy}
}

// Run audits until ctx ends. What keeps an audit from its end is logged and
// tried again at the next time.
func (a *Auditor) Run(ctx context.Context, log Log) {
	for pause := a.policy.First; ; pause = a.policy.Every {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		r, err := a.store.Audit(ctx, log, a.policy.Share)
		if ctx.Err() != nil {
			return
		}
		a.mu.Lock()
		if a.lost = nil; errors.Is(err, ErrLost) {
			a.lost = err
		}
		a.mu.Unlock()
		if err != nil {
			a.store.log.Error("the projection could not be audited, will try again", "after", a.policy.Every, "error", err)
			continue
		}
		a.mu.Lock()
		a.last = r
		a.mu.Unlock()
		if err := a.Err(); err != nil {
			a.store.log.Error("audit", "error", err)
		} else {
			a.store.log.Debug("audit", "sequence", r.Sequence, "took", r.Took)
		}
	}
}

// Last returns what the last audit found that came to its end; zero before the
// first one.
func (a *Auditor) Last() AuditResult {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// Err returns ErrDrift, with the tables and what to do, when the last audit
// found the store to differ from the log, and ErrLost when it found that
// the log has lost an event.
func (a *Auditor) Err() error {
	a.mu.Lock()
	r, lost := a.last, a.lost
	a.mu.Unlock()
	if lost != nil {
		return lost
	}
	if len(r.Drift) == 0 {
		return nil
	}
	return fmt.Errorf("%w in %s, as of sequence %d: stop the node, remove %s and start it again, with --snapshot-events 0 where a snapshot may have been made of it", ErrDrift, strings.Join(r.Drift, ", "), r.Sequence, a.store.dir)
}
