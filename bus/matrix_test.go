package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/bustest"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/wire"
)

// The people of the matrix, by their tokens. Bob, in Ada's organization, keeps
// a source to himself.
func matrixGrant(token string) (Grant, error) {
	grants := map[string]Grant{
		"ada":   {Subscribe: []string{adasEvents, sharedEvents}, Inbox: "_INBOX.acme.ada"},
		"bob":   {Subscribe: []string{"headwater.events.acme.*.bob.>", sharedEvents}, Inbox: "_INBOX.acme.bob"},
		"admin": {Subscribe: []string{"headwater.events.acme.>"}, Inbox: "_INBOX.acme.root"},
		"eve":   {Subscribe: []string{evesEvents}, Inbox: "_INBOX.evil.eve"},
	}
	grant, ok := grants[token]
	if !ok {
		return Grant{}, errors.New("unknown token")
	}
	return grant, nil
}

// bearer is a connection with somebody's token.
type bearer struct {
	nc *nats.Conn
	js jetstream.JetStream
}

func asBearer(t *testing.T, address, token string, opts ...nats.Option) bearer {
	t.Helper()
	grant, err := matrixGrant(token)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect("nats://"+address, append(opts, nats.UserInfo("any", token), nats.PermissionErrOnSubscribe(true),
		nats.CustomInboxPrefix(grant.Inbox), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err != nil {
		t.Fatalf("%s cannot connect: %v", token, err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return bearer{nc, js}
}

// follow reports why a subscription is refused, nil if it is not.
func (b bearer) follow(subject string) error {
	sub, err := b.nc.SubscribeSync(subject)
	if err != nil {
		return err
	}
	defer sub.Unsubscribe()
	if err := b.nc.Flush(); err != nil {
		return err
	}
	if _, err = sub.NextMsg(100 * time.Millisecond); errors.Is(err, nats.ErrTimeout) {
		return nil
	}
	return err
}

// call reports why a request is refused: by an answer that says so, or by none.
func (b bearer) call(subject, body string) error {
	m, err := b.nc.Request(subject, []byte(body), 300*time.Millisecond)
	if err != nil {
		return err
	}
	var answer struct {
		Error *struct{ Description string } `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err == nil && answer.Error != nil {
		return errors.New(answer.Error.Description)
	}
	if status := m.Header.Get("Status"); status != "" && status != "404" {
		return errors.New(status)
	}
	return nil
}

// claim asks for a consumer of somebody's events and says to be them, in the
// header that a server writes.
func (b bearer) claim(filter string) error {
	m := nats.NewMsg(apiConsumer + "CREATE." + StreamEvents + ".claimed-0123456789." + filter)
	m.Data = []byte(`{"stream_name":"HEADWATER_EVENTS","config":{"ack_policy":"none","deliver_policy":"all","replay_policy":"instant","filter_subject":"` + filter + `"}}`)
	m.Header.Set(server.ClientInfoHdr, `{"acc":"HEADWATER_evil","user":"`+filter+`"}`)
	answer, err := b.nc.RequestMsg(m, 300*time.Millisecond)
	if err == nil && strings.Contains(string(answer.Data), `"error"`) {
		return errors.New("refused")
	}
	return err
}

// durable makes a durable consumer and takes its first message twice: it is
// confirmed, so that the second is the next one.
func (b bearer) durable(name, filter string) error {
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	c, err := b.js.CreateOrUpdateConsumer(ctx, StreamEvents, jetstream.ConsumerConfig{Durable: name, FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		return err
	}
	for _, want := range []uint64{1, 2} {
		m, err := next(ctx, c)
		if err != nil {
			return err
		}
		if meta, err := m.Metadata(); err != nil || meta.Sequence.Consumer != want {
			return fmt.Errorf("delivery %d: %+v, %w", want, meta, err)
		}
		if err := m.DoubleAck(ctx); err != nil {
			return fmt.Errorf("ack: %w", err)
		}
	}
	return nil
}

func (b bearer) ordered(filters ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	c, err := b.js.OrderedConsumer(ctx, StreamEvents, jetstream.OrderedConsumerConfig{FilterSubjects: filters})
	if err != nil {
		return err
	}
	_, err = next(ctx, c)
	return err
}

// next takes a message. That a new consumer is there reaches the other servers
// of a cluster a moment later; until then they say that nobody answers.
func next(ctx context.Context, c jetstream.Consumer) (jetstream.Msg, error) {
	for {
		m, err := c.Next(jetstream.FetchMaxWait(testLimit))
		if !errors.Is(err, nats.ErrNoResponders) || !wire.Wait(ctx, 20*time.Millisecond) {
			return m, err
		}
	}
}

// push makes a push consumer to an inbox and takes the first message of it.
func (b bearer) push(inbox, filter string) error {
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	c, err := b.js.CreatePushConsumer(ctx, StreamEvents, jetstream.ConsumerConfig{DeliverSubject: inbox, FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		return err
	}
	messages := make(chan jetstream.Msg, 10)
	cc, err := c.Consume(func(m jetstream.Msg) { messages <- m })
	if err != nil {
		return err
	}
	defer cc.Stop()
	select {
	case m := <-messages:
		return m.DoubleAck(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

type attempt struct {
	who, what string
	allowed   bool
	try       func() error
}

// attempts is what subscribers may do and not do. named gives a durable the
// name that the broker wants for it.
func attempts(t *testing.T, address string, named func(who, name string) string) []attempt {
	ada, bob, admin, eve := asBearer(t, address, "ada"), asBearer(t, address, "bob"), asBearer(t, address, "admin"), asBearer(t, address, "eve")
	adas := named("ada", "billing")
	push := `{"stream_name":"HEADWATER_EVENTS","config":{"name":"pushed-0123456789","deliver_subject":"headwater.commands.acme.w1.ada.s.RemoveSource","ack_policy":"none","deliver_policy":"all","replay_policy":"instant","filter_subject":"` + adasEvents + `"}}`
	const apiStream = api + "STREAM."
	list := []attempt{
		{"ada", "follow her events live", true, func() error { return ada.follow(adasEvents) }},
		{"ada", "follow one event of one source live", true, func() error { return ada.follow("headwater.events.acme.w1.ada.src_1.SyncCompleted") }},
		{"ada", "follow the organization's shared events", true, func() error { return ada.follow(sharedEvents) }},
		{"ada", "follow Bob's events", false, func() error { return ada.follow("headwater.events.acme.*.bob.>") }},
		{"ada", "follow the whole organization", false, func() error { return ada.follow("headwater.events.acme.>") }},
		{"ada", "follow another organization", false, func() error { return ada.follow(evesEvents) }},
		{"admin", "follow the whole organization", true, func() error { return admin.follow("headwater.events.acme.>") }},
		{"admin", "follow another organization", false, func() error { return admin.follow(evesEvents) }},
		{"admin", "follow every organization", false, func() error { return admin.follow("headwater.events.>") }},
		{"ada", "follow commands", false, func() error { return ada.follow("headwater.commands.>") }},
		{"ada", "follow secrets", false, func() error { return ada.follow("$KV.HEADWATER_SECRETS.>") }},
		{"ada", "follow $SYS", false, func() error { return ada.follow("$SYS.>") }},
		{"ada", "follow everything", false, func() error { return ada.follow(">") }},
		{"ada", "follow JetStream's calls and acks", false, func() error { return ada.follow("$JS.>") }},
		{"ada", "follow her inbox", true, func() error { return ada.follow("_INBOX.acme.ada.>") }},
		{"ada", "read the stream's bounds", true, func() error { return ada.call(apiStream+"INFO.HEADWATER_EVENTS", "") }},
		{"ada", "list the streams", true, func() error { return ada.call(apiStream+"LIST", "") }},
		{"ada", "replay her events in order", true, func() error { return ada.ordered(adasEvents, sharedEvents) }},
		{"ada", "replay without a filter: what she may", true, func() error { return ada.ordered() }},
		{"ada", "replay Bob's events", false, func() error { return ada.ordered("headwater.events.acme.*.bob.>") }},
		{"eve", "replay Ada's events", false, func() error { return eve.ordered(adasEvents) }},
		{"admin", "replay the whole organization", true, func() error { return admin.ordered("headwater.events.acme.>") }},
		{"ada", "make a durable, take and confirm two events", true, func() error { return ada.durable(adas, adasEvents) }},
		{"ada", "turn her durable to Bob's events", false, func() error { return ada.durable(adas, "headwater.events.acme.*.bob.>") }},
		{"ada", "list her consumers", true, func() error { return ada.call(apiConsumer+"LIST.HEADWATER_EVENTS", "") }},
		{"ada", "make a consumer that pushes to commands", false, func() error {
			return ada.call(apiConsumer+"CREATE.HEADWATER_EVENTS.pushed-0123456789."+adasEvents, push)
		}},
		{"ada", "make a consumer that pushes to her inbox", true, func() error { return ada.push(ada.nc.NewInbox(), adasEvents) }},
		{"ada", "have Bob's events pushed to her inbox", false, func() error { return ada.push(ada.nc.NewInbox(), "headwater.events.acme.*.bob.>") }},
		{"ada", "make a consumer that pushes to what follows live", false, func() error { return ada.push("headwater.events.acme.w1.ada.src_1.SyncFailed", adasEvents) }},
		{"ada", "make a consumer that pushes where Eve's are pushed", false, func() error {
			return ada.push(subjectPush+"."+guestName([]string{evesEvents})+".eve.x", adasEvents)
		}},
		{"bob", "pause Ada's durable", false, func() error {
			return bob.call(apiConsumer+"PAUSE.HEADWATER_EVENTS."+adas, `{"pause_until":"2030-01-01T00:00:00Z"}`)
		}},
		{"eve", "reset Ada's durable", false, func() error { return eve.call(apiConsumer+"RESET.HEADWATER_EVENTS."+adas, `{"seq":1}`) }},
		{"bob", "look at Ada's durable", false, func() error { return bob.call(apiConsumer+"INFO.HEADWATER_EVENTS."+adas, "") }},
		{"bob", "remove Ada's durable", false, func() error { return bob.call(apiConsumer+"DELETE.HEADWATER_EVENTS."+adas, "") }},
		{"eve", "take over Ada's durable", false, func() error { return eve.durable(adas, adasEvents) }},
		{"ada", "make a consumer of commands", false, func() error {
			return ada.call(apiConsumer+"CREATE.HEADWATER_COMMANDS.x", strings.Replace(push, "HEADWATER_EVENTS", "HEADWATER_COMMANDS", 1))
		}},
		{"ada", "pull a worker's command", false, func() error {
			return ada.call(apiConsumer+"MSG.NEXT.HEADWATER_COMMANDS.workers-SyncSource", `{"batch":1,"no_wait":true}`)
		}},
		{"ada", "publish an event of hers", false, func() error { return ada.call("headwater.events.acme.w1.ada.src_1.SyncFailed", "{}") }},
		{"ada", "publish a command", false, func() error { return ada.call("headwater.commands.acme.w1.ada.src_1.RemoveSource", "{}") }},
		{"ada", "write a secret", false, func() error { return ada.call("$KV.HEADWATER_SECRETS.keyset", "{}") }},
		{"ada", "read a secret", false, func() error { return ada.call(apiStream+"MSG.GET.KV_HEADWATER_SECRETS", `{"seq":1}`) }},
		{"ada", "read any event by its sequence", false, func() error { return ada.call(apiStream+"MSG.GET.HEADWATER_EVENTS", `{"seq":1}`) }},
		{"ada", "read any event directly", false, func() error { return ada.call(api+"DIRECT.GET.HEADWATER_EVENTS", `{"seq":1}`) }},
		{"ada", "delete an event", false, func() error { return ada.call(apiStream+"MSG.DELETE.HEADWATER_EVENTS", `{"seq":1}`) }},
		{"ada", "purge the events", false, func() error { return ada.call(apiStream+"PURGE.HEADWATER_EVENTS", "") }},
		{"ada", "update the stream", false, func() error {
			return ada.call(apiStream+"UPDATE.HEADWATER_EVENTS", `{"name":"HEADWATER_EVENTS","max_msgs":1}`)
		}},
		{"ada", "delete the stream", false, func() error { return ada.call(apiStream+"DELETE.HEADWATER_EVENTS", "") }},
		{"ada", "make a stream", false, func() error { return ada.call(apiStream+"CREATE.MINE", `{"name":"MINE","subjects":["mine"]}`) }},
		{"ada", "ask $SYS", false, func() error { return ada.call("$SYS.REQ.SERVER.PING", "") }},
		{"ada", "call the proxy as Eve", false, func() error {
			return ada.call(gateSubject+"."+guestName([]string{evesEvents})+".STREAM.INFO.HEADWATER_EVENTS", "")
		}},
		{"ada", "say in a header that she is Eve", false, func() error { return ada.claim(evesEvents) }},
		{"nobody", "connect without a token", false, func() error { return connects(address, nats.UserInfo("any", "")) }},
		{"nobody", "connect with a wrong token", false, func() error { return connects(address, nats.UserInfo("any", "guessed")) }},
		{"nobody", "connect as Headwater itself", false, func() error { return connects(address, nats.UserInfo("headwater", "guessed")) }},
	}
	return list
}

func connects(address string, opts ...nats.Option) error {
	nc, err := nats.Connect("nats://"+address, opts...)
	if err == nil {
		nc.Close()
	}
	return err
}

// runMatrix tries everything and prints the table; nothing may have changed
// that was not allowed to.
func runMatrix(t *testing.T, b *Bus, address string, named func(who, name string) string) {
	t.Helper()
	bobs, foreign := testAddress, testAddress
	bobs.Owner, foreign.Organization = "bob", "evil"
	for _, a := range []event.Address{testAddress, bobs, foreign} {
		appendMany(t, b, a, 2)
	}
	send(t, b, &command.SyncSource{SyncID: "syn_1"})
	before := streamSizes(t, b)
	list := attempts(t, address, named)
	var table strings.Builder
	fmt.Fprintln(&table, "\n| who | attempt | expected | is |\n|---|---|---|---|")
	word := map[bool]string{true: "allowed", false: "denied"}
	for _, a := range list {
		err := a.try()
		for again := 0; a.allowed && errors.Is(err, nats.ErrTimeout) && again < 50; again++ { // a busy machine answers late
			err = a.try()
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", a.who, a.what, word[a.allowed], word[err == nil])
		if a.allowed != (err == nil) {
			t.Errorf("%s: %s: %v", a.who, a.what, err)
		}
	}
	t.Logf("%d attempts%s", len(list), &table)
	if len(list) < 20 {
		t.Errorf("only %d attempts", len(list))
	}
	for name, size := range streamSizes(t, b) {
		if size != before[name] {
			t.Errorf("%s grew from %d to %d", name, before[name], size)
		}
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{Listen: "127.0.0.1:0", Authenticate: matrixGrant})
	runMatrix(t, b, b.Listening(), func(_, name string) string { return name })
}

// TestPermissionsOnCluster does the same on real servers that ask by auth
// callout, with the configuration that is written down for users.
//
// It runs alone: a test that kills leaders has limits to keep meanwhile.
func TestPermissionsOnCluster(t *testing.T) {
	seed, public := bustest.Issuer(t)
	conf, rotated := bustest.CalloutConfig(t, "auth_callout.conf", public, "s3cret"), new(atomic.Bool)
	cluster := bustest.StartConfigured(t, 3, conf, url.UserPassword("headwater", "s3cret"))
	b := openBus(t, Config{URL: cluster.URL, Replicas: 3, AuthIssuer: slices.Concat(seed, []byte("\n")), Authenticate: briefly(rotated)})

	named := func(who, name string) string {
		grant, err := matrixGrant(who)
		if err != nil {
			t.Fatal(err)
		}
		return name + durableSuffix(seed, guestName(slices.Sorted(slices.Values(grant.Subscribe))))
	}
	runMatrix(t, b, cluster.Address(1), named)

	// Several grants share an account there.
	ada := asBearer(t, cluster.Address(2), "ada")
	for _, inbox := range []string{"_INBOX.>", "_INBOX.acme.bob.>", "_INBOX.acme.*.>", "_INBOX.evil.eve.>"} {
		if err := ada.follow(inbox); err == nil {
			t.Errorf("followed %s", inbox)
		}
	}
	if err := ada.durable("billing", adasEvents); err == nil || !strings.Contains(err.Error(), named("ada", "billing")) {
		t.Errorf("a name to guess: %v", err)
	}
	bob := asBearer(t, cluster.Address(0), "bob")
	if err := bob.durable(named("ada", "theirs"), sharedEvents); err == nil {
		t.Error("took the names of another")
	}
	if err := ada.push("_INBOX.acme.bob.x", adasEvents); err == nil {
		t.Error("pushed into Bob's inbox")
	}
	// An answer that is sent to a call of somebody else's is not theirs.
	adas := named("ada", "billing")
	for _, reply := range []string{apiConsumer + "DELETE.HEADWATER_EVENTS." + adas, apiConsumer + "CREATE.HEADWATER_EVENTS." + adas, "headwater.commands.acme.w1.ada.s.RemoveSource"} {
		if err := bob.nc.PublishRequest(api+"STREAM.INFO.HEADWATER_EVENTS", reply, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := bob.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Ada's durable is there", func() bool { return ada.call(apiConsumer+"INFO.HEADWATER_EVENTS."+adas, "") == nil })
	followBriefly(t, b, cluster.Address(2), rotated)
}
