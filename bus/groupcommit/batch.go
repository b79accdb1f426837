package groupcommit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/wire"
)

// errRefused says that the broker stored nothing of a batch.
var errRefused = errors.New("the broker refused a batch")

// errCodeRepeated is the API error code for a batch that contains a message
// stored already. nats.go has no name for it.
const errCodeRepeated = 10201

// Headers of an atomic batch (NATS ADR-50). They stay on the stored messages.
const (
	headerBatch       = "Nats-Batch-Id"
	headerBatchPlace  = "Nats-Batch-Sequence"
	headerBatchCommit = "Nats-Batch-Commit"
)

// Unmark removes the headers of a batch from a message, so that it can be sent
// on by itself.
func Unmark(h nats.Header) {
	for _, key := range []string{headerBatch, headerBatchPlace, headerBatchCommit} {
		h.Del(key)
	}
}

// InBatch reports whether a stored message with these headers came in a batch.
func InBatch(h nats.Header) bool { return h.Get(headerBatch) != "" }

// Batches returns the function that publishes batches on a connection.
func Batches(nc *nats.Conn) func(context.Context, []*nats.Msg) (last uint64, err error) {
	return func(ctx context.Context, messages []*nats.Msg) (uint64, error) { return publish(ctx, nc, messages) }
}

// publish stores all or none of several messages of one stream. It returns the
// sequence of the last one; the others have those before it. Its error wraps
// errRefused if the broker stored none.
func publish(ctx context.Context, nc *nats.Conn, messages []*nats.Msg) (uint64, error) {
	id := wire.SecretName()
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
	last, err := readAck(answer.Data, len(messages))
	if errors.Is(err, errRefused) {
		for _, m := range messages {
			Unmark(m.Header)
		}
	}
	return last, err
}

// readAck reads the broker's answer to a batch of that many messages. It returns
// the sequence of the last one, an error that wraps errRefused and the broker's
// error, or another error if the answer is malformed.
func readAck(answer []byte, messages int) (uint64, error) {
	var ack struct {
		Sequence uint64              `json:"seq"`
		Error    *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(answer, &ack); {
	case err != nil:
		return 0, fmt.Errorf("the broker's answer to a batch: %w", err)
	case ack.Error != nil:
		return 0, fmt.Errorf("%w of %d: %w", errRefused, messages, ack.Error)
	case ack.Sequence < uint64(messages):
		return 0, fmt.Errorf("the broker's answer to a batch of %d says that the last one is at %d", messages, ack.Sequence)
	}
	return ack.Sequence, nil
}

// refusedOne reports whether a batch was refused because of one of its messages,
// as is normal: it is a repeat, or its history has changed.
func refusedOne(err error) bool {
	return wire.WrongSequence(err) || wire.Code(err) == errCodeRepeated || wire.Code(err) == wire.ErrCodeSequenceInUse
}
