package proof

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"headwater/projections"
)

// AuditPolicy says when a node audits its store. All fields are required.
type AuditPolicy struct {
	First time.Duration // from the start to the first audit
	Every time.Duration // from the end of one audit to the next
	Share float64       // of one processor, above 0 and at most 1
}

// Auditor audits a store periodically and keeps the last result. Its methods are
// safe for concurrent use; Run may be called once.
type Auditor struct {
	store  *projections.Store
	policy AuditPolicy
	log    *slog.Logger

	mu   sync.Mutex
	last AuditResult
	lost error // why the last audit could not read the whole log; nil if it could
}

// NewAuditor returns an Auditor. It starts nothing; call Run.
func NewAuditor(store *projections.Store, policy AuditPolicy) *Auditor {
	return &Auditor{store: store, policy: policy, log: store.Beside("").Log}
}

// Run audits until ctx ends. What keeps an audit from its end is logged and
// tried again at the next time.
func (a *Auditor) Run(ctx context.Context, log projections.Log) {
	for pause := a.policy.First; ; pause = a.policy.Every {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		r, err := Audit(ctx, a.store, log, a.policy.Share)
		if ctx.Err() != nil {
			return
		}
		a.mu.Lock()
		if a.lost = nil; errors.Is(err, projections.ErrLost) {
			a.lost = err
		}
		a.mu.Unlock()
		if err != nil {
			a.log.Error("the projection could not be audited, will try again", "after", a.policy.Every, "error", err)
			continue
		}
		a.mu.Lock()
		a.last = r
		a.mu.Unlock()
		if err := a.Err(); err != nil {
			a.log.Error("audit", "error", err)
		} else {
			a.log.Debug("audit", "sequence", r.Sequence, "took", r.Took)
		}
	}
}

// Last returns the result of the last completed audit, or the zero AuditResult
// before the first.
func (a *Auditor) Last() AuditResult {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// Err returns an error that wraps ErrDrift if the last audit found that the
// store differs from the log, with the tables and what to do; one that wraps
// ErrLost if the log has lost an event; else nil.
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
	return fmt.Errorf("%w in %s, as of sequence %d: stop the node, remove %s and start it again, with --snapshot-events 0 where a snapshot may have been made of it", projections.ErrDrift, strings.Join(r.Drift, ", "), r.Sequence, a.store.Dir())
}
