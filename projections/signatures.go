package projections

import (
	"context"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/bus/event"
)

// Options says where a Store lives.
type Options struct {
	Dir   string       // its folder, made if missing
	FS    vfs.FS       // nil for the operating system's
	Cache int64        // bytes of block cache, 0 for the default of 64 MiB
	Log   *slog.Logger // nil discards
}

// Log is the history that Follow folds. The wiring adapts the bus to it.
type Log interface {
	// State returns the first and last sequence that the stream holds and when
	// the stream was created.
	State(ctx context.Context) (first, last uint64, created time.Time, err error)
	// Ordered returns a subscriber to the events after that sequence, in order.
	// Follow closes it.
	Ordered(after uint64) message.Subscriber
	// Decode reads a message. The sequence is valid also when err is not nil;
	// an event that cannot be read is skipped, by every node alike.
	Decode(msg *message.Message) (sequence uint64, e *event.Event, err error)
}

// Store is the read model.
type Store struct{}

func Open(opts Options) (*Store, error)                                   { return nil, ErrClosed }
func (s *Store) Close() error                                             { return nil }
func (s *Store) Apply(events ...*event.Event) error                       { return ErrClosed }
func (s *Store) Follow(ctx context.Context, log Log) error                { return ErrClosed }
func (s *Store) Ready() <-chan struct{}                                   { return nil }
func (s *Store) Err() error                                               { return ErrClosed }
func (s *Store) Position() uint64                                         { return 0 }
func (s *Store) Wait(ctx context.Context, sequence uint64) error          { return ErrClosed }
func (s *Store) SequenceAt(at time.Time) (uint64, error)                  { return 0, ErrClosed }
func (s *Store) Source(a event.Address) (Source, error)                   { return Source{}, ErrClosed }
func (s *Store) SourceDoc(a event.Address) (doc []byte, err error)        { return nil, ErrClosed }
func (s *Store) Landed(a event.Address, table string) (Landed, error)     { return Landed{}, ErrClosed }
func (s *Store) List(q ListQuery) (Page, error)                           { return Page{}, ErrClosed }
func (s *Store) Sources(q ListQuery) (all []Source, next string, e error) { return nil, "", ErrClosed }
func (s *Store) ListVersion(org, workspace, owner string) (version uint64, count int, err error) {
	return 0, 0, ErrClosed
}
func (s *Store) FindSource(org, workspace, owner, name string) (src Source, incarnation uint64, found bool, err error) {
	return src, 0, false, ErrClosed
}
func (s *Store) Schema(a event.Address, asOf uint64) (Schema, error) { return Schema{}, ErrClosed }
func (s *Store) SchemaPage(q SchemaQuery) (SchemaPage, error)        { return SchemaPage{}, ErrClosed }
func (s *Store) SchemaHistory(a event.Address, limit int, cursor string) (Page, error) {
	return Page{}, ErrClosed
}
func (s *Store) Sync(org, workspace, id string) (Sync, error) { return Sync{}, ErrClosed }
func (s *Store) Syncs(q SyncQuery) (Page, error)              { return Page{}, ErrClosed }
func (s *Store) Operation(org, workspace, id string) (Operation, error) {
	return Operation{}, ErrClosed
}
func (s *Store) WaitOperation(ctx context.Context, org, workspace, id string) (Operation, error) {
	return Operation{}, ErrClosed
}
func (s *Store) WatchSource(ctx context.Context, a event.Address) <-chan struct{} { return nil }
func (s *Store) Hash(ctx context.Context) (string, error)                         { return "", ErrClosed }
