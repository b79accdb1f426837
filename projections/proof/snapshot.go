package proof

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"headwater/projections"
	"headwater/projections/layout"
)

// SnapshotInfo describes a snapshot of a store at one position.
type SnapshotInfo struct {
	Name     string // assigned by Snapshots
	Sequence uint64 // of the last event in it
	Hash     string // Store.Hash of its content
	Layout   int    // Version of its layout; other builds may have other ones
	Log      string // identity of the log that it followed
	Size     int64  // bytes, as stored
	Made     time.Time
}

// Snapshots stores snapshots for all nodes of a cluster. The wiring adapts the
// bus to it.
type Snapshots interface {
	// List returns the complete snapshots, in any order.
	List(ctx context.Context) ([]SnapshotInfo, error)
	// Get returns a reader of one snapshot. The caller closes it.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// Put stores a snapshot durably under a name that it chooses. It reads body
	// until io.EOF.
	Put(ctx context.Context, info SnapshotInfo, body io.Reader) error
	// Remove deletes a snapshot. Sweep deletes what interrupted calls of Put
	// left.
	Remove(ctx context.Context, name string) error
	Sweep(ctx context.Context) error
}

// Snapshot stores a snapshot of the store as it is now. The copy is read whole
// and hashed before it is sent, so that a damaged store is not distributed.
// Reads and Apply continue meanwhile. Snapshot uses a folder beside the store's,
// with "-snapshot" appended, which must be on the same disk.
func Snapshot(ctx context.Context, s *projections.Store, to Snapshots) (info SnapshotInfo, err error) {
	beside := s.Beside("snapshot")
	if err := beside.FS.RemoveAll(beside.Dir); err != nil {
		return info, fmt.Errorf("snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, beside.FS.RemoveAll(beside.Dir)) }()
	if err := s.Checkpoint(beside.Dir); err != nil {
		return info, fmt.Errorf("snapshot: %w", err)
	}
	if info, err = describe(ctx, beside); err != nil {
		return info, fmt.Errorf("snapshot: %w", err)
	}
	if info.Sequence == 0 || info.Log == "" {
		return info, fmt.Errorf("snapshot: %w: nothing is applied yet", projections.ErrNotFound)
	}
	body, writer := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		writer.CloseWithError(writeArchive(beside.FS, beside.Dir, writer))
	}()
	err = to.Put(ctx, info, body)
	_ = body.Close() // ends the writer if Put has stopped reading
	<-written
	if err != nil {
		return info, fmt.Errorf("snapshot at %d: %w", info.Sequence, err)
	}
	return info, nil
}

// describe reads a whole store and returns its description.
func describe(ctx context.Context, opts projections.Options) (info SnapshotInfo, err error) {
	s, err := projections.OpenSound(opts)
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	log, err := s.Identity()
	if err != nil {
		return info, err
	}
	info = SnapshotInfo{Sequence: s.Position(), Layout: layout.Version, Log: log}
	info.Hash, err = s.Hash(ctx)
	return info, err
}
