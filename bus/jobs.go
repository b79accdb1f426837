package bus

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus/jobs"
)

// JobsConfig says how one command is passed to this process's workers.
type JobsConfig = jobs.Config

// Metadata of a dead letter, in addition to that of the message.
const (
	MetaDeadReason     = jobs.MetaDeadReason
	MetaDeadSequence   = jobs.MetaDeadSequence // sequence in the stream it came from
	MetaDeadDeliveries = jobs.MetaDeadDeliveries
)

// Jobs returns a Watermill subscriber for one command; each message goes to one
// worker of one node, as jobs.New documents. It returns command.ErrUnknown for a
// command that this build does not know, and ErrClosed after Close. The caller
// closes the subscriber.
func (b *Bus) Jobs(cfg JobsConfig) (message.Subscriber, error) { return jobs.New(b.workers(), cfg) }

// workers returns the bus as package jobs uses it.
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

// Outcomes is a Watermill middleware that passes a handler's error to the Jobs
// subscriber, so that Permanent and Snooze take effect, and turns a panic into
// an error that is retried. Add it as the router's last middleware, closest to
// the handler.
func Outcomes(h message.HandlerFunc) message.HandlerFunc { return jobs.Outcomes(h) }
