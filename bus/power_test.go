package bus

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/command"
	"headwater/bus/event"
)

// A machine that loses its power in the moment between the broker's handing out
// a batch and its sync comes back with consumers that have read what is not
// there. The broker sets them back, or they would skip what is stored next.
func TestConsumersAheadOfTheStream(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	messages := filepath.Join(dir, "jetstream", "$G", "streams", StreamEvents, "msgs")
	b := openBus(t, Config{Dir: dir})
	appendEvents(t, b, 7)
	policies := map[string]jetstream.DeliverPolicy{"all": jetstream.DeliverAllPolicy, "new": jetstream.DeliverNewPolicy}
	for name, policy := range policies {
		cfg := jetstream.ConsumerConfig{Durable: name, DeliverPolicy: policy, AckPolicy: jetstream.AckExplicitPolicy, FilterSubjects: []string{event.SubjectPrefix + ".acme.>"}}
		if _, err := b.events.CreateConsumer(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	closeBus(t, b)
	kept := filepath.Join(t.TempDir(), "msgs")
	if err := os.CopyFS(kept, os.DirFS(messages)); err != nil {
		t.Fatal(err)
	}
	b = openBus(t, Config{Dir: dir})
	appendEvents(t, b, 3)
	if got := takeEvents(t, b, "all", 10); got[9] != 10 {
		t.Fatalf("read %d", got)
	}
	if got := takeEvents(t, b, "new", 3); got[0] != 8 {
		t.Fatalf("read %d", got)
	}
	closeBus(t, b)

	// The last three never reached the disk.
	if err := os.RemoveAll(messages); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(messages, os.DirFS(kept)); err != nil {
		t.Fatal(err)
	}
	b = openBus(t, Config{Dir: dir})
	appendEvents(t, b, 6)
	for name, first := range map[string]uint64{"all": 8, "new": 8} {
		got := takeEvents(t, b, name, int(14-first))
		if got[0] != first || got[len(got)-1] != 13 {
			t.Errorf("consumer %s goes on with %d", name, got)
		}
	}
}

func appendEvents(t *testing.T, b *Bus, n int) {
	t.Helper()
	for i := range n {
		a := testAddress
		a.Source = fmt.Sprintf("src_%s_%d", testID(), i)
		if _, err := b.Append(t.Context(), 0, testEvent(a, &event.SyncFailed{})); err != nil {
			t.Fatal(err)
		}
	}
}

// takeEvents reads and acks that many events of a consumer and returns their sequences.
func takeEvents(t *testing.T, b *Bus, name string, n int) (sequences []uint64) {
	t.Helper()
	consumer, err := b.events.Consumer(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(n, jetstream.FetchMaxWait(testLimit))
	if err != nil {
		t.Fatal(err)
	}
	for m := range batch.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		sequences = append(sequences, meta.Sequence.Stream)
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(sequences) != n {
		t.Fatalf("consumer %s read %d, wanted %d", name, sequences, n)
	}
	return sequences
}

// What is done is removed while commands are sent, handled, put off and failed;
// nothing else is.
func TestTrimmingLeavesWhatIsNotDone(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	const many = 1600
	var tries sync.Map
	var handled atomic.Int64
	handle := func(msg *message.Message) error {
		n, _ := tries.LoadOrStore(msg.UUID, new(atomic.Int32))
		switch n.(*atomic.Int32).Add(1) {
		case 1:
			switch len(msg.UUID) % 3 * int(msg.UUID[len(msg.UUID)-1]) % 7 {
			case 1:
				return Snooze(time.Millisecond)
			case 2:
				return fmt.Errorf("not now")
			}
		}
		handled.Add(1)
		return nil
	}
	now := func(int) time.Duration { return time.Millisecond }
	runJobs(t, b, JobsConfig{Command: "RemoveSource", Concurrency: 16, AckWait: 3 * time.Second, Backoff: now}, handle)
	runJobs(t, b, JobsConfig{Command: "SyncSource", Concurrency: 4, PerWorkspace: 2, AckWait: 3 * time.Second, Backoff: now}, handle)

	done := make(chan struct{})
	var trimming sync.WaitGroup
	trimming.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := b.trimmer().Trim(t.Context(), 0); err != nil {
				t.Errorf("trim: %v", err)
				return
			}
		}
	})
	var sending sync.WaitGroup
	for w := range 16 {
		sending.Go(func() {
			for n := range many / 16 {
				var data command.Data = &command.RemoveSource{}
				if n%25 == 0 {
					data = &command.SyncSource{SyncID: "syn_" + testID()}
				}
				a := testAddress
				a.Source = fmt.Sprintf("src_%d_%d", w, n)
				c := testCommand(a, data)
				c.ID = strings.Repeat("x", n%3) + c.ID
				if err := b.Send(t.Context(), c); err != nil {
					t.Errorf("send: %v", err)
				}
			}
		})
	}
	sending.Wait()
	eventually(t, "all to be handled", func() bool { return handled.Load() >= many/16*16 })
	close(done)
	trimming.Wait()
	// A verb without a consumer keeps its commands, as does one of another build.
	if _, err := b.jobs.CreateConsumer(t.Context(), StreamCommands, jetstream.ConsumerConfig{Durable: "workers-Compact",
		FilterSubject: command.SubjectPrefix + ".*.*.*.*.Compact", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.publish.Publish(t.Context(), command.SubjectPrefix+".a.w.o.s.Compact", nil); err != nil {
		t.Fatal(err)
	}
	open := testCommand(testAddress, &command.PurgeSource{})
	if err := b.Send(t.Context(), open); err != nil {
		t.Fatal(err)
	}
	s, err := b.publish.Stream(t.Context(), StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "only what is not done is left", func() bool {
		if err := b.trimmer().Trim(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		info, err := s.Info(t.Context())
		return err == nil && info.State.Msgs == 2
	})
	if got := handled.Load(); got != many/16*16 {
		t.Errorf("%d were handled, %d sent", got, many/16*16)
	}
}

const killedDir = "HEADWATER_TEST_KILLED_DIR"

// TestKilledChild is the process that TestConfirmedSurvivesKills kills.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killedDir)
	if dir == "" {
		t.Skip("runs in a child process")
	}
	b := openBus(t, Config{Dir: dir})
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 10_000 {
				a := testAddress
				a.Source = strings.ToLower("src_" + rand.Text())
				sequence, err := b.Append(t.Context(), 0, testEvent(a, &event.SyncFailed{}))
				if err != nil {
					return
				}
				fmt.Printf("stored %s %d\n", a.Source, sequence)
			}
		})
	}
	wg.Wait()
}

// What is confirmed is there after a kill, also in the middle of a batch, under
// the sequence that was told.
func TestConfirmedSurvivesKills(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	confirmed := map[uint64]string{}
	for range 3 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledChild$", "-test.v")
		child.Env = append(os.Environ(), killedDir+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines, told := bufio.NewScanner(out), 0
		for lines.Scan() {
			var source string
			var sequence uint64
			if n, _ := fmt.Sscanf(lines.Text(), "stored %s %d", &source, &sequence); n != 2 {
				continue
			}
			if other := confirmed[sequence]; other != "" {
				t.Fatalf("sequence %d is confirmed for %s and %s", sequence, other, source)
			}
			confirmed[sequence] = source
			if told++; told == 500 {
				_ = child.Process.Kill()
			}
		}
		_ = child.Wait()
		if told < 500 {
			t.Fatalf("the child ended after %d events", told)
		}
	}
	b := openBus(t, Config{Dir: dir})
	state, err := b.EventsState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	there := map[uint64]string{}
	for _, e := range readEvents(t, b, 0, int(state.Last)) {
		there[e.Sequence] = e.Address().Source
	}
	for sequence, source := range confirmed {
		if there[sequence] != source {
			t.Errorf("event %d of %s was confirmed and is of %q now", sequence, source, there[sequence])
		}
	}
	t.Logf("%d confirmed, %d there", len(confirmed), state.Last)
}
