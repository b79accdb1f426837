package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"headwater/projections/layout"
)

// RestoreSnapshot fills an empty store from the newest snapshot that this build can
// read, that belongs to this log, and whose content has the recorded hash.
// Follow continues from its position. Other snapshots are skipped with a log
// line, as are all of them if they cannot be listed: the history can be replayed
// instead. RestoreSnapshot does nothing if the store is not empty. It fails if the log
// cannot be read, if ctx is done, or if the folder could not be filled; the
// caller then closes the store.
func (s *Store) RestoreSnapshot(ctx context.Context, log Log, from Snapshots) error {
	if s.Position() > 0 {
		return nil
	}
	first, last, identity, err := state(ctx, log)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	all, err := from.List(ctx)
	if err != nil {
		s.log.Warn("snapshots cannot be listed, history is replayed", "error", err)
	}
	newestFirst(all)
	for _, info := range all {
		err := usable(info, first, last, identity)
		if err == nil {
			err = s.fetch(ctx, info, from)
		}
		if err == nil {
			return s.replace(info)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("restore: %w", context.Cause(ctx))
		}
		s.log.Warn("a snapshot is not used", "name", info.Name, "sequence", info.Sequence, "error", err)
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
		return fmt.Errorf("%w: its layout is %d, not %d", errLayout, info.Layout, layout.Version)
	case info.Log != identity:
		return fmt.Errorf("%w: it is of one that was begun at %s, this one was at %s", ErrOtherLog, info.Log, identity)
	case info.Sequence > last:
		return fmt.Errorf("%w: the log ends at %d", ErrAhead, last)
	case first > info.Sequence+1:
		return fmt.Errorf("%w: it begins at %d", ErrTruncated, first)
	}
	return nil
}

func (s *Store) scratch() string { return s.dir + "-restore" }

// fetch unpacks a snapshot beside the store and checks that its content matches
// the description.
func (s *Store) fetch(ctx context.Context, info SnapshotInfo, from Snapshots) (err error) {
	dir := s.scratch()
	if err := s.fs.RemoveAll(dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.fs.RemoveAll(dir))
		}
	}()
	body, err := from.Get(ctx, info.Name)
	if err != nil {
		return err
	}
	if err := errors.Join(readArchive(s.fs, dir, body), body.Close()); err != nil {
		return err
	}
	got, err := describe(ctx, s.options(dir))
	if err != nil {
		return err
	}
	if got.Sequence != info.Sequence || got.Hash != info.Hash || got.Log != info.Log {
		return fmt.Errorf("%w: it holds sequence %d with hash %s, written down were %d and %s", ErrDamaged, got.Sequence, got.Hash, info.Sequence, info.Hash)
	}
	return nil
}

// replace moves what fetch unpacked into the place of the empty store. After a
// crash half-way the next Open finds the folder empty or damaged and rebuilds
// it.
func (s *Store) replace(info SnapshotInfo) (err error) {
	s.write.Lock()
	defer s.write.Unlock()
	s.open.Lock()
	defer s.open.Unlock()
	if s.db == nil {
		return ErrClosed
	}
	err = s.db.Close()
	s.db = nil
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	dir := s.scratch()
	if err := empty(s.fs, s.dir); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	names, err := s.fs.List(dir)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	for _, name := range names {
		if name == "LOCK" {
			continue
		}
		if err := s.fs.Rename(s.fs.PathJoin(dir, name), s.fs.PathJoin(s.dir, name)); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
	}
	if err := errors.Join(s.fs.RemoveAll(dir), s.openChecked()); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	s.log.Info("the projection begins from a snapshot", "sequence", info.Sequence, "made", info.Made)
	return nil
}
