package bus

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus/jobs"
)

// JobsConfig says how one command is handed to this process's workers.
type JobsConfig = jobs.Config

// Metadata of a dead letter, beside everything the message carried.
const (
	MetaDeadReason     = jobs.MetaDeadReason
	MetaDeadSequence   = jobs.MetaDeadSequence // position in the stream it came from
	MetaDeadDeliveries = jobs.MetaDeadDeliveries
)

// Jobs returns a Watermill subscriber that hands out one command, each message
// to one worker of one node, as jobs.New says. It returns command.ErrUnknown for a
// command that this build does not know, and ErrClosed after Close.
func (b *Bus) Jobs(cfg JobsConfig) (message.Subscriber, error) { return jobs.New(b.workers(), cfg) }

// workers is the bus as workers use it.
func (b *Bus) workers() jobs.Broker {
	return jobs.Broker{
		JS: b.jobs, Conn: b.conns[1], Embedded: b.broker != nil, Reconnected: &b.back, Bodies: b.bodies, Postponed: b.buckets[bucketPostponed],
		Bury: func(ctx context.Context, subject string, letter *message.Message) error {
			_, err := b.store(ctx, SubjectDeadLetters+"."+subject, letter)
			return err
		},
		Synced: b.synced, Track: b.track, Untrack: b.untrack, Log: b.log,
	}
}

// Outcomes is a Watermill middleware: it tells the Jobs subscriber why a handler
// failed, so that Permanent and Snooze mean what they say, and turns a panic into
// an error that is retried. Add it as the router's last middleware, nearest to the
// handler.
func Outcomes(h message.HandlerFunc) message.HandlerFunc { return jobs.Outcomes(h) }
