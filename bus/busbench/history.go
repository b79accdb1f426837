// Package busbench fills the store of an embedded broker quickly, and reads it
// as fast as NATS can, for benchmarks of readers of events.
package busbench

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus"
	"headwater/bus/event"
)

const (
	brokerWait  = 2 * time.Minute // a large store takes a while to recover
	drainWindow = 5000
)

// Fill publishes events into the store of an embedded broker at dir, which it
// creates. They equal those that bus.Append would write, but are not synced one
// by one, which would take minutes for a million.
func Fill(ctx context.Context, dir string, events iter.Seq[*event.Event]) error {
	wire, err := bus.Open(ctx, bus.Config{Dir: dir}) // creates the streams
	if err != nil {
		return err
	}
	if err := wire.Close(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	return withBroker(dir, func(js jetstream.JetStream) error {
		for e := range events {
			headers, body, err := e.Encode()
			if err != nil {
				return err
			}
			msg := nats.NewMsg(e.Subject())
			for name, value := range headers {
				msg.Header.Set(name, value)
			}
			sum := sha256.Sum256([]byte(msg.Subject + "\x00" + e.ID))
			msg.Header.Set(nats.MsgIdHdr, base64.RawURLEncoding.EncodeToString(sum[:]))
			msg.Header.Set("_watermill_message_uuid", e.ID)
			msg.Data = body
			if _, err := js.PublishMsgAsync(msg, jetstream.WithStallWait(time.Minute)); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		select {
		case <-js.PublishAsyncComplete():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// Drain reads all events of the store at dir as fast as NATS delivers them to an
// ordered consumer in the same process that ignores them. It returns their
// number and the time taken, excluding the broker's start.
func Drain(ctx context.Context, dir string) (events int, took time.Duration, err error) {
	err = withBroker(dir, func(js jetstream.JetStream) error {
		stream, err := js.Stream(ctx, event.Stream)
		if err != nil {
			return err
		}
		last := stream.CachedInfo().State.LastSeq
		began := time.Now()
		consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
		if err != nil {
			return err
		}
		messages, err := consumer.Messages(jetstream.PullMaxMessages(drainWindow))
		if err != nil {
			return err
		}
		defer messages.Stop()
		for at := uint64(0); at < last; events++ {
			msg, err := messages.Next()
			if err != nil {
				return err
			}
			meta, err := msg.Metadata()
			if err != nil {
				return err
			}
			at = meta.Sequence.Stream
		}
		took = time.Since(began)
		return nil
	})
	return events, took, err
}

// withBroker calls f with a connection to a broker over dir, in this process.
func withBroker(dir string, f func(jetstream.JetStream) error) (err error) {
	s, err := server.NewServer(&server.Options{JetStream: true, StoreDir: dir, DontListen: true, NoSigs: true, MaxPayload: 1 << 20, JetStreamMaxStore: 1 << 50})
	if err != nil {
		return err
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	if !s.ReadyForConnections(brokerWait) || !s.JetStreamEnabled() {
		return errors.New("the broker does not start")
	}
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, failed error) {
		err = errors.Join(err, fmt.Errorf("publish: %w", failed))
	}))
	if err != nil {
		return err
	}
	return f(js)
}
