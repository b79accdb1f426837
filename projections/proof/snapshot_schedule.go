package proof

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"headwater/projections"
	"headwater/projections/layout"
)

// SnapshotPolicy says when a node makes a snapshot. All fields are required.
type SnapshotPolicy struct {
	Events uint64        // after this many events since the newest snapshot
	Age    time.Duration // or after this time, if there was any event
	Keep   int           // how many are kept
	Look   time.Duration // how often to check; nodes check at different moments
}

// KeepSnapshots makes a snapshot whenever the policy calls for one, and removes
// surplus ones, until ctx is done. Nodes of a cluster share snapshots, so one
// made by another node counts. A failure is logged and tried again at the next
// check.
func KeepSnapshots(ctx context.Context, s *projections.Store, to Snapshots, policy SnapshotPolicy) {
	began := time.Now()
	for {
		// Two nodes that check at the same moment would both make one.
		pause := policy.Look/2 + rand.N(policy.Look)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if err := makeIfDue(ctx, s, to, policy, began); err != nil && ctx.Err() == nil {
			s.Beside("").Log.Warn("a snapshot was not made, will try again", "error", err)
		}
	}
}

func makeIfDue(ctx context.Context, s *projections.Store, to Snapshots, policy SnapshotPolicy, began time.Time) error {
	all, err := to.List(ctx)
	if err != nil {
		return err
	}
	log, err := s.Identity()
	if err != nil {
		return err
	}
	newest := SnapshotInfo{Made: began}
	newestFirst(all)
	for _, info := range all {
		if info.Layout == layout.Version && info.Log == log {
			newest = info
			break
		}
	}
	position := s.Position()
	if position <= newest.Sequence || position-newest.Sequence < policy.Events && time.Since(newest.Made) < policy.Age {
		return nil
	}
	made, err := Snapshot(ctx, s, to)
	if err != nil {
		return errors.Join(err, to.Sweep(ctx))
	}
	s.Beside("").Log.Debug("made a snapshot", "sequence", made.Sequence)
	return errors.Join(removeSurplus(ctx, to, policy.Keep, log), to.Sweep(ctx))
}

// removeSurplus removes snapshots of other logs, and all but the newest few of
// each layout. It keeps one of every other layout, since a node of another
// version may start from it.
func removeSurplus(ctx context.Context, to Snapshots, keep int, log string) error {
	all, err := to.List(ctx)
	if err != nil {
		return err
	}
	newestFirst(all)
	kept := map[int]int{}
	for _, info := range all {
		limit := 1
		if info.Layout == layout.Version {
			limit = keep
		}
		if info.Log == log && kept[info.Layout] < limit {
			kept[info.Layout]++
			continue
		}
		if err := to.Remove(ctx, info.Name); err != nil {
			return fmt.Errorf("remove snapshot %s: %w", info.Name, err)
		}
	}
	return nil
}
