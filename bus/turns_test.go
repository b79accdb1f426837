package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/wire"
)

// sendOf sends a command of a workspace.
func sendOf(t *testing.T, b *Bus, workspace string, n int) {
	t.Helper()
	a := testAddress
	a.Workspace, a.Source = workspace, fmt.Sprintf("src_%s_%d", workspace, n)
	if err := b.Send(t.Context(), testCommand(a, &command.SyncSource{SyncID: fmt.Sprint(n)})); err != nil {
		t.Fatal(err)
	}
}

// watcher counts what is handled of each workspace.
type watcher struct {
	mu      sync.Mutex
	running map[string]int
	most    map[string]int
	order   []string // "workspace/sync" as each began
}

func newWatcher() *watcher { return &watcher{running: map[string]int{}, most: map[string]int{}} }

func (w *watcher) handler(work func(c *command.Command) error) func(*message.Message) error {
	return func(msg *message.Message) error {
		c, err := CommandOf(msg)
		if err != nil {
			return err
		}
		ws := c.Address().Workspace
		w.mu.Lock()
		w.order = append(w.order, ws+"/"+c.Data.(*command.SyncSource).SyncID)
		for _, k := range []string{ws, ""} {
			w.running[k]++
			w.most[k] = max(w.most[k], w.running[k])
		}
		w.mu.Unlock()
		defer func() {
			w.mu.Lock()
			w.running[ws]--
			w.running[""]--
			w.mu.Unlock()
		}()
		return work(c)
	}
}

func (w *watcher) began() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.order...)
}

// A workspace that sends very many commands keeps another's single one waiting
// for a turn, not for all of them.
func TestWorkspacesTakeTurns(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	const many = 200
	for n := range many {
		sendOf(t, b, "a", n)
	}
	w := newWatcher()
	step, sent := make(chan struct{}), make(chan struct{})
	runJobs(t, b, JobsConfig{Command: "SyncSource", Concurrency: 2, PerWorkspace: 2, AckWait: time.Second}, w.handler(func(*command.Command) error {
		select {
		case <-step:
		case <-sent:
		}
		return nil
	}))
	eventually(t, "two to run", func() bool { return len(w.began()) == 2 })
	sendOf(t, b, "b", 0)
	// Until it stands in line; then one turn after the other.
	consumer, err := b.jobs.Consumer(t.Context(), StreamCommands, DurableFor("SyncSource"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "all to be seen", func() bool {
		info, err := consumer.Info(t.Context())
		return err == nil && info.NumPending == 0
	})
	for range 4 {
		step <- struct{}{}
	}
	eventually(t, "four more turns", func() bool { return len(w.began()) >= 6 })
	if began := w.began(); !contains(began[:6], "b/0") {
		t.Errorf("b waited for %v", began)
	}
	close(sent)
	eventually(t, "every command to be done", func() bool { return len(w.began()) == many+1 })
	waitDone(t, b)
	if w.most[""] > 2 || w.most["a"] > 2 {
		t.Errorf("%v at once", w.most)
	}
	for i, name := range w.began()[:5] { // two that run at once may note it in either order
		if name != "b/0" && name > fmt.Sprintf("a/%d", i+1) {
			t.Errorf("the first to begin were %v", w.began()[:5])
			break
		}
	}
	if letters := deadLetters(t, b); len(letters) > 0 {
		t.Errorf("%d were given up", len(letters))
	}
}

func contains(list []string, item string) bool {
	for _, l := range list {
		if l == item {
			return true
		}
	}
	return false
}

func TestWorkspaceHasItsShareAtMost(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	w := newWatcher()
	release := make(chan struct{})
	for n := range 6 {
		sendOf(t, b, "a", n)
		sendOf(t, b, "b", n)
	}
	runJobs(t, b, JobsConfig{Command: "SyncSource", Concurrency: 3, PerWorkspace: 2}, w.handler(func(*command.Command) error { <-release; return nil }))
	eventually(t, "three to run", func() bool { return len(w.began()) == 3 })
	close(release)
	waitDone(t, b)
	if w.most["a"] != 2 || w.most["b"] > 2 || w.most[""] != 3 {
		t.Errorf("%v at once", w.most)
	}
}

// An organization has its share however many workspaces it makes up.
func TestOrganizationsTakeTurns(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	w := newWatcher()
	release := make(chan struct{})
	for n := range 12 {
		sendOf(t, b, fmt.Sprint("made", n), n)
	}
	other := testAddress
	other.Organization, other.Workspace = "another", "w"
	if err := b.Send(t.Context(), testCommand(other, &command.SyncSource{SyncID: "theirs"})); err != nil {
		t.Fatal(err)
	}
	runJobs(t, b, JobsConfig{Command: "SyncSource", Concurrency: 4, PerOrganization: 2}, w.handler(func(*command.Command) error { <-release; return nil }))
	eventually(t, "the other's to run", func() bool { return slices.Contains(w.began(), "w/theirs") })
	if began := w.began(); len(began) > 3 {
		t.Errorf("one organization has %v", began)
	}
	close(release)
	waitDone(t, b)
	if w.most[""] > 3 {
		t.Errorf("%v at once", w.most)
	}
}

// A command that waits for its turn while its process dies, again and again, is
// no command that kills its worker; one whose turn it was is.
func TestWaitingBurnsNoDeliveries(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ turn, done bool }{"waiting": {false, true}, "working": {true, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openBus(t, Config{})
			cfg := JobsConfig{Command: "SyncSource", Concurrency: 1, PerWorkspace: 1, AckWait: 300 * time.Millisecond, MaxDeliver: 2}
			sub, err := b.Jobs(cfg)
			if err != nil {
				t.Fatal(err)
			}
			consumer, err := sub.(*jobs).consumer(t.Context(), "SyncSource")
			if err != nil {
				t.Fatal(err)
			}
			sendOf(t, b, "a", 1)
			for death := range 3 {
				dieInLine(t, &jobSubscription{jobs: sub.(*jobs), consumer: consumer, fetching: t.Context(), working: t.Context()}, death, c.turn)
			}
			var done atomic.Int64
			runJobs(t, b, cfg, func(*message.Message) error { done.Add(1); return nil })
			waitDone(t, b)
			if handled := done.Load() == 1; handled != c.done || len(deadLetters(t, b)) == 1 == c.done {
				t.Errorf("handled: %v, dead letters: %d", handled, len(deadLetters(t, b)))
			}
		})
	}
}

// dieInLine takes the next delivery as a process does that dies while it waits
// for its turn, or just after.
func dieInLine(t *testing.T, s *jobSubscription, deaths int, turn bool) {
	t.Helper()
	in, err := s.consumer.Next(jetstream.FetchMaxWait(testLimit))
	if err != nil {
		t.Fatal(err)
	}
	msg, meta, err := wire.Receive(in)
	if err != nil || int(meta.NumDelivered) != deaths+1 {
		t.Fatalf("delivery %d after %d deaths: %v", meta.NumDelivered, deaths, err)
	}
	line := newTurns(1, 1, 0)
	first, k := line.enter("a"), line.enter("a")
	d := &delivery{jobSubscription: s, in: in, msg: msg, meta: meta}
	ended := make(chan bool, 1)
	before := d.timesPostponed()
	go func() { ended <- (&delivery{jobSubscription: s, in: in, msg: msg, meta: meta}).awaitTurn(k) }()
	eventually(t, "the wait to be noted", func() bool {
		return (&delivery{jobSubscription: s, in: in, msg: msg, meta: &jetstream.MsgMetadata{Stream: meta.Stream, Sequence: meta.Sequence, NumDelivered: 2}}).timesPostponed() == before+1
	})
	if turn {
		line.leave(first)
		if !<-ended {
			t.Fatal("it was not its turn")
		}
	}
}

func TestTurns(t *testing.T) {
	line := newTurns(2, 1, 0)
	isUp := func(k *ticket) bool {
		select {
		case <-k.turn:
			return true
		default:
			return false
		}
	}
	a1, a2, a3, b1, c1 := line.enter("a"), line.enter("a"), line.enter("a"), line.enter("b"), line.enter("c")
	if !isUp(a1) || isUp(a2) || !isUp(b1) || isUp(c1) {
		t.Fatal("the first of a and of b have the first turns")
	}
	line.leave(b1)
	if isUp(a2) || !isUp(c1) {
		t.Fatal("a has its share, so it is c's turn")
	}
	b2 := line.enter("b")
	line.leave(a1)
	if !isUp(a2) || isUp(b2) {
		t.Fatal("a waits for longer than b")
	}
	a4 := line.enter("a")
	line.leave(a3) // gives up waiting
	line.leave(a2)
	if !isUp(b2) || isUp(a4) {
		t.Fatal("b's turn comes before a's next")
	}
	for _, k := range []*ticket{b2, c1, a4} {
		line.leave(k)
	}
	if line.running != 0 || line.waiting != 0 || len(line.places) != 0 || len(line.order) != 0 {
		t.Errorf("something is left: %+v", line)
	}
	for range maxWaitingOfOne + 2 {
		_ = line.enter("a")
	}
	if line.enter("a") != nil {
		t.Error("the line of one workspace has no end")
	}
	for n := 0; line.waiting < maxWaiting; n++ {
		line.enter(fmt.Sprint("w", n/maxWaitingOfOne))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if line.await(ctx); !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Error("there is always room")
	}
	line.leave(line.places["w0"].tickets[0])
	line.await(t.Context())
}

func TestWorkspaceOf(t *testing.T) {
	a := event.Address{Organization: "a.b", Workspace: "w", Source: "s"}
	other := event.Address{Organization: "a", Workspace: "b.w", Source: "s"}
	subject := func(a event.Address) string { return command.SubjectPrefix + "." + a.Tokens() + ".SyncSource" }
	if workspaceOf(subject(a)) == workspaceOf(subject(other)) || workspaceOf(subject(a)) == "" || workspaceOf("x.y") != "" {
		t.Error("two workspaces share a line")
	}
}
