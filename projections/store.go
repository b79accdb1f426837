// Package projections is the read model: it folds the log of events into a
// Pebble store on every node and answers all reads from it. Documents are stored
// as the JSON that the API returns, and are not decoded when read. The store is
// a cache of the log: if it is deleted, it is rebuilt with the same content.
// DESIGN.md gives the reasons for its structure.
package projections

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/projections/compactions"
	"headwater/projections/fold"
	"headwater/projections/layout"
	"headwater/projections/pagecache"
	"headwater/projections/waiters"
)

// Options configures a Store.
type Options struct {
	Dir   string       // its folder, created if missing; it must hold nothing else
	FS    vfs.FS       // nil for the operating system's
	Cache int64        // bytes of block cache; 0 for the default of 64 MiB
	Log   *slog.Logger // nil discards
}

// Store is the read model. Its methods are safe for concurrent use; Apply and
// Follow exclude each other.
type Store struct {
	log     *slog.Logger
	fs      vfs.FS
	dir     string
	cache   int64
	still   bool // without compactions: the store is opened to be read once
	lock    *pebble.Lock
	damaged atomic.Bool

	compactions *compactions.Scheduler

	open   sync.RWMutex  // held for reading while db is used, for writing by Close
	db     *pebble.DB    // nil after Close
	closed chan struct{} // closed by Close before anything else

	closing sync.Once

	write     sync.Mutex   // one Apply at a time
	cells     *fold.Cache  // values that Apply has decoded; guarded by write, as is the next field
	batchSize int          // bytes of the previous batch
	exists    *fold.Filter // nil for a store that is opened to be read once
	position  atomic.Uint64
	waiting   waiters.Waiters
	pages     pagecache.Cache

	readyMu sync.Mutex
	ready   chan struct{} // closed when the store has caught up; a new channel after setReady(false)
}

// Open opens the store in opts.Dir, or creates an empty one. A store that is
// damaged or has another layout is emptied, which is logged; Follow fills it
// again. Open returns ErrInUse if another process has the store open. The caller
// closes the Store.
func Open(opts Options) (*Store, error) { return open(opts, (*Store).openOrRebuild) }

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

// openChecked opens the database and reads all of it.
func (s *Store) openChecked() (err error) {
	if s.db, err = s.openDB(); err != nil {
		return err
	}
	if s.exists = nil; !s.still {
		s.exists = fold.NewFilter()
	}
	if err = s.checkStored(); err != nil {
		// A store that cannot be read cannot be closed cleanly either.
		err = errors.Join(err, s.db.Close())
		s.db = nil
		return err
	}
	s.cells = fold.NewCache(s.exists)
	s.pages.Reset()
	return nil
}

// openOrRebuild opens the database. If the content cannot be trusted, it empties
// the folder first.
func (s *Store) openOrRebuild() error {
	err := s.openChecked()
	if err == nil || refusesRebuild(err) {
		return err
	}
	s.log.Error("the projection cannot be trusted and is rebuilt from the log", "dir", s.dir, "error", err)
	if err := empty(s.fs, s.dir); err != nil {
		return err
	}
	s.damaged.Store(false)
	return s.openChecked()
}

func (s *Store) openDB() (*pebble.DB, error) {
	cache := pebble.NewCache(s.cache)
	defer cache.Unref()
	opts := &pebble.Options{
		FS:                    paced(s.fs),
		Lock:                  s.lock,
		Cache:                 cache,
		Logger:                pebbleLog{s.log},
		FormatMajorVersion:    pebble.FormatNewest,
		MemTableSize:          32 << 20,
		DisableWAL:            true, // the log of events serves as the write-ahead log
		L0CompactionThreshold: 4,

		MemTableStopWritesThreshold: 4,
		L0StopWritesThreshold:       1000, // a replay leaves many files in L0, which must not block the next writes

		DisableAutomaticCompactions: s.still,
		EventListener: &pebble.EventListener{
			DataCorruption:  func(pebble.DataCorruptionInfo) { s.damaged.Store(true) },
			BackgroundError: func(err error) { s.log.Error("projection", "error", err) },
		},
	}
	s.compactions = compactions.New()
	opts.Experimental.CompactionScheduler = s.compactions
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	return pebble.Open(s.dir, opts)
}

// Close ends every wait with ErrClosed, waits for reads in progress, and
// releases the folder. It may be called twice.
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
		err = s.flush() // the next start continues from here
	}
	if s.db != nil { // nil after a failed Replace
		err = errors.Join(err, s.db.Close())
		s.db = nil
	}
	err = errors.Join(err, s.lock.Close())
	if s.lock = nil; err != nil {
		return fmt.Errorf("close projection: %w", err)
	}
	return nil
}

// flushLimit is how long Close waits for a disk that does not take what is in memory.
const flushLimit = 10 * time.Second

// flush writes to disk what is in memory, or fails after flushLimit: Pebble tries again
// without an end. The next start takes from the log of events what is lost by that.
func (s *Store) flush() error {
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-flushed:
		return nil
	case <-time.After(flushLimit):
		return errors.New("its disk does not take the newest events, which the next start reads from the log again")
	}
}

// Err returns ErrDamaged once stored bytes have failed their checksum, else nil.
func (s *Store) Err() error {
	if s.damaged.Load() {
		return ErrDamaged
	}
	return nil
}

// Position returns the sequence up to which the log is applied.
func (s *Store) Position() uint64 { return s.position.Load() }

// using returns the database for the duration of one read. If err is nil the
// caller must call done.
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

// snapshot returns the database as it is at this moment. If err is nil the caller
// must call done, which sets its argument to the first error.
func (s *Store) snapshot() (db *pebble.Snapshot, done func(*error), err error) {
	live, release, err := s.using()
	if err != nil {
		return nil, nil, err
	}
	db = live.NewSnapshot()
	return db, func(err *error) {
		s.finish(db, err)
		release()
	}, nil
}

// fault translates an error of Pebble into one of this package.
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

// get returns a copy of the value under a key, or ErrNotFound.
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

// scan returns an iterator over the keys with that prefix. The caller closes it
// and checks its Error.
func (s *Store) scan(db pebble.Reader, prefix []byte) (*pebble.Iterator, error) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: layout.After(prefix)})
	return it, s.fault(err)
}

// finish closes an iterator and sets err to its first error.
func (s *Store) finish(it io.Closer, err *error) {
	if closeErr := s.fault(it.Close()); *err == nil {
		*err = closeErr
	}
}

// pebbleLog passes Pebble's messages to the operator's log.
type pebbleLog struct{ log *slog.Logger }

func (l pebbleLog) Infof(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }
func (l pebbleLog) Errorf(format string, args ...any) {
	l.log.Error("projection", "error", fmt.Sprintf(format, args...))
}

// Fatalf panics. Pebble expects it not to return, and Pebble's default, ending
// the process, would stop the rest of the node without a trace.
func (l pebbleLog) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
