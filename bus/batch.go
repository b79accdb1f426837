package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// errRefused says that the broker stored nothing of a batch.
var errRefused = errors.New("the broker refused a batch")

// The headers of an atomic batch (NATS ADR-50). They stay on what is stored.
const (
	headerBatch       = "Nats-Batch-Id"
	headerBatchPlace  = "Nats-Batch-Sequence"
	headerBatchCommit = "Nats-Batch-Commit"
)

// gather has the embedded broker's busy streams store what comes at once
// together, where it can.
func (b *Bus) gather(ctx context.Context, dir string) error {
	var busy []jetstream.Stream
	var names []string
	for _, name := range []string{StreamEvents, StreamCommands} {
		stream, err := b.publish.Stream(ctx, name)
		if err != nil {
			return fmt.Errorf("look at stream %s: %w", name, err)
		}
		if stream.CachedInfo().Config.AllowAtomicPublish {
			busy, names = append(busy, stream), append(names, name)
		}
	}
	staging, err := stagingOf(dir, names...)
	if err == nil {
		err = staging.begin()
	}
	if err != nil {
		b.log.Info("messages are stored one by one: there is no memory to stage batches in", "error", err)
		return nil
	}
	b.broker.staging = staging
	b.groups = map[string]*group{}
	for _, stream := range busy {
		name := stream.CachedInfo().Config.Name
		g := &group{
			log:    b.log.With("stream", name),
			alone:  b.storeAlone,
			batch:  b.storeBatch,
			health: func() error { return b.broker.health(name) },
		}
		// All that is there by now is synced.
		g.confirmed.Store(stream.CachedInfo().State.LastSeq)
		b.groups[name] = g
	}
	return nil
}

// storeAlone stores one message. The same message id makes a repeat harmless, so
// a lost confirmation need not become an error.
func (b *Bus) storeAlone(ctx context.Context, msg *nats.Msg) (*jetstream.PubAck, error) {
	return repeat(ctx, publishTry, func(ctx context.Context) (*jetstream.PubAck, error) {
		return b.publish.PublishMsg(ctx, msg)
	})
}

// storeBatch stores all or none of several messages of one stream and returns
// the last one's sequence; the others' are those before it.
func (b *Bus) storeBatch(ctx context.Context, messages []*nats.Msg) (uint64, error) {
	nc, id := b.conns[0], secretName()
	for i, m := range messages {
		m.Header.Set(headerBatch, id)
		m.Header.Set(headerBatchPlace, strconv.Itoa(i+1))
	}
	end := len(messages) - 1
	for _, m := range messages[:end] {
		if err := nc.PublishMsg(m); err != nil {
			return 0, err
		}
	}
	messages[end].Header.Set(headerBatchCommit, "1")
	answer, err := nc.RequestMsgWithContext(ctx, messages[end])
	if err != nil {
		return 0, err
	}
	var ack struct {
		Sequence uint64              `json:"seq"`
		Error    *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return 0, fmt.Errorf("the broker's answer to a batch: %w", err)
	}
	if ack.Error == nil {
		return ack.Sequence, nil
	}
	for _, m := range messages {
		m.Header.Del(headerBatch)
		m.Header.Del(headerBatchPlace)
		m.Header.Del(headerBatchCommit)
	}
	return 0, fmt.Errorf("%w of %d: %w", errRefused, len(messages), ack.Error)
}

// health returns why the broker writes to a stream no more.
func (b *broker) health(stream string) error {
	h := b.server.Healthz(&server.HealthzOptions{Account: server.DEFAULT_GLOBAL_ACCOUNT, Stream: stream})
	if h.Error != "" {
		return errors.New(h.Error)
	}
	return nil
}

// refusedOne reports whether a batch was refused for one of its messages, which
// happens: it is a repeat or its history moved on.
func refusedOne(err error) bool {
	return wrongSequence(err) || apiCode(err) == errRepeated || apiCode(err) == errSequenceInUse
}
