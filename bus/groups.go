package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/groupcommit"
	"headwater/bus/wire"
)

// beginGroups enables group commit on the event and command streams: messages
// that arrive together are stored in one atomic batch. If group commit refuses
// to start, the streams use plain appends, and the log says why. An error is one
// of the broker.
func (b *Bus) beginGroups(ctx context.Context, staging *groupcommit.Staging) error {
	groups := map[string]*groupcommit.Group{}
	for _, name := range grouped {
		stream, err := b.publish.Stream(ctx, name)
		if err != nil {
			return fmt.Errorf("look at stream %s: %w", name, err)
		}
		if !stream.CachedInfo().Config.AllowAtomicPublish {
			continue
		}
		groups[name] = groupcommit.New(groupcommit.Config{
			Log:       b.log.With("stream", name),
			Append:    b.appendPlain,
			Batch:     groupcommit.Batches(b.conns[0]),
			Chain:     chainOf,
			Health:    func() error { return b.broker.health(name) },
			Confirmed: stream.CachedInfo().State.LastSeq, // everything stored by now is synced
		})
	}
	switch err := staging.Begin(); {
	case errors.Is(err, groupcommit.ErrLayout):
		b.log.Warn("messages are stored one by one, which is slower", "error", err)
	case err != nil:
		b.log.Info("messages are stored one by one: there is no memory to stage batches in", "error", err)
	default:
		b.groups = groups
	}
	return nil
}

// grouped are the streams that are busy enough for group commit.
var grouped = []string{StreamEvents, StreamCommands}

// streamOf returns which of the grouped streams stores a subject, or "" for
// none.
func streamOf(subject string) string {
	switch {
	case strings.HasPrefix(subject, event.SubjectPrefix+"."):
		return StreamEvents
	case strings.HasPrefix(subject, command.SubjectPrefix+"."):
		return StreamCommands
	}
	return ""
}

// chainOf returns the history that an event's subject belongs to, or "" for a
// command.
func chainOf(subject string) string {
	if streamOf(subject) != StreamEvents {
		return ""
	}
	return subject[:strings.LastIndexByte(subject, '.')]
}

// appendPlain stores one message. The message id makes a repeat harmless, so a
// lost confirmation is retried.
func (b *Bus) appendPlain(ctx context.Context, msg *nats.Msg) (*jetstream.PubAck, error) {
	return wire.Retry(ctx, wire.PublishTry, func(ctx context.Context) (*jetstream.PubAck, error) {
		return b.publish.PublishMsg(ctx, msg)
	})
}

// synced waits until a message that a consumer delivered is on disk. It returns
// false if ctx is done first.
func (b *Bus) synced(ctx context.Context, stream string, sequence uint64) bool {
	g := b.groups[stream]
	return g == nil || g.Synced(ctx, sequence)
}

// health returns why the broker no longer writes to a stream, or nil.
func (b *broker) health(stream string) error {
	h := b.server.Healthz(&server.HealthzOptions{Account: server.DEFAULT_GLOBAL_ACCOUNT, Stream: stream})
	if h.Error != "" {
		return errors.New(h.Error)
	}
	return nil
}
