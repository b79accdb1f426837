package projections

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"headwater/projections/layout"
)

// SnapshotInfo describes a snapshot: a store as it was at one position.
type SnapshotInfo struct {
	Name     string // given by Snapshots
	Sequence uint64 // of the last event in it
	Hash     string // what Store.Hash says of it
	Layout   int    // of its keys; another build may have another
	Log      string // which log it followed
	Size     int64  // bytes, as kept
	Made     time.Time
}

// Snapshots keeps snapshots for every node of a cluster. The wiring adapts the
// bus to it.
type Snapshots interface {
	// List returns those that are whole, in any order.
	List(ctx context.Context) ([]SnapshotInfo, error)
	// Get reads one to its end. The caller closes it.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// Put keeps one durably; it reads body until io.EOF and gives it a name.
	Put(ctx context.Context, info SnapshotInfo, body io.Reader) error
	// Remove takes one away, Sweep what others left unfinished.
	Remove(ctx context.Context, name string) error
	Sweep(ctx context.Context) error
}

// Snapshot makes a snapshot of the store as it is now and keeps it. The copy is
// read whole, as Open does, and hashed before it is sent: what is wrong with the
// store is not spread. Reads and Apply go on meanwhile. It needs the store's
// folder beside its own, with "-snapshot" behind the name, on the same disk.
func (s *Store) Snapshot(ctx context.Context, to Snapshots) (info SnapshotInfo, err error) {
	dir := s.dir + "-snapshot"
	if err := s.fs.RemoveAll(dir); err != nil {
		return info, fmt.Errorf("snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, s.fs.RemoveAll(dir)) }()
	if err := s.checkpoint(dir); err != nil {
		return info, fmt.Errorf("snapshot: %w", s.fault(err))
	}
	if info, err = describe(ctx, s.options(dir)); err != nil {
		return info, fmt.Errorf("snapshot: %w", err)
	}
	if info.Sequence == 0 || info.Log == "" {
		return info, fmt.Errorf("snapshot: %w: nothing is applied yet", ErrNotFound)
	}
	body, writer := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		writer.CloseWithError(writeArchive(s.fs, dir, writer))
	}()
	err = to.Put(ctx, info, body)
	_ = body.Close() // ends the writer if Put stopped reading
	<-written
	if err != nil {
		return info, fmt.Errorf("snapshot at %d: %w", info.Sequence, err)
	}
	return info, nil
}

// checkpoint links the files of the store as they are now. Without a write-ahead
// log only what is flushed is in them.
func (s *Store) checkpoint(dir string) error {
	db, done, err := s.using()
	if err != nil {
		return err
	}
	defer done()
	if err := db.Flush(); err != nil {
		return err
	}
	return db.Checkpoint(dir)
}

// options are those of a store beside this one that is read once.
func (s *Store) options(dir string) Options {
	return Options{Dir: dir, FS: s.fs, Cache: 8 << 20, Log: s.log}
}

// describe reads a store whole and says what is in it.
func describe(ctx context.Context, opts Options) (info SnapshotInfo, err error) {
	s, err := openSound(opts)
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	log, err := s.identity()
	if err != nil {
		return info, err
	}
	info = SnapshotInfo{Sequence: s.Position(), Layout: layout.Version, Log: string(log)}
	info.Hash, err = s.Hash(ctx)
	return info, err
}
