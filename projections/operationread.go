package projections

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// Operation returns one operation of a workspace with its document. It returns
// ErrNotFound for an id that is not there, which may only mean that none of its
// events is applied yet.
func (s *Store) Operation(organization, workspace, id string) (o Operation, err error) {
	db, done, err := s.using()
	if err != nil {
		return o, err
	}
	defer done()
	snapshot := db.NewSnapshot()
	defer s.finish(snapshot, &err)
	v, err := s.get(snapshot, key(keyOperation, organization, workspace, id))
	if err != nil {
		return o, fmt.Errorf("operation %s: %w", id, err)
	}
	if o, err = decodeOperation(v); err != nil {
		return o, fmt.Errorf("operation %s: %w: %w", id, ErrDamaged, err)
	}
	_, doc, err := unframe(v)
	if err != nil {
		return o, err
	}
	prefix := key(keyTarget, organization, workspace, id)
	it, err := s.scan(snapshot, prefix)
	if err != nil {
		return o, err
	}
	defer s.finish(it, &err)
	o.JSON, err = withArray(doc, "targets", func(add func([]byte)) error {
		for ok := it.First(); ok; ok = it.Next() {
			doc, err := it.ValueAndErr()
			if err != nil {
				return s.fault(err)
			}
			target := Target{Index: int(binary.BigEndian.Uint32(it.Key()[len(prefix):]))}
			if err := json.Unmarshal(doc, &target); err != nil {
				return fmt.Errorf("target %d of operation %s: %w: %w", target.Index, id, ErrDamaged, err)
			}
			o.Targets = append(o.Targets, target)
			add(doc)
		}
		return s.fault(it.Error())
	})
	return o, err
}

// WaitOperation waits until the operation has ended, also when nothing is known
// of it yet, and returns it. When ctx ends first it returns what there is by
// then, the zero Operation if nothing, with the context's error.
func (s *Store) WaitOperation(ctx context.Context, organization, workspace, id string) (Operation, error) {
	// Asking to be woken before looking: the end is then seen or signalled.
	ended, stop := s.waiting.operation(string(key(keyOperation, organization, workspace, id)))
	defer stop()
	o, err := s.Operation(organization, workspace, id)
	if err == nil && o.Ended() || err != nil && !isNotFound(err) {
		return o, err
	}
	select {
	case <-ended:
		return s.Operation(organization, workspace, id)
	case <-s.closed:
		return o, ErrClosed
	case <-ctx.Done():
		if o, err = s.Operation(organization, workspace, id); err == nil && o.Ended() {
			return o, nil
		}
		return o, fmt.Errorf("wait for operation %s: %w", id, context.Cause(ctx))
	}
}
