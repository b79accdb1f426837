package bus

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/command"
	"headwater/bus/event"
)

const (
	publishTry  = 5 * time.Second  // until one publish counts as not confirmed
	publishWait = 15 * time.Second // for all tries, where the context has no deadline
)

// publisher is the Watermill side of publishing: one message after the other,
// each confirmed as stored.
type publisher struct{ bus *Bus }

// Publisher returns a Watermill publisher whose topics are subjects. Publish
// returns when every message is stored and synced, or an error that wraps
// ErrUnavailable when that is unknown; a message published again with the same
// UUID within ten minutes is stored once. The message's context bounds the
// wait. Closing it does nothing: the connection is the bus's.
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

// store publishes one message and waits until it is durable. headers are the
// broker's own.
func (b *Bus) store(ctx context.Context, subject string, msg *message.Message, headers ...string) (*jetstream.PubAck, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, publishWait)
		defer cancel()
	}
	if err := b.room.check(len(msg.Payload)); err != nil {
		return nil, fmt.Errorf("publish %s: %w", subject, err)
	}
	wire, err := (&wmnats.NATSMarshaler{}).Marshal(subject, msg)
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", subject, err)
	}
	if len(wire.Data) > MaxInline {
		ref, err := b.payloads.put(ctx, wire.Data)
		if err != nil {
			return nil, fmt.Errorf("publish %s: %w", subject, err)
		}
		wire.Header.Set(event.HeaderDataRef, ref)
		wire.Data = nil
	}
	wire.Header.Set(nats.MsgIdHdr, dedupID(subject, msg.UUID))
	// A message that came in a batch is one of its own when it is sent on.
	for _, key := range []string{headerBatch, headerBatchPlace, headerBatchCommit} {
		wire.Header.Del(key)
	}
	for i := 0; i < len(headers); i += 2 {
		wire.Header.Set(headers[i], headers[i+1])
	}
	store := b.storeAlone
	if g := b.groups[streamOf(subject)]; g != nil {
		store = g.store
	}
	ack, err := store(ctx, wire)
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", subject, unavailable(err))
	}
	return ack, nil
}

// streamOf returns which of the two busy streams keeps a subject, "" for others.
func streamOf(subject string) string {
	switch {
	case strings.HasPrefix(subject, event.SubjectPrefix+"."):
		return StreamEvents
	case strings.HasPrefix(subject, command.SubjectPrefix+"."):
		return StreamCommands
	}
	return ""
}

// dedupID names a message for the broker's deduplication, which spans the whole
// stream: the same id on another subject is another message.
func dedupID(subject, id string) string {
	sum := sha256.Sum256([]byte(subject + "\x00" + id))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// unavailable marks what the broker, not the caller, did wrong.
func unavailable(err error) error {
	if wrongSequence(err) {
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrPoison) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func wrongSequence(err error) bool {
	return apiCode(err) == jetstream.JSErrCodeStreamWrongLastSequence
}

// gone reports whether a message to delete is not there any more.
func gone(err error) bool {
	code := apiCode(err)
	return errors.Is(err, jetstream.ErrMsgNotFound) || code == 10043 || code == jetstream.JSErrCodeMessageNotFound
}

// wait sleeps and reports whether ctx still stands.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
