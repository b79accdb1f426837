package bus

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const clientLimit = testLimit

// goWays are the ways in which programs read with nats.go's jetstream package.
// The events are read through cfg's filter; each way names its own consumer.
var goWays = map[string]func(ctx context.Context, js jetstream.JetStream) ([]string, error){
	"durable, consume": func(ctx context.Context, js jetstream.JetStream) ([]string, error) {
		c, err := js.CreateOrUpdateConsumer(ctx, StreamEvents, jetstream.ConsumerConfig{Durable: "consume", FilterSubject: adasEvents, AckPolicy: jetstream.AckExplicitPolicy})
		if err != nil {
			return nil, err
		}
		return consumed(ctx, c.Consume)
	},
	"durable, found again, fetch": func(ctx context.Context, js jetstream.JetStream) ([]string, error) {
		if _, err := js.CreateConsumer(ctx, StreamEvents, jetstream.ConsumerConfig{Durable: "fetch", FilterSubjects: []string{adasEvents}, AckPolicy: jetstream.AckAllPolicy, SampleFrequency: "100%"}); err != nil {
			return nil, err
		}
		c, err := js.Consumer(ctx, StreamEvents, "fetch")
		if err != nil {
			return nil, err
		}
		return fetched(c.Fetch(adasEventCount, jetstream.FetchMaxWait(clientLimit)))
	},
	"ephemeral without a name, fetch": func(ctx context.Context, js jetstream.JetStream) ([]string, error) {
		c, err := js.CreateConsumer(ctx, StreamEvents, jetstream.ConsumerConfig{FilterSubject: adasEvents})
		if err != nil {
			return nil, err
		}
		return fetched(c.Fetch(adasEventCount, jetstream.FetchMaxWait(clientLimit)))
	},
	"two filters, changed later": func(ctx context.Context, js jetstream.JetStream) ([]string, error) {
		cfg := jetstream.ConsumerConfig{Durable: "changed", FilterSubjects: []string{adasEvents, sharedEvents}, MaxAckPending: 7}
		if _, err := js.CreateConsumer(ctx, StreamEvents, cfg); err != nil {
			return nil, err
		}
		cfg.MaxAckPending, cfg.Description = 70, "changed"
		c, err := js.UpdateConsumer(ctx, StreamEvents, cfg)
		if err != nil {
			return nil, err
		}
		if got := c.CachedInfo().Config; got.MaxAckPending != 70 || got.Description != "changed" {
			return nil, fmt.Errorf("it is %+v", got)
		}
		return fetched(c.Fetch(adasEventCount, jetstream.FetchMaxWait(clientLimit)))
	},
	"ordered": func(ctx context.Context, js jetstream.JetStream) ([]string, error) {
		c, err := js.OrderedConsumer(ctx, StreamEvents, jetstream.OrderedConsumerConfig{FilterSubjects: []string{adasEvents}})
		if err != nil {
			return nil, err
		}
		return consumed(ctx, c.Consume)
	},
	"push": func(ctx context.Context, js jetstream.JetStream) ([]string, error) {
		c, err := js.CreatePushConsumer(ctx, StreamEvents, jetstream.ConsumerConfig{DeliverSubject: js.Conn().NewInbox(), FilterSubject: adasEvents,
			AckPolicy: jetstream.AckExplicitPolicy, FlowControl: true, IdleHeartbeat: time.Second})
		if err != nil {
			return nil, err
		}
		return consumedPush(ctx, c.Consume)
	},
	"push to a group, found again": func(ctx context.Context, js jetstream.JetStream) ([]string, error) {
		inbox := js.Conn().NewInbox()
		if _, err := js.CreateOrUpdatePushConsumer(ctx, StreamEvents, jetstream.ConsumerConfig{Durable: "group", DeliverSubject: inbox, DeliverGroup: "workers", FilterSubject: adasEvents, AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
			return nil, err
		}
		c, err := js.PushConsumer(ctx, StreamEvents, "group")
		if err != nil {
			return nil, err
		}
		if cfg := c.CachedInfo().Config; cfg.DeliverSubject != inbox || cfg.DeliverGroup != "workers" || cfg.Durable != "group" {
			return nil, fmt.Errorf("it is %+v", cfg)
		}
		return consumedPush(ctx, c.Consume)
	},
	"paused, resumed, pinned": func(ctx context.Context, js jetstream.JetStream) ([]string, error) {
		cfg := jetstream.ConsumerConfig{Durable: "pinned", FilterSubject: adasEvents, PriorityPolicy: jetstream.PriorityPolicyPinned, PriorityGroups: []string{"a"}, PinnedTTL: time.Minute, AckPolicy: jetstream.AckExplicitPolicy}
		stream, err := js.Stream(ctx, StreamEvents)
		if err != nil {
			return nil, err
		}
		c, err := stream.CreateConsumer(ctx, cfg)
		if err != nil {
			return nil, err
		}
		if paused, err := stream.PauseConsumer(ctx, "pinned", time.Now().Add(time.Hour)); err != nil || !paused.Paused {
			return nil, fmt.Errorf("pause: %+v, %w", paused, err)
		}
		if _, err := stream.ResumeConsumer(ctx, "pinned"); err != nil {
			return nil, fmt.Errorf("resume: %w", err)
		}
		got, err := fetched(c.Fetch(adasEventCount, jetstream.FetchMaxWait(clientLimit), jetstream.FetchPriorityGroup("a")))
		return got, errors.Join(err, stream.UnpinConsumer(ctx, "pinned", "a"), stream.DeleteConsumer(ctx, "pinned"))
	},
}

// fetched confirms what it takes, and the last one for certain.
func fetched(batch jetstream.MessageBatch, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	var got []string
	for m := range batch.Messages() {
		got = append(got, readOf(m.Subject(), m.Data()))
		if len(got) == adasEventCount {
			err = m.DoubleAck(context.Background())
		} else {
			err = m.Ack()
		}
		if err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
			return got, err
		}
	}
	return got, batch.Error()
}

func consumed(ctx context.Context, consume func(jetstream.MessageHandler, ...jetstream.PullConsumeOpt) (jetstream.ConsumeContext, error)) ([]string, error) {
	messages := make(chan jetstream.Msg, 100)
	cc, err := consume(func(m jetstream.Msg) { messages <- m })
	if err != nil {
		return nil, err
	}
	defer cc.Stop()
	return received(ctx, messages)
}

func consumedPush(ctx context.Context, consume func(jetstream.MessageHandler, ...jetstream.PushConsumeOpt) (jetstream.ConsumeContext, error)) ([]string, error) {
	messages := make(chan jetstream.Msg, 100)
	cc, err := consume(func(m jetstream.Msg) { messages <- m })
	if err != nil {
		return nil, err
	}
	defer cc.Stop()
	return received(ctx, messages)
}

func received(ctx context.Context, messages <-chan jetstream.Msg) ([]string, error) {
	var got []string
	for len(got) < adasEventCount {
		select {
		case m := <-messages:
			got = append(got, readOf(m.Subject(), m.Data()))
			if err := m.Ack(); err != nil {
				return got, err
			}
		case <-ctx.Done():
			return got, ctx.Err()
		}
	}
	return got, nil
}

// Programs that use nats.go read the same as a guest as from a plain server.
func TestClientGo(t *testing.T) {
	t.Parallel()
	for _, p := range servers(t) {
		for name, way := range goWays {
			t.Run(p.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				nc, err := nats.Connect("nats://"+p.address, p.login()...)
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				js, err := jetstream.New(nc)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
				defer cancel()
				got, err := way(ctx, js)
				reads(t, got, err)
			})
		}
	}
}
