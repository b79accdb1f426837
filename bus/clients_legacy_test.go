package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmjetstream "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/jetstream"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// legacyWays are the ways in which programs read with nats.go's older API.
var legacyWays = map[string]func(ctx context.Context, js nats.JetStreamContext) ([]string, error){
	"subscribe": func(ctx context.Context, js nats.JetStreamContext) ([]string, error) {
		messages := make(chan *nats.Msg, 100)
		_, err := js.ChanSubscribe(adasEvents, messages, nats.DeliverAll())
		return legacyReceived(ctx, messages, err)
	},
	"subscribe, paced": func(ctx context.Context, js nats.JetStreamContext) ([]string, error) {
		messages := make(chan *nats.Msg, 100)
		_, err := js.Subscribe(adasEvents, func(m *nats.Msg) { messages <- m }, nats.ManualAck(), nats.EnableFlowControl(), nats.IdleHeartbeat(time.Second), nats.AckExplicit())
		return legacyReceived(ctx, messages, err)
	},
	"durable, made before": func(ctx context.Context, js nats.JetStreamContext) ([]string, error) {
		if _, err := js.AddConsumer(StreamEvents, &nats.ConsumerConfig{Durable: "kept", DeliverSubject: nats.NewInbox(), FilterSubject: adasEvents, AckPolicy: nats.AckExplicitPolicy}); err != nil {
			return nil, err
		}
		sub, err := js.SubscribeSync(adasEvents, nats.Bind(StreamEvents, "kept"))
		if err != nil {
			return nil, err
		}
		// It is taken, and the consumer says so.
		if _, err := js.SubscribeSync(adasEvents, nats.Durable("kept")); err == nil {
			return nil, errors.New("a second one could bind")
		}
		got, err := legacyNext(ctx, sub, adasEventCount)
		return got, errors.Join(err, js.DeleteConsumer(StreamEvents, "kept"))
	},
	"durable queue": func(ctx context.Context, js nats.JetStreamContext) ([]string, error) {
		messages := make(chan *nats.Msg, 100)
		for range 2 { // two members share it
			if _, err := js.ChanQueueSubscribe(adasEvents, "queue", messages, nats.Durable("queue")); err != nil {
				return nil, err
			}
		}
		return legacyReceived(ctx, messages, nil)
	},
	"ordered": func(ctx context.Context, js nats.JetStreamContext) ([]string, error) {
		sub, err := js.SubscribeSync(adasEvents, nats.OrderedConsumer())
		if err != nil {
			return nil, err
		}
		return legacyNext(ctx, sub, adasEventCount)
	},
	"durable pull": func(ctx context.Context, js nats.JetStreamContext) ([]string, error) {
		for range 2 { // made, then found
			sub, err := js.PullSubscribe(adasEvents, "pull", nats.AckAll())
			if err != nil {
				return nil, err
			}
			if got, err := legacyFetch(ctx, sub); len(got) > 0 {
				return got, err
			}
		}
		return nil, nil
	},
	"passing pull of two filters": func(ctx context.Context, js nats.JetStreamContext) ([]string, error) {
		sub, err := js.PullSubscribe("", "", nats.ConsumerFilterSubjects(adasEvents, sharedEvents), nats.BindStream(StreamEvents))
		if err != nil {
			return nil, err
		}
		return legacyFetch(ctx, sub)
	},
	"listed and removed": func(ctx context.Context, js nats.JetStreamContext) ([]string, error) {
		sub, err := js.SubscribeSync(adasEvents, nats.Durable("listed"))
		if err != nil {
			return nil, err
		}
		got, err := legacyNext(ctx, sub, adasEventCount)
		if err != nil {
			return got, err
		}
		found := false
		for c := range js.Consumers(StreamEvents) {
			found = found || c.Name == "listed"
		}
		if !found {
			return got, errors.New("it is not listed")
		}
		return got, js.DeleteConsumer(StreamEvents, "listed")
	},
}

func legacyReceived(ctx context.Context, messages <-chan *nats.Msg, err error) ([]string, error) {
	var got []string
	for err == nil && len(got) < adasEventCount {
		select {
		case m := <-messages:
			got, err = append(got, readOf(m.Subject, m.Data)), m.Ack()
			if errors.Is(err, nats.ErrMsgAlreadyAckd) {
				err = nil
			}
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return got, err
}

func legacyNext(ctx context.Context, sub *nats.Subscription, n int) ([]string, error) {
	var got []string
	for range n {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return got, err
		}
		got = append(got, readOf(m.Subject, m.Data))
		// An ordered consumer's messages need no answer, and get none.
		if err := m.Ack(); err != nil && !errors.Is(err, nats.ErrCantAckIfConsumerAckNone) {
			return got, fmt.Errorf("ack: %w", err)
		}
	}
	return got, nil
}

func legacyFetch(ctx context.Context, sub *nats.Subscription) ([]string, error) {
	batch, err := sub.Fetch(adasEventCount, nats.Context(ctx))
	var got []string
	for _, m := range batch {
		got = append(got, readOf(m.Subject, m.Data))
		err = errors.Join(err, m.AckSync(nats.Context(ctx)))
	}
	return got, err
}

func TestClientGoLegacy(t *testing.T) {
	t.Parallel()
	for _, p := range servers(t) {
		for name, way := range legacyWays {
			for older, opts := range map[string][]nats.JSOpt{"": nil, ", durables by the older call": {nats.UseLegacyDurableConsumers()}} {
				if older != "" && name != "durable, made before" {
					continue
				}
				t.Run(p.name+"/"+name+older, func(t *testing.T) {
					nc, err := nats.Connect("nats://"+p.address, p.login()...)
					if err != nil {
						t.Fatal(err)
					}
					defer nc.Close()
					js, err := nc.JetStream(opts...)
					if err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
					defer cancel()
					got, err := way(ctx, js)
					if strings.Contains(name, "queue") {
						slices.Sort(got) // its members take turns
					}
					reads(t, got, err)
				})
			}
		}
	}
}

// watermillSubscribers are those that come with watermill-nats.
var watermillSubscribers = map[string]func(ctx context.Context, nc *nats.Conn) (message.Subscriber, string, error){
	"pkg/nats": func(_ context.Context, nc *nats.Conn) (message.Subscriber, string, error) {
		sub, err := wmnats.NewSubscriberWithNatsConn(nc, wmnats.SubscriberSubscriptionConfig{Unmarshaler: &wmnats.NATSMarshaler{}, CloseTimeout: time.Second,
			SubjectCalculator: wmnats.DefaultSubjectCalculator, JetStream: wmnats.JetStreamConfig{SubscribeOptions: []nats.SubOpt{nats.DeliverAll()}}}, watermill.NopLogger{})
		return sub, adasEvents, err
	},
	"pkg/nats, durable queue group": func(_ context.Context, nc *nats.Conn) (message.Subscriber, string, error) {
		sub, err := wmnats.NewSubscriberWithNatsConn(nc, wmnats.SubscriberSubscriptionConfig{Unmarshaler: &wmnats.NATSMarshaler{}, CloseTimeout: time.Second,
			SubjectCalculator: wmnats.DefaultSubjectCalculator, QueueGroupPrefix: "billing", SubscribersCount: 2,
			JetStream: wmnats.JetStreamConfig{DurablePrefix: "billing", AckAsync: true, SubscribeOptions: []nats.SubOpt{nats.DeliverAll(), nats.BindStream(StreamEvents)}}}, watermill.NopLogger{})
		return sub, adasEvents, err
	},
	"pkg/jetstream": func(ctx context.Context, nc *nats.Conn) (message.Subscriber, string, error) {
		// Its own initializers would make a stream named as the topic.
		sub, err := wmjetstream.NewSubscriber(wmjetstream.SubscriberConfig{Conn: nc, Logger: watermill.NopLogger{}, Unmarshaler: wmjetstream.DefaultUnmarshaler{},
			ResourceInitializer: func(ctx context.Context, js jetstream.JetStream, topic string) (jetstream.Consumer, func(context.Context, watermill.LoggerAdapter), error) {
				c, err := js.CreateOrUpdateConsumer(ctx, StreamEvents, jetstream.ConsumerConfig{FilterSubject: topic, AckPolicy: jetstream.AckExplicitPolicy})
				return c, nil, err
			}})
		return sub, adasEvents, err
	},
	"pkg/jetstream, existing consumer": func(ctx context.Context, nc *nats.Conn) (message.Subscriber, string, error) {
		js, err := jetstream.New(nc)
		if err != nil {
			return nil, "", err
		}
		if _, err := js.CreateConsumer(ctx, StreamEvents, jetstream.ConsumerConfig{Name: "watermill__" + StreamEvents, FilterSubject: adasEvents, AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
			return nil, "", err
		}
		sub, err := wmjetstream.NewSubscriber(wmjetstream.SubscriberConfig{Conn: nc, Logger: watermill.NopLogger{}, ResourceInitializer: wmjetstream.ExistingConsumer(nil, "")})
		return sub, StreamEvents, err
	},
}

func TestClientWatermill(t *testing.T) {
	t.Parallel()
	for _, p := range servers(t) {
		for name, open := range watermillSubscribers {
			t.Run(p.name+"/"+name, func(t *testing.T) {
				nc, err := nats.Connect("nats://"+p.address, p.login()...)
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				ctx, cancel := context.WithTimeout(t.Context(), clientLimit)
				defer cancel()
				sub, topic, err := open(ctx, nc)
				if err != nil {
					t.Fatal(err)
				}
				defer sub.Close()
				messages, err := sub.Subscribe(ctx, topic)
				var got []string
				for err == nil && len(got) < adasEventCount {
					select {
					case m := <-messages:
						got = append(got, readOf("headwater.events.acme.w1.ada.src_1.SyncProgressed", m.Payload))
						m.Ack()
					case <-ctx.Done():
						err = ctx.Err()
					}
				}
				if strings.Contains(name, "queue") {
					slices.Sort(got)
				}
				reads(t, got, err)
			})
		}
	}
}
