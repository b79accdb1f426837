// Package readers reads the log of events in order from a sequence: live, for
// one reader or for many followers; in pages of the past; and as a replay of a
// known stretch. Readers store their own positions; nothing is acknowledged.
package readers

import (
	"context"
	"io"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/fairqueue"
	"headwater/bus/wire"
)

// Broker is what readers need of the bus. All fields are required.
type Broker struct {
	// JS creates consumers over Conn, apart from workers, whose acks must not be
	// delayed.
	JS     jetstream.JetStream
	Conn   *nats.Conn
	Events jetstream.Stream
	// Embedded means that the broker is in this process, so that its log has no
	// gaps.
	Embedded    bool
	Reconnected *wire.Signal // raised when a lost connection is re-established
	Bodies      *wire.Bodies
	// Synced waits until a message of a stream is on disk. It returns false if
	// ctx is done first.
	Synced func(ctx context.Context, stream string, sequence uint64) bool
	// Track registers a reader until Untrack, so that it is closed before the
	// connection is. It returns wire.ErrClosed afterwards.
	Track   func(io.Closer) error
	Untrack func(io.Closer)
	Log     *slog.Logger
}

// Readers reads the log. It is safe for concurrent use.
type Readers struct {
	broker Broker
	past   *fairqueue.Queue // for readers of the past
	feed   *feed
}

// New returns the readers of a broker's log. It starts nothing.
func New(broker Broker) *Readers {
	r := &Readers{broker: broker, past: fairqueue.New(pastReaders, pastEach, 0)}
	r.feed = newFeed(r)
	return r
}
