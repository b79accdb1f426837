package proof

import (
	"context"
	"errors"
	"fmt"
	"time"

	"headwater/projections"
)

// auditFolder is appended to the name of the store's folder.
const auditFolder = "audit"

// AuditResult is the result of one audit.
type AuditResult struct {
	Sequence uint64 // up to which the store was compared with the log
	Took     time.Duration
	Ended    time.Time
	Drift    []string // tables that differ from the log; nil for none
}

// Audit folds the log from its first event into a second store and compares it with
// s table by table, as of the same position. It uses at most share of one
// processor. The second store has the folder of s with "-audit" appended, and is
// removed at the end; if the audit is interrupted, the next one continues with
// it. An error means that nothing was compared. Only one Audit may run at a
// time; cancel ctx before the store is closed.
func Audit(ctx context.Context, s *projections.Store, log projections.Log, share float64) (r AuditResult, err error) {
	began := time.Now()
	// Otherwise the audit would wait for a log that ends before the store.
	if err := s.Agree(ctx, log); err != nil {
		return r, fmt.Errorf("audit: %w", err)
	}
	fresh, err := openAudit(ctx, s, log)
	if err != nil {
		return r, fmt.Errorf("audit: %w", err)
	}
	done := false
	defer func() {
		err = errors.Join(err, fresh.Close())
		if done {
			beside := s.Beside(auditFolder)
			err = errors.Join(err, beside.FS.RemoveAll(beside.Dir))
		}
	}()
	p := newPace(share)
	// The fresh store is brought close to the end before the live one is hashed
	// and then exactly to its position: hashing keeps the files of its moment
	// from being compacted.
	if err := fresh.FoldTo(ctx, log, s.Position(), p.rest); err != nil {
		return r, fmt.Errorf("audit: %w", err)
	}
	position, live, err := s.HashesAt(ctx, p.rest)
	if err != nil {
		return r, fmt.Errorf("audit: %w", err)
	}
	if err := fresh.FoldTo(ctx, log, position, p.rest); err != nil {
		return r, fmt.Errorf("audit: %w", err)
	}
	reached, told, err := fresh.HashesAt(ctx, p.rest)
	if err != nil {
		return r, fmt.Errorf("audit: %w", err)
	}
	done = true
	if reached != position {
		return r, fmt.Errorf("audit: the log has no event %d, which the projection has applied", position)
	}
	return AuditResult{Sequence: position, Took: time.Since(began), Ended: time.Now(), Drift: projections.Differing(live, told)}, nil
}

// openAudit opens the store to compare with: that of an interrupted audit, if it
// followed this log and is not ahead of the live store, else an empty one.
func openAudit(ctx context.Context, s *projections.Store, log projections.Log) (*projections.Store, error) {
	first, _, identity, err := projections.StateOf(ctx, log)
	if err != nil {
		return nil, err
	}
	opts := s.Beside(auditFolder)
	fresh, err := projections.Open(opts)
	if err != nil {
		return nil, err
	}
	stored, err := fresh.Identity()
	if err != nil {
		return nil, errors.Join(err, fresh.Close())
	}
	if position := fresh.Position(); position > s.Position() || position > 0 && stored != identity {
		if err := errors.Join(fresh.Close(), opts.FS.RemoveAll(opts.Dir)); err != nil {
			return nil, err
		}
		if fresh, err = projections.Open(opts); err != nil {
			return nil, err
		}
	}
	if position := fresh.Position(); first > position+1 {
		return nil, errors.Join(fmt.Errorf("%w: it begins at %d, an audit begins at %d", projections.ErrTruncated, first, position+1), fresh.Close())
	}
	if err := fresh.Adopt(identity); err != nil {
		return nil, errors.Join(err, fresh.Close())
	}
	return fresh, nil
}
