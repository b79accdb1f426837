package readers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/event"
	"headwater/bus/wire"
)

const (
	// pastReaders may read the past at once, pastEach of them for one
	// organization. Each has a consumer while it reads a stretch.
	pastReaders = 32
	pastEach    = 4
	// A stretch is what is read at a time and kept in memory for the caller.
	stretchEvents = 256
	stretchBytes  = 1 << 20
	stretchWait   = 5 * time.Second
)

// errSkipped ends a stretch if the broker has lost a delivery.
var errSkipped = errors.New("a delivery was lost")

// Past calls each with the events after one sequence and up to another that
// match the subject filters, in order, each once and with its body, until each
// returns false. last must not exceed NewestOf the filters. It uses a consumer
// from a small pool that all callers share, briefly and never while each runs.
// It returns nil, wire.ErrUnavailable, or ctx's error.
func (rs *Readers) Past(ctx context.Context, after, last uint64, filters []string, each func(*message.Message) bool) error {
	for after < last {
		found, at, err := rs.stretch(ctx, after, last, filters)
		if err != nil {
			return fmt.Errorf("read the past: %w", wire.Unavailable(err))
		}
		for _, msg := range found {
			if !rs.complete(ctx, msg) {
				return fmt.Errorf("read the past: %w", ctx.Err())
			}
			msg.SetContext(ctx)
			if !each(msg) {
				return nil
			}
		}
		after = at
	}
	return nil
}

// stretch reads some of the events after a sequence. It returns the sequence,
// greater than after, up to which all matching events were read. There must be a
// matching event at or after last. Large bodies are not fetched.
func (rs *Readers) stretch(ctx context.Context, after, last uint64, filters []string) (found []*message.Message, at uint64, err error) {
	ticket, err := rs.past.Wait(ctx, wire.OrganizationIn(filters))
	if err != nil {
		return nil, after, err
	}
	defer rs.past.Leave(ticket)
	type read struct {
		found []*message.Message
		at    uint64
	}
	r, err := wire.Retry(ctx, stretchWait, func(ctx context.Context) (read, error) {
		found, at, err := rs.readStretch(ctx, after, last, filters)
		return read{found, at}, err
	})
	for _, msg := range r.found {
		if !rs.broker.Synced(ctx, event.Stream, wire.Number(msg, wire.MetaSequence)) {
			return nil, after, errors.Join(ctx.Err(), wire.ErrUnavailable)
		}
	}
	return r.found, r.at, err
}

func (rs *Readers) readStretch(ctx context.Context, after, last uint64, filters []string) (found []*message.Message, at uint64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	name := wire.SecretName()
	consumer, err := rs.broker.JS.CreateConsumer(ctx, event.Stream, jetstream.ConsumerConfig{
		Name: name, FilterSubjects: filters, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
		AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: 2 * stretchWait, Replicas: 1, MemoryStorage: true,
	})
	if err != nil {
		return nil, after, err
	}
	defer rs.dropConsumer(ctx, name)
	batch, err := consumer.Fetch(stretchEvents, jetstream.FetchMaxBytes(stretchBytes), jetstream.FetchContext(ctx))
	if err != nil {
		return nil, after, err
	}
	at = after
	for in := range batch.Messages() {
		msg, meta, err := wire.Receive(in)
		if msg == nil || meta.Sequence.Consumer != uint64(len(found))+1 {
			break
		}
		if err != nil {
			rs.broker.Log.Error("an event has headers that are not ours", "sequence", meta.Sequence.Stream, "error", err)
		}
		if meta.Sequence.Stream <= last {
			found = append(found, msg)
		}
		if at = min(meta.Sequence.Stream, last); at == last || len(found) == stretchEvents {
			return found, at, nil
		}
	}
	if len(found) > 0 {
		return found, at, nil
	}
	if err := batch.Error(); err != nil {
		return nil, after, err
	}
	return nil, after, errors.Join(errSkipped, context.DeadlineExceeded)
}

// dropConsumer removes a consumer. If that fails the broker removes it later.
func (rs *Readers) dropConsumer(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := rs.broker.JS.DeleteConsumer(ctx, event.Stream, name); err != nil {
		rs.broker.Log.Debug("a reader's consumer is left to expire", "error", err)
	}
}

// complete fetches a large body, however long that takes. It returns false if
// ctx is done. If the body is lost for good it leaves the reference in the
// message, which EventOf reports: whether to skip the event is the reader's
// decision.
func (rs *Readers) complete(ctx context.Context, msg *message.Message) bool {
	for {
		err := rs.broker.Bodies.Resolve(ctx, msg)
		if err == nil || errors.Is(err, wire.ErrPoison) {
			if err != nil {
				rs.broker.Log.Error("an event's body is lost", "sequence", msg.Metadata.Get(wire.MetaSequence), "error", err)
			}
			return true
		}
		if !wire.Wait(ctx, time.Second) {
			return false
		}
	}
}
