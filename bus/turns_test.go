package bus

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus/command"
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
	letAll := sync.OnceFunc(func() { close(sent) })
	defer letAll()
	runJobs(t, b, JobsConfig{Command: "SyncSource", Concurrency: 2, PerWorkspace: 2, AckWait: 10 * time.Second}, w.handler(func(*command.Command) error {
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
	letAll()
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
