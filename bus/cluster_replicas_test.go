package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/bustest"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/wire"
)

// A cluster whose servers come up one after the other is waited for, and the
// error says what it lacks.
func TestOpenWaitsForTheCluster(t *testing.T) {
	t.Parallel()
	c := bustest.New(t, 3)
	for running, lacks := range []string{"nothing answers at 127.0.0.1", "it has no leader"} {
		if running > 0 {
			c.Start(t, running-1)
		}
		began := time.Now()
		_, err := Open(t.Context(), Config{URL: c.URL, Replicas: 3, StartWait: 2 * time.Second})
		if err == nil || !strings.Contains(err.Error(), "was not ready within 2s: "+lacks) {
			t.Errorf("with %d of 3 servers: %v", running, err)
		}
		if took := time.Since(began); took > startWait/2 {
			t.Errorf("with %d of 3 servers: gave up after %s", running, took)
		}
	}
	var nodes sync.WaitGroup
	for range 2 {
		nodes.Go(func() {
			b, err := Open(t.Context(), Config{URL: c.URL, Replicas: 3, Log: testLog()})
			if err != nil {
				t.Errorf("the cluster came up while it was waited for: %v", err)
				return
			}
			for name, s := range b.buckets {
				if got := s.stream.CachedInfo().Config.Replicas; got != 3 {
					t.Errorf("bucket %s has %d replicas", name, got)
				}
			}
			closeBus(t, b)
		})
	}
	c.Start(t, 1)
	c.Start(t, 2)
	nodes.Wait()
}

// What a cluster lacks is said in the words of who runs it.
func TestAdvice(t *testing.T) {
	t.Parallel()
	cfg := Config{URL: "nats://a:secret@one:4222,two:4222", Replicas: 3}
	for want, err := range map[string]error{
		": nothing answers at one:4222, two:4222":                                  nats.ErrNoServers,
		": 3 copies need as many servers with JetStream that are up and have room": fmt.Errorf("create: %w", &jetstream.APIError{Code: 400, ErrorCode: errNoPeers}),
		": it has no leader, which takes a majority of its servers":                &jetstream.APIError{Code: 503, ErrorCode: wire.ErrCodeNoLeader},
		": its servers do not have JetStream enabled, or not yet":                  nats.ErrNoResponders,
	} {
		if got := advice(err, cfg); got != want || !forming(err) {
			t.Errorf("%v: %q, wanted %q", err, got, want)
		}
	}
	for _, err := range []error{ErrUnsafe, ErrHistoryMissing, nats.ErrAuthorization, &jetstream.APIError{ErrorCode: 10074}} {
		if forming(err) {
			t.Errorf("%v is waited for", err)
		}
	}
}

// TestLeadersDie kills the leaders of a stream and of a bucket in turn. Every call is
// answered, none with an error, and nothing is stored twice.
func TestLeadersDie(t *testing.T) {
	t.Parallel()
	c := bustest.Start(t, 3)
	one, two := openBus(t, Config{URL: c.URL, Replicas: 3}), openBus(t, Config{URL: c.URL, Replicas: 3})
	handled := make(chan string, 100)
	for _, b := range []*Bus{one, two} {
		runJobs(t, b, JobsConfig{Command: "SyncSource", AckWait: 5 * time.Second}, func(msg *message.Message) error {
			handled <- msg.UUID
			return nil
		})
	}
	reader, err := two.Ordered(0).Subscribe(t.Context(), event.SubjectPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	var last, revision uint64
	round := func(name string, b *Bus) {
		t.Helper()
		cmd := testCommand(testAddress, &command.SyncSource{})
		if err := b.Send(t.Context(), cmd); err != nil {
			t.Errorf("%s: send: %v", name, err)
		}
		if got, err := b.LastSequence(t.Context(), testAddress); err != nil || got != last {
			t.Errorf("%s: last sequence %d, %v; wanted %d", name, got, err, last)
		}
		e := testEvent(testAddress, &event.SyncFailed{Message: strings.Repeat("x", MaxInline+int(last))})
		if _, err := b.Append(t.Context(), last, e); err != nil || e.Sequence != last+1 {
			t.Fatalf("%s: append behind %d: %d, %v", name, last, e.Sequence, err)
		}
		last = e.Sequence
		bucket := b.Bucket(BucketCatalog)
		if revision == 0 {
			revision, err = bucket.Create(t.Context(), "k", []byte(name), 0)
		} else {
			revision, err = bucket.Update(t.Context(), "k", []byte(name), revision)
		}
		if err != nil {
			t.Fatalf("%s: write a key: %v", name, err)
		}
		if got, err := b.Bucket(BucketCatalog).Get(t.Context(), "k"); err != nil || string(got.Value) != name || got.Revision != revision {
			t.Errorf("%s: read a key: %q %d, %v", name, got.Value, got.Revision, err)
		}
		select {
		case id := <-handled:
			if id != cmd.ID {
				t.Errorf("%s: handled %s, sent %s", name, id, cmd.ID)
			}
		case <-time.After(testLimit):
			t.Fatalf("%s: the command was not handled", name)
		}
		select {
		case msg := <-reader:
			if got, err := EventOf(msg); err != nil || got.Sequence != last {
				t.Errorf("%s: read %+v, %v", name, got, err)
			}
		case <-time.After(testLimit):
			t.Fatalf("%s: the event was not read", name)
		}
	}
	round("before", one)
	for i, stream := range []string{StreamEvents, kvStream(BucketCatalog)} {
		c.WaitCurrent(t)
		leader := c.Leader(t, stream)
		c.Kill(leader)
		began := time.Now()
		round("without the leader of "+stream, []*Bus{one, two}[i%2])
		t.Logf("%s: %s without its leader", stream, time.Since(began).Round(time.Millisecond))
		c.Start(t, leader)
		round("with it again", []*Bus{two, one}[i%2])
	}
	// Beyond the majority nothing is confirmed, and the caller is told so: also by
	// a leader that is left alone and takes itself for one for 20 s more.
	c.WaitCurrent(t)
	eventually(t, "the quorum is seen", func() bool { return one.Quorum(t.Context()) == nil })
	leader := c.Leader(t, StreamEvents)
	c.Kill((leader + 1) % 3)
	c.Kill((leader + 2) % 3)
	began := time.Now()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		err := one.Quorum(ctx)
		cancel()
		if errors.Is(err, ErrUnavailable) && strings.Contains(err.Error(), StreamEvents+": ") {
			t.Logf("without a majority, after %s: %v", time.Since(began).Round(100*time.Millisecond), err)
			break
		}
		if time.Since(began) > quorumSilence+7*time.Second {
			t.Fatalf("without a majority for %s the quorum is %v", time.Since(began), err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := one.Append(ctx, last, testEvent(testAddress, &event.SyncStarted{})); !errors.Is(err, ErrUnavailable) {
		t.Errorf("stored without a majority: %v", err)
	}
	if _, err := one.Bucket(BucketCatalog).Update(ctx, "k", nil, revision); !errors.Is(err, ErrUnavailable) {
		t.Errorf("wrote a key without a majority: %v", err)
	}
}

// A server that vanishes without a word, as one that loses its power or its
// network does, is left for another one before a publish is given up.
func TestSilentServerIsLeft(t *testing.T) {
	t.Parallel()
	c := bustest.StartParted(t, 3)
	b := openBus(t, Config{URL: c.URL, Replicas: 3})
	c.WaitCurrent(t)
	mine := slices.Index(strings.Split(c.URL, ","), b.conns[0].ConnectedUrl())
	if mine < 0 {
		t.Fatalf("connected to %s, not one of %s", b.conns[0].ConnectedUrl(), c.URL)
	}
	c.CutOff(mine)
	began := time.Now()
	if _, err := b.Append(t.Context(), 0, testEvent(testAddress, &event.SyncStarted{})); err != nil {
		t.Errorf("append, with the server gone: %v", err)
	}
	t.Logf("stored after %s", time.Since(began).Round(100*time.Millisecond))
	c.Heal()
}
