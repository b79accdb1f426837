package proof

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"headwater/projections"
	"headwater/projections/layout"
)

// Restore fills an empty store from the newest snapshot that this build can
// read, that belongs to this log, and whose content has the recorded hash.
// Follow continues from its position. Other snapshots are skipped with a log
// line, as are all of them if they cannot be listed: the history can be replayed
// instead. Restore does nothing if the store is not empty. It fails if the log
// cannot be read, if ctx is done, or if the folder could not be filled; the
// caller then closes the store.
func Restore(ctx context.Context, s *projections.Store, log projections.Log, from Snapshots) error {
	if s.Position() > 0 {
		return nil
	}
	first, last, identity, err := projections.StateOf(ctx, log)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	beside := s.Beside("restore")
	all, err := from.List(ctx)
	if err != nil {
		beside.Log.Warn("snapshots cannot be listed, history is replayed", "error", err)
	}
	newestFirst(all)
	for _, info := range all {
		err := usable(info, first, last, identity)
		if err == nil {
			err = fetch(ctx, info, from, beside)
		}
		if err == nil {
			if err := s.Replace(beside.Dir); err != nil {
				return fmt.Errorf("restore: %w", err)
			}
			beside.Log.Info("the projection begins from a snapshot", "sequence", info.Sequence, "made", info.Made)
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("restore: %w", context.Cause(ctx))
		}
		beside.Log.Warn("a snapshot is not used", "name", info.Name, "sequence", info.Sequence, "error", err)
	}
	return nil
}

func newestFirst(all []SnapshotInfo) {
	slices.SortFunc(all, func(a, b SnapshotInfo) int {
		return cmp.Or(cmp.Compare(b.Sequence, a.Sequence), b.Made.Compare(a.Made))
	})
}

// usable returns why a snapshot cannot be used, judging by its description, or
// nil.
func usable(info SnapshotInfo, first, last uint64, identity string) error {
	switch {
	case info.Layout != layout.Version:
		return fmt.Errorf("%w: its layout is %d, not %d", projections.ErrLayout, info.Layout, layout.Version)
	case info.Log != identity:
		return fmt.Errorf("%w: it is of one that was begun at %s, this one was at %s", projections.ErrOtherLog, info.Log, identity)
	case info.Sequence > last:
		return fmt.Errorf("%w: the log ends at %d", projections.ErrAhead, last)
	case first > info.Sequence+1:
		return fmt.Errorf("%w: it begins at %d", projections.ErrTruncated, first)
	}
	return nil
}

// fetch unpacks a snapshot beside the store and checks that its content matches
// the description.
func fetch(ctx context.Context, info SnapshotInfo, from Snapshots, beside projections.Options) (err error) {
	if err := beside.FS.RemoveAll(beside.Dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, beside.FS.RemoveAll(beside.Dir))
		}
	}()
	body, err := from.Get(ctx, info.Name)
	if err != nil {
		return err
	}
	if err := errors.Join(readArchive(beside.FS, beside.Dir, body), body.Close()); err != nil {
		return err
	}
	got, err := describe(ctx, beside)
	if err != nil {
		return err
	}
	if got.Sequence != info.Sequence || got.Hash != info.Hash || got.Log != info.Log {
		return fmt.Errorf("%w: it holds sequence %d with hash %s, written down were %d and %s", projections.ErrDamaged, got.Sequence, got.Hash, info.Sequence, info.Hash)
	}
	return nil
}
