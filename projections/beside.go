package projections

import "errors"

// Beside returns the options of a second store that is read once: its folder is
// that of s with "-" and what appended.
func (s *Store) Beside(what string) Options {
	return Options{Dir: s.dir + "-" + what, FS: s.fs, Cache: 8 << 20, Log: s.log}
}

// Dir returns the store's folder.
func (s *Store) Dir() string { return s.dir }

// OpenSound is Open, except that it returns an error for a damaged store instead
// of emptying it.
func OpenSound(opts Options) (*Store, error) {
	return open(opts, func(s *Store) error { s.still = true; return s.openChecked() })
}

// Checkpoint links the files of the store as they are now into a new folder on the
// same disk. There is no write-ahead log, so it flushes first.
func (s *Store) Checkpoint(dir string) error {
	db, done, err := s.using()
	if err != nil {
		return err
	}
	defer done()
	if err := db.Flush(); err != nil {
		return s.fault(err)
	}
	return s.fault(db.Checkpoint(dir))
}

// Replace moves the files of a closed store in dir into the place of the empty
// store, and removes dir. After a crash half-way the next Open finds the folder
// empty or damaged and rebuilds it; after an error the caller closes the store.
func (s *Store) Replace(dir string) (err error) {
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
		return err
	}
	if err := empty(s.fs, s.dir); err != nil {
		return err
	}
	names, err := s.fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == "LOCK" {
			continue
		}
		if err := s.fs.Rename(s.fs.PathJoin(dir, name), s.fs.PathJoin(s.dir, name)); err != nil {
			return err
		}
	}
	return errors.Join(s.fs.RemoveAll(dir), s.openChecked())
}
