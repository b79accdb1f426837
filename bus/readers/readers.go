// Package readers reads the log of events in order from a sequence: live, for one
// or for many who follow at once, in pages of the past, and as a replay of a known
// stretch. Readers keep their own positions; nothing is acknowledged.
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

// Broker is what readers need of the bus.
type Broker struct {
	// JS makes consumers over Conn: the bulk of what they read must not delay an ack.
	JS     jetstream.JetStream
	Conn   *nats.Conn
	Events jetstream.Stream
	// Embedded says that the broker is in this process: its log has no gaps.
	Embedded    bool
	Reconnected *wire.Signal // raised when a lost connection stands again
	Bodies      *wire.Bodies
	// Synced waits until a message of a stream is on disk, and returns false when
	// ctx ended before.
	Synced func(ctx context.Context, stream string, sequence uint64) bool
	// Track remembers a reader until Untrack, so that it is closed before the
	// connection is; it returns wire.ErrClosed after that.
	Track   func(io.Closer) error
	Untrack func(io.Closer)
	Log     *slog.Logger
}

// Readers reads the log. It may be used concurrently.
type Readers struct {
	broker Broker
	past   *fairqueue.Queue // of readers of the past
	feed   *feed
}

// New returns the readers of a broker's log. They start nothing until somebody
// reads.
func New(broker Broker) *Readers {
	r := &Readers{broker: broker, past: fairqueue.New(pastReaders, pastEach, 0)}
	r.feed = newFeed(r)
	return r
}
