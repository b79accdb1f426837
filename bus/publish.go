package bus

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/event"
	"headwater/bus/groupcommit"
	"headwater/bus/wire"
)

// publisher implements Watermill's Publisher. It publishes messages one after
// the other and waits for each confirmation.
type publisher struct{ bus *Bus }

// Publisher returns a Watermill publisher whose topics are subjects. Publish
// returns nil when every message is stored and synced, or an error that wraps
// ErrUnavailable if that is unknown. A message published again with the same
// UUID within ten minutes is stored once. The message's context limits the wait.
// Close does nothing: the connection belongs to the bus.
func (b *Bus) Publisher() message.Publisher { return publisher{b} }

func (p publisher) Publish(topic string, messages ...*message.Message) error {
	for _, msg := range messages {
		if _, err := p.bus.store(msg.Context(), topic, msg); err != nil {
			return err
		}
	}
	return nil
}

func (publisher) Close() error { return nil }

// store publishes one message and waits until it is durable. headers are headers
// for the broker.
func (b *Bus) store(ctx context.Context, subject string, msg *message.Message, headers ...string) (*jetstream.PubAck, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wire.PublishWait)
		defer cancel()
	}
	if err := b.disk.check(len(msg.Payload)); err != nil {
		return nil, fmt.Errorf("publish %s: %w", subject, err)
	}
	out, err := (&wmnats.NATSMarshaler{}).Marshal(subject, msg)
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", subject, err)
	}
	if len(out.Data) > MaxInline {
		ref, err := b.bodies.Put(ctx, out.Data)
		if err != nil {
			return nil, fmt.Errorf("publish %s: %w", subject, err)
		}
		out.Header.Set(event.HeaderDataRef, ref)
		out.Data = nil
	}
	out.Header.Set(nats.MsgIdHdr, dedupID(subject, msg.UUID))
	// A message that came in a batch is sent on by itself.
	groupcommit.Unmark(out.Header)
	for i := 0; i < len(headers); i += 2 {
		out.Header.Set(headers[i], headers[i+1])
	}
	store := b.appendPlain
	if g := b.groups[streamOf(subject)]; g != nil {
		store = g.Store
	}
	ack, err := store(ctx, out)
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", subject, wire.Unavailable(err))
	}
	return ack, nil
}

// dedupID returns the id by which the broker detects repeats. Detection spans
// the whole stream, so the id includes the subject.
func dedupID(subject, id string) string {
	sum := sha256.Sum256([]byte(subject + "\x00" + id))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
