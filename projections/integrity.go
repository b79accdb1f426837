package projections

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/projections/layout"
)

// checkStored reads every block of the store, which checks every checksum, and
// follows the marks to prove that no batch is missing between the first and the
// position. Pebble alone does not notice a missing batch: it takes a damaged
// manifest for a shorter one.
func (s *Store) checkStored() (err error) {
	defer func() {
		// Checksums cover the blocks, but not every length beside them.
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	stored, err := s.get(s.db, []byte{layout.KeyFollowed, 'l'})
	if errors.Is(err, ErrNotFound) {
		return s.mark()
	}
	if err != nil {
		return err
	}
	if got := layout.GetSequence(stored); got != layout.Version {
		return fmt.Errorf("%w: its layout is %d, not %d", ErrLayout, got, layout.Version)
	}
	position, err := s.readPosition()
	if err != nil {
		return err
	}
	through, err := s.readAll()
	if err != nil {
		return err
	}
	if through != position {
		return fmt.Errorf("%w: batches reach %d, the position is %d", ErrDamaged, through, position)
	}
	s.position.Store(position)
	return nil
}

// mark writes the layout's version into an empty store. Any content in a store
// without it counts as damage.
func (s *Store) mark() error {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return s.fault(err)
	}
	found := it.First()
	if err := s.fault(it.Close()); err != nil {
		return err
	}
	if found {
		return fmt.Errorf("%w: it has no layout", ErrDamaged)
	}
	s.position.Store(0)
	return s.db.Set([]byte{layout.KeyFollowed, 'l'}, layout.PutSequence(nil, layout.Version), pebble.NoSync)
}

func (s *Store) readPosition() (uint64, error) {
	v, err := s.get(s.db, []byte{layout.KeyPosition})
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return layout.GetSequence(v), err
}

// readAll reads every key and value, and returns the sequence up to which the
// marks have no gap.
func (s *Store) readAll() (through uint64, err error) {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return 0, s.fault(err)
	}
	defer s.finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		k := it.Key()
		v, err := it.ValueAndErr()
		if err != nil {
			return 0, s.fault(err)
		}
		if k[0] != layout.KeyMark {
			s.exists.Found(k)
			continue
		}
		if before := layout.GetSequence(v); before != through {
			return 0, fmt.Errorf("%w: a batch begins after %d, the one before ends at %d", ErrDamaged, before, through)
		}
		through = binary.BigEndian.Uint64(k[1:])
	}
	return through, s.fault(it.Error())
}

// refusesRebuild reports whether an error of Open says nothing about the stored
// content, so that emptying the folder would not help.
func refusesRebuild(err error) bool {
	for _, system := range []error{fs.ErrPermission, syscall.ENOSPC, syscall.EROFS, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		if errors.Is(err, system) {
			return true
		}
	}
	return false
}

// empty removes everything in the folder except its lock, which the caller
// holds.
func empty(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if err != nil {
		return fmt.Errorf("empty %s: %w", dir, err)
	}
	for _, name := range names {
		if name == "LOCK" {
			continue
		}
		if err := fsys.RemoveAll(fsys.PathJoin(dir, name)); err != nil {
			return fmt.Errorf("empty %s: %w", dir, err)
		}
	}
	return nil
}

// Adopt records which stream the empty store follows from now on.
func (s *Store) Adopt(identity string) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.db == nil {
		return ErrClosed
	}
	if err := s.db.Set([]byte{layout.KeyFollowed, 's'}, []byte(identity), pebble.NoSync); err != nil {
		return fmt.Errorf("begin the projection: %w", s.fault(err))
	}
	return nil
}
