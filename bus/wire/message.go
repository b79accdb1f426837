package wire

import (
	"fmt"
	"strconv"

	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/command"
	"headwater/bus/event"
)

// Metadata that subscribers add to a received message.
const (
	MetaSubject    = "headwater-subject"    // subject on which the message was published
	MetaSequence   = "headwater-sequence"   // its sequence in the stream, decimal
	MetaDeliveries = "headwater-deliveries" // number of deliveries so far, from 1, decimal
)

// EventOf decodes the event of a message from the Ordered subscriber, with its
// sequence. It returns event.ErrUnknown for an event that this build does not
// know, which a reader of all events should skip, and ErrPoison for one that no
// build can read.
func EventOf(msg *message.Message) (*event.Event, error) {
	e, err := event.Parse(msg.Metadata.Get, msg.Payload)
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", msg.UUID, err)
	}
	// The subject decides who may read an event, so the body must not claim
	// another address.
	if subject := msg.Metadata.Get(MetaSubject); subject != "" && !e.Address().Publishes(subject, e.Name()) {
		return nil, fmt.Errorf("%w: event of %s on subject %s", ErrPoison, e.Subject(), subject)
	}
	e.Sequence = Number(msg, MetaSequence)
	return e, nil
}

// CommandOf decodes the command of a message from a Jobs subscriber, with the
// number of its deliveries. It fails as EventOf does.
func CommandOf(msg *message.Message) (*command.Command, error) {
	c, err := command.Parse(msg.Metadata.Get, msg.Payload)
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", msg.UUID, err)
	}
	if subject := msg.Metadata.Get(MetaSubject); subject != "" && subject != c.Subject() {
		return nil, fmt.Errorf("%w: command of %s on subject %s", ErrPoison, c.Subject(), subject)
	}
	c.Deliveries = Number(msg, MetaDeliveries)
	return c, nil
}

// Number returns a decimal from the metadata, or 0 if it is missing.
func Number(msg *message.Message, key string) uint64 {
	n, err := strconv.ParseUint(msg.Metadata.Get(key), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Receive converts a message from JetStream into a Watermill message. If the
// marshaler refuses it, for example because of a repeated header, Receive
// returns ErrPoison together with a message made of the first values, so that it
// can be stored.
func Receive(in jetstream.Msg) (*message.Message, *jetstream.MsgMetadata, error) {
	meta, err := in.Metadata()
	if err != nil {
		return nil, nil, fmt.Errorf("message without JetStream metadata: %w", err)
	}
	msg, err := (&wmnats.NATSMarshaler{}).Unmarshal(&nats.Msg{Subject: in.Subject(), Header: in.Headers(), Data: in.Data()})
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrPoison, err)
		msg = message.NewMessage(in.Headers().Get(wmnats.WatermillUUIDHdr), in.Data())
		for k := range in.Headers() {
			msg.Metadata.Set(k, in.Headers().Get(k))
		}
	}
	msg.Metadata.Set(MetaSubject, in.Subject())
	msg.Metadata.Set(MetaSequence, strconv.FormatUint(meta.Sequence.Stream, 10))
	msg.Metadata.Set(MetaDeliveries, strconv.FormatUint(meta.NumDelivered, 10))
	return msg, meta, err
}
