package bus

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/wire"
)

const (
	// snapshotPiece is the size in bytes of one object of a snapshot. It limits
	// what is in flight to the broker and what a lost connection repeats.
	snapshotPiece = 8 << 20
	// snapshotStale is the age from which an object that belongs to no snapshot
	// is swept. A younger one may belong to a snapshot being stored.
	snapshotStale = 2 * time.Hour
	snapshotLimit = time.Hour // time to store a snapshot
	snapshotChunk = 512 << 10 // bytes, less than maxPayload

	aboutPieces = "pieces"
	aboutSize   = "size"
)

// Snapshot describes a stored snapshot of the read model.
type Snapshot struct {
	Name  string
	About map[string]string // attributes from whoever stored it
	Size  int64             // bytes
	Made  time.Time
}

// Snapshots stores snapshots in the object store HEADWATER_SNAPSHOTS, replicated
// and fsynced like the streams. It is safe for concurrent use, also from several
// nodes. Errors wrap ErrUnavailable, ErrKeyNotFound or ErrPoison.
//
// A snapshot consists of many objects and a last one, whose name has no dot,
// that makes it exist. nats.go's Put of one large object would hold up to 4,000
// chunks in memory, and would start again after a failure. Deleting an object
// leaves a marker for ever, so the marker is purged. Sweep removes what a dead
// process left unfinished.
type Snapshots struct {
	disk   *diskReserve
	store  jetstream.ObjectStore
	stream jetstream.Stream
}

// Snapshots returns the bus's snapshots.
func (b *Bus) Snapshots() *Snapshots { return b.snapshots }

// List returns the complete snapshots, in no particular order.
func (s *Snapshots) List(ctx context.Context) ([]Snapshot, error) {
	objects, err := s.objects(ctx)
	if err != nil {
		return nil, err
	}
	var all []Snapshot
	for _, o := range objects {
		if strings.Contains(o.Name, ".") {
			continue
		}
		size, err := strconv.ParseInt(o.Metadata[aboutSize], 10, 64)
		if err != nil {
			continue
		}
		all = append(all, Snapshot{Name: o.Name, About: o.Metadata, Size: size, Made: o.ModTime})
	}
	return all, nil
}

func (s *Snapshots) objects(ctx context.Context) ([]*jetstream.ObjectInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, wire.TransferLimit)
	defer cancel()
	objects, err := s.store.List(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil, fmt.Errorf("list snapshots: %w", wire.Unavailable(err))
	}
	return objects, nil
}

// Put stores a snapshot and returns nil when all of it is synced; until then
// List does not show it. Sweep removes what a failed Put left.
func (s *Snapshots) Put(ctx context.Context, about map[string]string, body io.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, snapshotLimit)
	defer cancel()
	name, size, pieces := wire.SecretName(), 0, 0
	for buffer := make([]byte, snapshotPiece); ; pieces++ {
		n, err := io.ReadFull(body, buffer)
		if n > 0 {
			if err := s.put(ctx, jetstream.ObjectMeta{Name: pieceName(name, pieces)}, buffer[:n]); err != nil {
				return err
			}
			size += n
		}
		if err == nil {
			continue
		}
		// Not errors.Is: a body that fails with a wrapped EOF has not ended.
		if err != io.EOF && err != io.ErrUnexpectedEOF {
			return fmt.Errorf("read the snapshot: %w", err)
		}
		if n > 0 {
			pieces++
		}
		break
	}
	about = maps.Clone(about)
	if about == nil {
		about = map[string]string{}
	}
	about[aboutPieces], about[aboutSize] = strconv.Itoa(pieces), strconv.Itoa(size)
	return s.put(ctx, jetstream.ObjectMeta{Name: name, Metadata: about}, []byte("snapshot"))
}

func (s *Snapshots) put(ctx context.Context, meta jetstream.ObjectMeta, body []byte) error {
	if err := s.disk.check(len(body)); err != nil {
		return fmt.Errorf("store a snapshot: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, wire.TransferLimit)
	defer cancel()
	meta.Opts = &jetstream.ObjectMetaOptions{ChunkSize: snapshotChunk}
	if _, err := s.store.Put(ctx, meta, bytes.NewReader(body)); err != nil {
		return fmt.Errorf("store a snapshot: %w", wire.Unavailable(err))
	}
	return nil
}

func pieceName(name string, piece int) string { return fmt.Sprintf("%s.%06d", name, piece) }

// Get returns a reader of a snapshot. Every byte that Read returns was checked
// against the piece's digest; a missing or different piece is ErrPoison. The
// caller closes the reader.
func (s *Snapshots) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	info, err := wire.Ask(ctx, func(ctx context.Context) (*jetstream.ObjectInfo, error) { return s.store.GetInfo(ctx, name) })
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, fmt.Errorf("snapshot %s: %w", name, ErrKeyNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", name, wire.Unavailable(err))
	}
	pieces, err := strconv.Atoi(info.Metadata[aboutPieces])
	if err != nil {
		return nil, fmt.Errorf("%w: snapshot %s does not say how long it is", ErrPoison, name)
	}
	return io.NopCloser(&snapshotReader{ctx: ctx, from: s, name: name, pieces: pieces}), nil
}

// snapshotReader fetches one piece after the other.
type snapshotReader struct {
	ctx    context.Context
	from   *Snapshots
	name   string
	next   int
	pieces int
	piece  []byte
}

func (r *snapshotReader) Read(p []byte) (int, error) {
	for len(r.piece) == 0 {
		if r.next == r.pieces {
			return 0, io.EOF
		}
		ctx, cancel := context.WithTimeout(r.ctx, wire.TransferLimit)
		piece, err := r.from.store.GetBytes(ctx, pieceName(r.name, r.next))
		cancel()
		switch {
		case errors.Is(err, jetstream.ErrObjectNotFound), errors.Is(err, jetstream.ErrDigestMismatch):
			return 0, fmt.Errorf("%w: piece %d of snapshot %s: %w", ErrPoison, r.next, r.name, err)
		case err != nil:
			return 0, fmt.Errorf("read snapshot %s: %w", r.name, wire.Unavailable(err))
		}
		r.piece = piece
		r.next++
	}
	n := copy(p, r.piece)
	r.piece = r.piece[n:]
	return n, nil
}

// Remove deletes a snapshot. A missing one is not an error.
func (s *Snapshots) Remove(ctx context.Context, name string) error {
	if err := s.remove(ctx, name); err != nil {
		return err
	}
	objects, err := s.objects(ctx)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if strings.HasPrefix(o.Name, name+".") {
			if err := s.remove(ctx, o.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove deletes an object and purges its deletion marker, since there would be
// one more with every snapshot.
func (s *Snapshots) remove(ctx context.Context, object string) error {
	ctx, cancel := context.WithTimeout(ctx, wire.TransferLimit)
	defer cancel()
	err := s.store.Delete(ctx, object)
	if err == nil {
		marker := "$O." + ObjectsSnapshots + ".M." + base64.URLEncoding.EncodeToString([]byte(object))
		err = s.stream.Purge(ctx, jetstream.WithPurgeSubject(marker))
	}
	if err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		return fmt.Errorf("remove snapshot %s: %w", object, wire.Unavailable(err))
	}
	return nil
}

// Sweep deletes objects that belong to no snapshot because a process died while
// storing one.
func (s *Snapshots) Sweep(ctx context.Context) error {
	return s.sweep(ctx, time.Now().Add(-snapshotStale))
}

func (s *Snapshots) sweep(ctx context.Context, before time.Time) error {
	objects, err := s.objects(ctx)
	if err != nil {
		return err
	}
	whole, chunks := map[string]bool{}, map[string]bool{}
	for _, o := range objects {
		whole[o.Name] = true
		chunks["$O."+ObjectsSnapshots+".C."+o.NUID] = true
	}
	for _, o := range objects {
		if of, _, piece := strings.Cut(o.Name, "."); piece && !whole[of] && o.ModTime.Before(before) {
			if err := s.remove(ctx, o.Name); err != nil {
				return err
			}
		}
	}
	info, err := wire.Ask(ctx, func(ctx context.Context) (*jetstream.StreamInfo, error) {
		return s.stream.Info(ctx, jetstream.WithSubjectFilter("$O."+ObjectsSnapshots+".C.>"))
	})
	if err != nil {
		return fmt.Errorf("sweep snapshots: %w", wire.Unavailable(err))
	}
	for subject := range info.State.Subjects {
		if chunks[subject] {
			continue
		}
		last, err := s.stream.GetLastMsgForSubject(ctx, subject)
		if err == nil && last.Time.Before(before) {
			err = s.stream.Purge(ctx, jetstream.WithPurgeSubject(subject))
		}
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return fmt.Errorf("sweep snapshots: %w", wire.Unavailable(err))
		}
	}
	return nil
}
