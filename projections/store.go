// Package projections is the read model: it folds the log of events into a
// Pebble store, one on every node, and answers every read from it. Documents are
// kept as the JSON that clients are shown and written through without decoding.
// The store is a cache of the log: it can be deleted at any time and comes back
// the same. DESIGN.md says why it is built as it is.
package projections

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/projections/fold"
	"headwater/projections/layout"
)

// Options says where a Store lives.
type Options struct {
	Dir   string       // its folder, made if missing; it must hold nothing else
	FS    vfs.FS       // nil for the operating system's
	Cache int64        // bytes of block cache, 0 for the default of 64 MiB
	Log   *slog.Logger // nil discards
}

// Store is the read model. Its methods may be called concurrently; Apply and
// Follow take turns.
type Store struct {
	log     *slog.Logger
	fs      vfs.FS
	dir     string
	cache   int64
	still   bool // no compactions: it is opened to be read once
	lock    *pebble.Lock
	damaged atomic.Bool

	compactions *compactions

	open   sync.RWMutex  // held for reading while db is used, for writing by Close
	db     *pebble.DB    // nil after Close
	closed chan struct{} // by Close, first

	closing sync.Once

	write     sync.Mutex   // one Apply at a time
	cells     *fold.Cache  // what Apply has decoded; guarded by write, as the next
	batchSize int          // bytes of the batch before
	exists    *fold.Filter // nil for a store that is opened to be read once
	position  atomic.Uint64
	waiting   waiting
	pages     pageCache

	readyMu sync.Mutex
	ready   chan struct{} // closed when caught up, a new one after reset
}

// Open opens the store in opts.Dir, or makes an empty one. A store that is
// damaged or of another layout is emptied, which is logged: Follow fills it
// again. It returns ErrInUse while another process has it open. The caller
// closes the Store.
func Open(opts Options) (*Store, error) { return open(opts, (*Store).openOrRebuild) }

// openSound is Open, but returns what is wrong with a store instead of emptying
// it.
func openSound(opts Options) (*Store, error) {
	return open(opts, func(s *Store) error { s.still = true; return s.openVerified() })
}

func open(opts Options, begin func(*Store) error) (*Store, error) {
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Cache <= 0 {
		opts.Cache = 64 << 20
	}
	if err := opts.FS.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open projection: %w", err)
	}
	lock, err := pebble.LockDirectory(opts.Dir, opts.FS)
	if err != nil {
		return nil, fmt.Errorf("open projection %s: %w: %w", opts.Dir, ErrInUse, err)
	}
	s := &Store{
		log: opts.Log, fs: opts.FS, dir: opts.Dir, cache: opts.Cache, lock: lock,
		closed: make(chan struct{}), ready: make(chan struct{}),
	}
	if err := begin(s); err != nil {
		return nil, errors.Join(fmt.Errorf("open projection %s: %w", opts.Dir, err), lock.Close())
	}
	return s, nil
}

// openVerified opens the database and reads all of it.
func (s *Store) openVerified() (err error) {
	if s.db, err = s.openDB(); err != nil {
		return err
	}
	if s.exists = nil; !s.still {
		s.exists = fold.NewFilter()
	}
	if err = s.verify(); err != nil {
		// A store that cannot be read is not closed cleanly either.
		err = errors.Join(err, s.db.Close())
		s.db = nil
		return err
	}
	s.cells = fold.NewCache(s.exists)
	s.pages.reset()
	return nil
}

// openOrRebuild opens the database, and empties the folder when what is there
// cannot be trusted.
func (s *Store) openOrRebuild() error {
	err := s.openVerified()
	if err == nil || refusesRebuild(err) {
		return err
	}
	s.log.Error("the projection cannot be trusted and is rebuilt from the log", "dir", s.dir, "error", err)
	if err := empty(s.fs, s.dir); err != nil {
		return err
	}
	s.damaged.Store(false)
	return s.openVerified()
}

func (s *Store) openDB() (*pebble.DB, error) {
	cache := pebble.NewCache(s.cache)
	defer cache.Unref()
	opts := &pebble.Options{
		FS:                    s.fs,
		Lock:                  s.lock,
		Cache:                 cache,
		Logger:                pebbleLog{s.log},
		FormatMajorVersion:    pebble.FormatNewest,
		MemTableSize:          32 << 20,
		DisableWAL:            true, // the log is the write-ahead log
		L0CompactionThreshold: 4,

		MemTableStopWritesThreshold: 4,
		L0StopWritesThreshold:       1000, // a replay leaves many, which must not stop what comes next

		DisableAutomaticCompactions: s.still,
		EventListener: &pebble.EventListener{
			DataCorruption:  func(pebble.DataCorruptionInfo) { s.damaged.Store(true) },
			BackgroundError: func(err error) { s.log.Error("projection", "error", err) },
		},
	}
	s.compactions = newCompactions()
	opts.Experimental.CompactionScheduler = s.compactions
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	return pebble.Open(s.dir, opts)
}

// Close stops every wait with ErrClosed and releases the folder. It is safe to
// call twice. It waits for reads that are under way.
func (s *Store) Close() error {
	s.closing.Do(func() { close(s.closed) }) // ends waits, and a replay
	s.write.Lock()
	defer s.write.Unlock()
	s.open.Lock()
	defer s.open.Unlock()
	if s.lock == nil {
		return nil
	}
	var err error
	if s.db != nil && s.Err() == nil {
		err = s.db.Flush() // the next start goes on from here
	}
	if s.db != nil { // nil after a Restore that failed
		err = errors.Join(err, s.db.Close())
		s.db = nil
	}
	err = errors.Join(err, s.lock.Close())
	if s.lock = nil; err != nil {
		return fmt.Errorf("close projection: %w", err)
	}
	return nil
}

// Err returns ErrDamaged once stored bytes failed their checksum, nil before.
func (s *Store) Err() error {
	if s.damaged.Load() {
		return ErrDamaged
	}
	return nil
}

// Position returns the sequence up to which the log is applied.
func (s *Store) Position() uint64 { return s.position.Load() }

// using returns the database for the duration of one read; the caller calls
// done exactly when err is nil.
func (s *Store) using() (db *pebble.DB, done func(), err error) {
	s.open.RLock()
	if s.db == nil {
		s.open.RUnlock()
		return nil, nil, ErrClosed
	}
	if err := s.Err(); err != nil {
		s.open.RUnlock()
		return nil, nil, err
	}
	return s.db, s.open.RUnlock, nil
}

// fault gives an error of Pebble its meaning.
func (s *Store) fault(err error) error {
	if err == nil || errors.Is(err, ErrDamaged) {
		return err
	}
	if pebble.IsCorruptionError(err) {
		s.damaged.Store(true)
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// get returns a copy of what lies under a key, ErrNotFound if nothing does.
func (s *Store) get(db pebble.Reader, k []byte) ([]byte, error) {
	v, closer, err := db.Get(k)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, s.fault(err)
	}
	v = append([]byte(nil), v...)
	return v, closer.Close()
}

// scan returns an iterator over the keys with that prefix. The caller closes
// it and asks its Error.
func (s *Store) scan(db pebble.Reader, prefix []byte) (*pebble.Iterator, error) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: layout.After(prefix)})
	return it, s.fault(err)
}

// finish closes an iterator and returns the first error of it.
func (s *Store) finish(it io.Closer, err *error) {
	if closeErr := s.fault(it.Close()); *err == nil {
		*err = closeErr
	}
}

// pebbleLog tells the operator what Pebble complains about.
type pebbleLog struct{ log *slog.Logger }

func (l pebbleLog) Infof(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }
func (l pebbleLog) Errorf(format string, args ...any) {
	l.log.Error("projection", "error", fmt.Sprintf(format, args...))
}

// Fatalf panics: Pebble does not expect to go on, and its own choice, to end the
// process, would take the rest of the node with it unseen.
func (l pebbleLog) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
