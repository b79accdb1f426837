package bus

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/command"
	"headwater/bus/event"
)

const (
	adasEvents   = "headwater.events.acme.*.ada.>"
	sharedEvents = "headwater.events.acme.*._.>"
	evesEvents   = "headwater.events.evil.>"
)

// guarded is a bus that lets two people in.
func guarded(t *testing.T) *Bus {
	t.Helper()
	return openBus(t, Config{Listen: "127.0.0.1:0", Authenticate: func(token string) (Grant, error) {
		switch token {
		case "adas-token":
			return Grant{Subscribe: []string{adasEvents, sharedEvents}}, nil
		case "eves-token":
			return Grant{Subscribe: []string{evesEvents}}, nil
		case "greedy-token":
			return Grant{Subscribe: []string{"headwater.>"}}, nil
		}
		return Grant{}, errors.New("unknown token")
	}})
}

func enter(t *testing.T, b *Bus, token string, opts ...nats.Option) (*nats.Conn, error) {
	t.Helper()
	nc, err := nats.Connect("nats://"+b.Listening(), append(opts, nats.UserInfo("someone", token), nats.PermissionErrOnSubscribe(true), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err == nil {
		t.Cleanup(nc.Close)
	}
	return nc, err
}

func mustEnter(t *testing.T, b *Bus, token string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := enter(t, b, token)
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(testLimit))
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// impatient is the JetStream of a guest whose calls are not allowed: those are never
// answered.
func impatient(t *testing.T, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(300*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	b := guarded(t)
	for name, token := range map[string]string{"no token": "", "a wrong one": "hunter2", "one for more than events": "greedy-token"} {
		if _, err := enter(t, b, token); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := nats.Connect("nats://" + b.Listening()); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("no credentials at all: %v", err)
	}
	nobody := openBus(t, Config{Listen: "127.0.0.1:0"})
	if _, err := enter(t, nobody, "adas-token"); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without Authenticate: %v", err)
	}
}

// briefly judges tokens like "brief 2s", which end so long after they were first
// seen, and which nobody signs any longer once rotated is set.
func briefly(rotated *atomic.Bool) func(token string) (Grant, error) {
	var mu sync.Mutex
	ends := map[string]time.Time{}
	return func(token string) (Grant, error) {
		words, brief := strings.CutPrefix(token, "brief ")
		if !brief {
			return matrixGrant(token)
		}
		life, err := time.ParseDuration(words)
		if err != nil {
			return Grant{}, err
		}
		mu.Lock()
		defer mu.Unlock()
		if ends[token].IsZero() {
			ends[token] = time.Now().Add(life)
		}
		if rotated.Load() || time.Now().After(ends[token]) {
			return Grant{}, errors.New("the token is not valid")
		}
		return Grant{Subscribe: []string{adasEvents}, Inbox: "_INBOX.acme.ada", Expires: ends[token]}, nil
	}
}

// followBriefly reads with a token that ends meanwhile, and whose key is
// replaced: the stream goes on until the token ends, then the connection is
// closed and no other is let in.
func followBriefly(t *testing.T, b *Bus, address string, rotated *atomic.Bool) {
	t.Helper()
	for life := 2 * time.Second; !followFor(t, b, address, rotated, life); life *= 4 {
		t.Logf("a token of %s ended before it was used", life)
		if life > testLimit {
			t.Fatal("no token lived long enough")
		}
	}
}

// followFor is followBriefly with a token of one length. It returns false if the
// machine was so busy that the token ended before an event could be seen with it.
func followFor(t *testing.T, b *Bus, address string, rotated *atomic.Bool, life time.Duration) bool {
	t.Helper()
	closed, begun, token := make(chan struct{}), time.Now(), "brief "+life.String()
	late := func() bool { return time.Since(begun) >= life-time.Second } // a cluster counts whole seconds
	rotated.Store(false)
	nc, err := nats.Connect("nats://"+address, nats.UserInfo("any", token), nats.CustomInboxPrefix("_INBOX.acme.ada"), nats.ReconnectWait(20*time.Millisecond),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		if late() {
			return false
		}
		t.Fatal(err)
	}
	defer nc.Close()
	live, err := nc.SubscribeSync(adasEvents)
	if err == nil {
		err = nc.Flush()
	}
	if err == nil {
		rotated.Store(true)
		appendMany(t, b, testAddress, 1)
		_, err = live.NextMsg(life)
	}
	if err != nil {
		if late() {
			return false
		}
		t.Fatalf("before its end: %v", err)
	}
	if err := connects(address, nats.UserInfo("any", token)); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a token of the old key: %v", err)
	}
	select {
	case <-closed:
	case <-time.After(testLimit):
		t.Fatal("the connection outlived its token")
	}
	if lasted := time.Since(begun); lasted < life/4 {
		t.Errorf("it was closed after %s already", lasted)
	}
	if _, err := live.NextMsg(time.Second); err == nil {
		t.Error("it reads on")
	}
	return true
}

func TestStreamEndsWithItsToken(t *testing.T) {
	t.Parallel()
	rotated := new(atomic.Bool)
	b := openBus(t, Config{Listen: "127.0.0.1:0", Authenticate: briefly(rotated)})
	followBriefly(t, b, b.Listening(), rotated)
}

func TestGuestFollowsItsEvents(t *testing.T) {
	t.Parallel()
	b := guarded(t)
	nc, js := mustEnter(t, b, "adas-token")
	foreign, shared := testAddress, testAddress
	foreign.Organization, shared.Owner = "evil", ""

	live, err := nc.SubscribeSync(adasEvents)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	appendMany(t, b, foreign, 1)
	appendMany(t, b, testAddress, 2)
	appendMany(t, b, shared, 1)
	m, err := live.NextMsg(testLimit)
	if err != nil || m.Header.Get(event.HeaderType) != event.Type("SyncProgressed") {
		t.Errorf("live: %v, %v", m, err)
	}

	// From the beginning, with the client's own ordered consumer.
	consumer, err := js.OrderedConsumer(t.Context(), StreamEvents, jetstream.OrderedConsumerConfig{FilterSubjects: []string{adasEvents, sharedEvents}})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for want := uint64(2); want <= 4; want++ {
		m, err := messages.Next(jetstream.NextMaxWait(testLimit))
		if err != nil {
			t.Fatal(err)
		}
		meta, err := m.Metadata()
		if err != nil || meta.Sequence.Stream != want {
			t.Fatalf("sequence %+v, %v; wanted %d", meta, err, want)
		}
		if want < 4 && !strings.HasPrefix(m.Subject(), "headwater.events.acme.w1.ada.") {
			t.Errorf("subject %s", m.Subject())
		}
	}
	appendMany(t, b, foreign, 1)
	appendMany(t, b, testAddress, 1)
	if m, err := messages.Next(jetstream.NextMaxWait(testLimit)); err != nil || !strings.Contains(m.Subject(), ".ada.") {
		t.Errorf("what came later: %v, %v", m, err)
	}
	stream, err := js.Stream(t.Context(), StreamEvents)
	if err != nil || stream.CachedInfo().State.LastSeq != 6 {
		t.Errorf("the stream's bounds: %v", err)
	}
}

// The subscriber that comes with watermill-nats follows what happens through
// a connection as a guest as well.
func TestStockSubscriberIsAGuest(t *testing.T) {
	t.Parallel()
	b := guarded(t)
	sub, err := wmnats.NewSubscriber(wmnats.SubscriberConfig{
		URL: "nats://" + b.Listening(), NatsOptions: []nats.Option{nats.UserInfo("ada", "adas-token")},
		Unmarshaler: &wmnats.NATSMarshaler{}, CloseTimeout: time.Second, JetStream: wmnats.JetStreamConfig{Disabled: true},
	}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	messages, err := sub.Subscribe(t.Context(), adasEvents)
	if err != nil {
		t.Fatal(err)
	}
	// It follows from now on, and does not say when now begins.
	var msg *message.Message
	eventually(t, "an event arrives", func() bool {
		appendMany(t, b, testAddress, 1)
		select {
		case msg = <-messages:
		case <-time.After(50 * time.Millisecond):
		}
		return msg != nil
	})
	defer msg.Ack()
	if _, err := event.Parse(msg.Metadata.Get, msg.Payload); err != nil {
		t.Error(err)
	}
}

func TestGuestReadsNothingElse(t *testing.T) {
	t.Parallel()
	b := guarded(t)
	nc, _ := mustEnter(t, b, "eves-token")
	js := impatient(t, nc)
	appendMany(t, b, testAddress, 1)
	send(t, b, &command.SyncSource{SyncID: "syn_secret"})
	if _, err := b.Bucket(BucketSecrets).Create(t.Context(), "keyset.x", []byte("sealed"), 0); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{">", "headwater.>", "headwater.events.>", adasEvents, "headwater.commands.>", "$KV.>", "$JS.>", "$SYS.>", "_R_.>", gateSubject + ".>"} {
		sub, err := nc.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := sub.NextMsg(testLimit); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("subscribed to %s: %v, %v", subject, m, err)
		}
	}
	for _, filter := range []string{adasEvents, "headwater.events.>", "*.events.acme.>"} {
		cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}}
		if _, err := js.OrderedConsumer(t.Context(), StreamEvents, cfg); err == nil {
			t.Errorf("made a consumer of %q", filter)
		}
	}
	for _, stream := range []string{StreamCommands, kvStream(BucketSecrets), StreamDeadLetters} {
		if _, err := js.Stream(t.Context(), stream); err == nil {
			t.Errorf("looked at stream %s", stream)
		}
		if _, err := js.OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{evesEvents}}); err == nil {
			t.Errorf("made a consumer of stream %s", stream)
		}
	}
	for _, call := range []string{
		"$JS.API.STREAM.MSG.GET.HEADWATER_EVENTS", "$JS.API.DIRECT.GET.HEADWATER_EVENTS", "$JS.API.CONSUMER.LIST.HEADWATER_COMMANDS",
		"$JS.API.CONSUMER.NAMES.KV_HEADWATER_SECRETS", "$JS.API.STREAM.INFO.HEADWATER_COMMANDS", "$JS.API.STREAM.PURGE.HEADWATER_COMMANDS",
		"$JS.API.STREAM.DELETE.HEADWATER_EVENTS", "$JS.API.CONSUMER.DURABLE.CREATE.HEADWATER_COMMANDS.x", "$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.PING.STATZ",
	} {
		if m, err := nc.Request(call, []byte(`{"seq":1}`), 200*time.Millisecond); err == nil {
			t.Errorf("%s answered %s", call, m.Data)
		}
	}
	// The list of everybody's subjects is an option of a call that is allowed.
	m, err := nc.Request(api+"STREAM.INFO."+StreamEvents, []byte(`{"subjects_filter":">"}`), testLimit)
	if err != nil || strings.Contains(string(m.Data), ".ada.") {
		t.Errorf("stream info: %s, %v", m.Data, err)
	}
}

func TestGuestChangesNothing(t *testing.T) {
	t.Parallel()
	b := guarded(t)
	appendMany(t, b, event.Address{Organization: "evil", Workspace: "w", Source: "s"}, 1)
	nc, _ := mustEnter(t, b, "eves-token")
	js := impatient(t, nc)
	for _, subject := range []string{
		"headwater.events.evil.w._.s.SyncFailed", "headwater.commands.acme.w1.ada.src_1.RemoveSource", "$KV.HEADWATER_SECRETS.keyset", "_INBOX.x", gateSubject + ".x.stream",
	} {
		if _, err := js.Publish(t.Context(), subject, []byte("{}")); err == nil {
			t.Errorf("published on %s", subject)
		}
	}

	name := "0123456789abcdefghij"
	ask := func(change func(*consumerRequest)) string {
		req := consumerRequest{Stream: StreamEvents, Action: "create", Config: consumerConfig{
			Name: name, AckPolicy: "none", DeliverPolicy: "all", ReplayPolicy: "instant", FilterSubject: evesEvents}}
		change(&req)
		body, err := json.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	request := func(subject, body string) string {
		t.Helper()
		m, err := nc.Request(subject, []byte(body), testLimit) // each is answered, also the refused ones
		if err != nil {
			return "error: " + err.Error()
		}
		return string(m.Data)
	}
	create := apiConsumer + "CREATE." + StreamEvents + "." + name + "." + evesEvents
	if got := request(create, ask(func(*consumerRequest) {})); strings.Contains(got, `"error"`) {
		t.Fatalf("an honest request was refused: %s", got)
	}
	for what, body := range map[string]string{
		"push to commands":    strings.Replace(ask(func(*consumerRequest) {}), `"name"`, `"deliver_subject":"headwater.commands.a.b.c.d.RemoveSource","name"`, 1),
		"push to our inboxes": strings.Replace(ask(func(*consumerRequest) {}), `"name"`, `"deliver_subject":"_R_.x","name"`, 1),
		"push to a call":      strings.Replace(ask(func(*consumerRequest) {}), `"name"`, `"deliver_subject":"$JS.API.STREAM.PURGE.HEADWATER_COMMANDS","name"`, 1),
		"push everywhere":     ask(func(r *consumerRequest) { r.Config.DeliverSubject = "_INBOX.>" }),
		"push nowhere":        ask(func(r *consumerRequest) { r.Config.DeliverSubject = "_INBOX." }),
		"a direct one":        strings.Replace(ask(func(*consumerRequest) {}), `"name"`, `"direct":true,"name"`, 1),
		"our metadata":        ask(func(r *consumerRequest) { r.Config.Metadata = map[string]string{metaGuest: "x"} }),
		"another name":        ask(func(r *consumerRequest) { r.Config.Name = "somebody_elses_consumer" }),
		"another stream":      ask(func(r *consumerRequest) { r.Stream = StreamCommands }),
		"another filter":      ask(func(r *consumerRequest) { r.Config.FilterSubject = adasEvents }),
		"more filters":        ask(func(r *consumerRequest) { r.Config.FilterSubjects = []string{adasEvents} }),
	} {
		if got := request(create, body); !strings.Contains(got, "error") {
			t.Errorf("%s: %s", what, got)
		}
	}
	for _, older := range []string{apiConsumer + "CREATE." + StreamEvents, apiConsumer + "DURABLE.CREATE." + StreamEvents + "." + name} {
		if got := request(older, ask(func(r *consumerRequest) { r.Config.DeliverSubject = "headwater.commands.a.b.c.d.RemoveSource" })); !strings.Contains(got, "error") {
			t.Errorf("%s: %s", older, got)
		}
		if got := request(older, ask(func(r *consumerRequest) { r.Config.FilterSubject = adasEvents })); !strings.Contains(got, "error") {
			t.Errorf("%s: %s", older, got)
		}
	}
	// An answer may be asked for at any subject, but none of ours is in reach.
	before := streamSizes(t, b)
	for _, reply := range []string{"headwater.commands.acme.w1.ada.src_1.RemoveSource", "headwater.events.acme.w1.ada.src_1.SourceRemoved", "$KV.HEADWATER_SECRETS.keyset", "$JS.API.STREAM.DELETE.HEADWATER_EVENTS"} {
		for subject, body := range map[string]string{api + "STREAM.INFO." + StreamEvents: "", apiNext + "." + name: `{"batch":1,"expires":100000000}`, create: ask(func(*consumerRequest) {})} {
			if err := nc.PublishRequest(subject, reply, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := request(api+"STREAM.INFO."+StreamEvents, ""); !strings.Contains(got, StreamEvents) { // answered in order, so the others were too
		t.Errorf("the stream is %s", got)
	}
	for name, size := range streamSizes(t, b) {
		if size != before[name] {
			t.Errorf("%s grew from %d to %d", name, before[name], size)
		}
	}
}

func streamSizes(t *testing.T, b *Bus) map[string]uint64 {
	t.Helper()
	sizes := map[string]uint64{}
	for _, c := range streamConfigs(1, true) {
		s, err := b.publish.Stream(context.WithoutCancel(t.Context()), c.Name)
		if err != nil {
			t.Fatal(err)
		}
		sizes[c.Name] = s.CachedInfo().State.LastSeq
	}
	return sizes
}
