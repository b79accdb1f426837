package handlers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/projections"
)

// setClock is a clock that stands still until it is set.
type setClock struct {
	mu      sync.Mutex
	now     time.Time
	waiting map[chan time.Time]time.Time
	live    bool // it is the system's from now on, whose time events of the log have
}

func newSetClock(text string) *setClock {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return &setClock{now: at, waiting: map[chan time.Time]time.Time{}}
}

func (c *setClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live {
		return time.Now()
	}
	return c.now
}

func (c *setClock) At(t time.Time) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live {
		return time.After(time.Until(t))
	}
	ch := make(chan time.Time, 1)
	c.waiting[ch] = t
	c.ring()
	return ch
}

func (c *setClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.ring()
}

func (c *setClock) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = true
}

func (c *setClock) ring() {
	for ch, at := range c.waiting {
		if !at.After(c.now) {
			ch <- c.now
			delete(c.waiting, ch)
		}
	}
}

// scheduledWorld is a world with a connected source, a clock that is set, and so
// many nodes that look for due runs.
func scheduledWorld(t *testing.T, nodes int) (*world, *setClock) {
	t.Helper()
	clock := newSetClock("2026-03-28T12:00:00Z")
	o := keeping(time.Hour)
	o.Clock = clock
	w := newWorld(t, o)
	w.connect()
	w.nodes(nodes)
	return w, clock
}

// nodes starts as many that look for due runs. They end with the test.
func (w *world) nodes(n int) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var running sync.WaitGroup
	for range n {
		running.Go(func() { w.handlers.RunSchedules(ctx) })
	}
	w.t.Cleanup(func() { cancel(); running.Wait() })
}

func (w *world) schedule(s event.Schedule) projections.Operation {
	w.t.Helper()
	return w.do(&command.ChangeSchedule{Meta: w.operation(event.KindSchedule), Schedule: &s})
}

func (w *world) wantScheduled(s event.Schedule) {
	w.t.Helper()
	if op := w.schedule(s); op.Status != projections.StatusCompleted {
		w.t.Fatalf("schedule: %s %+v", op.Status, op.Targets)
	}
}

// runs returns what became of the runs of the source's schedule, in order.
func (w *world) runs() (all []string) {
	w.t.Helper()
	const short = "02 15:04"
	for _, e := range w.events(w.address) {
		switch d := e.Data.(type) {
		case *event.ScheduleFired:
			all = append(all, fmt.Sprintf("%s %s", d.Due.Format(short), d.Outcome))
		case *event.ScheduleSkipped:
			all = append(all, fmt.Sprintf("%s skipped", d.Due.Format(short)))
		case *event.ScheduleMissed:
			all = append(all, fmt.Sprintf("%s-%s missed %d", d.From.Format(short), d.Through.Format(short), d.Count))
		case *event.SyncCompleted:
			all = append(all, "synced")
		}
	}
	return all
}

func (w *world) wantRuns(want ...string) {
	w.t.Helper()
	w.eventually("the runs "+strings.Join(want, ", "), func() bool { return len(w.runs()) >= len(want) })
	w.idle()
	if got := w.runs(); !slices.Equal(got, want) {
		w.t.Fatalf("runs\n got %v\nwant %v", got, want)
	}
}

func (w *world) document() string {
	w.t.Helper()
	doc, err := w.store.SourceDoc(w.address)
	w.check(err)
	return string(doc)
}

func TestScheduledSyncs(t *testing.T) {
	w, clock := scheduledWorld(t, 1)
	w.wantScheduled(event.Schedule{Every: "1h", Options: []byte(`{"tables":["orders"]}`)})
	if changed := last[*event.ScheduleChanged](w); changed.Version != 1 || changed.Sentence != "every hour" || !changed.NextRun.Equal(clock.Now().Add(time.Hour)) {
		t.Errorf("changed: %+v", changed)
	}
	clock.add(59 * time.Minute)
	w.wantRuns()
	clock.add(time.Minute + 2*time.Second)
	w.wantRuns("28 13:00 started", "synced")
	fired, synced := last[*event.ScheduleFired](w), last[*event.SyncCompleted](w)
	if fired.SyncID != synced.SyncID || fired.LateMS != 2000 || synced.Operation.ID != fired.Operation.ID || synced.Operation.Trigger != event.TriggerSchedule || synced.Operation.Actor != "" {
		t.Errorf("fired %+v\nsynced %+v", fired, synced)
	}
	op, err := w.store.Operation("acme", "w1", fired.Operation.ID)
	if err != nil || op.Status != projections.StatusCompleted || !strings.Contains(string(op.JSON), `"trigger":"schedule"`) {
		t.Errorf("operation %s (%v)", op.JSON, err)
	}
	if doc := w.document(); !strings.Contains(doc, `"next_run":"2026-03-28T14:00:00Z","last_run":{"due":"2026-03-28T13:00:00Z","at":"2026-03-28T13:00:02Z","late_ms":2000,"outcome":"started","runs":1,"sync_id":"`+fired.SyncID) {
		t.Errorf("the list shows %s", doc)
	}
	// The same again changes nothing, and neither does a pause move the hours.
	w.wantScheduled(event.Schedule{Every: "1h", Options: []byte(`{"tables":["orders"]}`)})
	if changed := last[*event.ScheduleChanged](w); !changed.Unchanged || changed.Version != 1 {
		t.Errorf("unchanged: %+v", changed)
	}
	w.wantScheduled(event.Schedule{Every: "1h", Paused: true})
	clock.add(2 * time.Hour)
	w.wantScheduled(event.Schedule{Every: "1h"})
	clock.add(time.Hour)
	w.wantRuns("28 13:00 started", "synced", "28 16:00 started", "synced")
	if op := w.do(&command.ChangeSchedule{Meta: w.operation(event.KindSchedule)}); op.Status != projections.StatusCompleted {
		t.Errorf("remove: %s", op.JSON)
	}
	clock.add(5 * time.Hour)
	w.wantRuns("28 13:00 started", "synced", "28 16:00 started", "synced")
	if !strings.Contains(w.document(), `"schedule":null`) {
		t.Errorf("the list shows %s", w.document())
	}
}

// TestNodeDown: nobody is there for an hour and more.
func TestNodeDown(t *testing.T) {
	for missed, want := range map[string][]string{
		"once": {"28 12:10-28 13:20 missed 8", "28 13:30 started", "synced"},
		"skip": {"28 12:10-28 13:30 missed 9", "28 13:40 started", "synced"},
	} {
		t.Run(missed, func(t *testing.T) {
			w, clock := scheduledWorld(t, 0)
			w.wantScheduled(event.Schedule{Cron: "*/10 * * * *", Missed: missed})
			clock.add(96 * time.Minute)
			w.nodes(1)
			if missed == "skip" {
				w.wantRuns(want[:1]...)
				clock.add(5 * time.Minute)
			}
			w.wantRuns(want...)
			if m := last[*event.ScheduleMissed](w); m.Reason != event.ReasonTimeout || m.NextRun == nil {
				t.Errorf("missed %+v", m)
			}
		})
	}
}

// TestClockChange: a daily run has its sync on the day on which its time does not
// exist, and one on the day on which it comes twice.
func TestClockChange(t *testing.T) {
	w, clock := scheduledWorld(t, 1)
	w.wantScheduled(event.Schedule{Cron: "30 2 * * *", TimeZone: "Europe/Berlin"})
	clock.add(13*time.Hour + time.Minute) // 02:30 is left out: 03:00 there
	w.wantRuns("29 01:00 started", "synced")
	clock.add(24 * time.Hour)
	w.wantRuns("29 01:00 started", "synced", "30 00:30 started", "synced")
	w.wantScheduled(event.Schedule{Cron: "30 2 25 10 *", TimeZone: "Europe/Berlin"})
	clock.add(210 * 24 * time.Hour)
	for range 3 * 24 {
		clock.add(20 * time.Minute)
	}
	w.eventually("the run of October", func() bool { return len(w.runs()) == 6 })
	if fired := last[*event.ScheduleFired](w); fired.Due.Format(time.RFC3339) != "2026-10-25T00:30:00Z" {
		t.Errorf("fired %+v", fired)
	}
}

// TestManyNodes: three look for due runs, and the workers of all of them die
// between the decision and the sync, once a run.
func TestManyNodes(t *testing.T) {
	w, clock := scheduledWorld(t, 3)
	w.handlers.schedules.Commands = dyingSends{w.bus, w}
	w.wantScheduled(event.Schedule{Every: "1m"})
	var want []string
	for i := range 5 {
		w.seams.kill("decided", 1)
		clock.add(time.Minute)
		want = append(want, fmt.Sprintf("28 12:%02d started", i+1), "synced")
		w.wantRuns(want...)
	}
	if got := w.seams.killed(); got != 5 {
		t.Errorf("%d workers died", got)
	}
}

// dyingSends sends no sync for a worker that was killed.
type dyingSends struct {
	history.Commands
	w *world
}

func (d dyingSends) Send(ctx context.Context, c *command.Command) error {
	if _, sync := c.Data.(*command.SyncSource); sync && d.w.seams.alive() != nil {
		return errKilled
	}
	return d.Commands.Send(ctx, c)
}

func TestOverlap(t *testing.T) {
	for overlap, want := range map[string][]string{
		"attach": {"28 12:01 started", "28 12:02 attached", "synced", "28 12:03 started", "synced"},
		"skip":   {"28 12:01 started", "28 12:02 skipped", "synced", "28 12:03 started", "synced"},
	} {
		t.Run(overlap, func(t *testing.T) {
			w, clock := scheduledWorld(t, 1)
			hold := make(chan struct{})
			w.source.onBatch = func(ctx context.Context, _ string, _ int) error {
				select {
				case <-hold:
				case <-ctx.Done():
				}
				return nil
			}
			w.wantScheduled(event.Schedule{Every: "1m", Overlap: overlap, Options: []byte(`{"batch_size":10}`)})
			clock.add(time.Minute)
			w.eventually("the sync to begin", func() bool { return slices.Contains(w.names(w.address), "SyncStarted") })
			clock.add(time.Minute)
			w.eventually("the run to be decided", func() bool { return len(w.runs()) == 2 })
			close(hold)
			w.eventually("the sync to end", func() bool { return len(w.runs()) == 3 })
			clock.add(time.Minute)
			w.wantRuns(want...)
			for _, e := range w.events(w.address) {
				if d, ok := e.Data.(*event.ScheduleFired); ok {
					if op, err := w.store.Operation("acme", "w1", d.Operation.ID); err != nil || op.Status != projections.StatusCompleted {
						t.Errorf("the run due %s: %s (%v)", d.Due, op.JSON, err)
					}
				}
			}
		})
	}
}

// TestScheduleAfter: each sync of one source begins one of another; a circle is
// refused, however long.
func TestScheduleAfter(t *testing.T) {
	w, clock := scheduledWorld(t, 1)
	first := w.address
	other := func(name string) event.Address {
		a := first
		a.Source = projections.SourceID("acme", "w1", "ada", name, 0)
		w.address = a
		c := w.connectCommand(`{"host":"a"}`, `{"password":"hunter2"}`)
		c.Name = name
		if op := w.do(c); op.Status != projections.StatusCompleted {
			t.Fatalf("connect: %+v", op.Targets)
		}
		return a
	}
	second, third := other("second"), other("third")
	clock.run()
	at := func(a event.Address) *world { w.address = a; return w }
	at(second).wantScheduled(event.Schedule{After: first.Source})
	if s := last[*event.ScheduleChanged](w); s.Sentence != "after each sync of shop" || s.NextRun != nil {
		t.Errorf("changed %+v", s)
	}
	at(third).wantScheduled(event.Schedule{After: second.Source})
	w.wantRefused(at(first).schedule(event.Schedule{After: third.Source}), event.ReasonInvalidConfig, "round in a circle")
	w.wantRefused(at(first).schedule(event.Schedule{After: first.Source}), event.ReasonInvalidConfig, "after: the source cannot be synced after itself")
	w.wantRefused(at(first).schedule(event.Schedule{After: "src_nobody"}), event.ReasonNotFound, "there is no source")
	for n := 1; n <= 2; n++ {
		at(first).do(w.syncCommand(command.SyncOptions{}))
		for _, a := range []event.Address{second, third} {
			at(a).eventually("the syncs that follow", func() bool { return len(w.runs()) == 2*n })
		}
	}
	if fired := last[*event.ScheduleFired](at(second)); fired.AfterSync == "" || fired.NextRun != nil {
		t.Errorf("fired %+v", fired)
	}
	w.idle()
	// One that failed begins none.
	w.source.onOpen = func(string) error { return errors.New("down") }
	at(first).do(w.syncCommand(command.SyncOptions{}))
	w.idle()
	if got := at(second).runs(); len(got) != 4 {
		t.Errorf("runs %v", got)
	}
}

// TestRemovedSchedule: the schedule of a removed source rests, and goes on when
// it is restored.
func TestRemovedSchedule(t *testing.T) {
	w, clock := scheduledWorld(t, 1)
	w.wantScheduled(event.Schedule{Cron: "0 * * * *"})
	w.remove(false)
	clock.add(3*time.Hour + time.Minute)
	w.wantRuns()
	if due, next, err := w.store.DueRuns(clock.Now(), 10); len(due) > 0 || !next.IsZero() || err != nil {
		t.Errorf("of a removed source %v are due, and then at %s (%v)", due, next, err)
	}
	clock.mu.Lock() // events of the log carry the system's time
	clock.now = time.Now()
	clock.mu.Unlock()
	w.wantRestored()
	w.eventually("what was missed to be told", func() bool { return len(w.runs()) == 1 })
	if m := last[*event.ScheduleMissed](w); m.Reason != event.ReasonSourceRemoved || !m.NextRun.After(clock.Now()) {
		t.Errorf("missed %+v", m)
	}
	clock.add(time.Hour)
	w.eventually("the next run", func() bool { return len(w.runs()) == 3 })
}

// TestRunIsGivenUp: a run that cannot be decided about is told of as missed, and
// the next is carried out.
func TestRunIsGivenUp(t *testing.T) {
	w, clock := scheduledWorld(t, 1)
	w.wantScheduled(event.Schedule{Every: "1h"})
	w.faults.append = func(e *event.Event) error {
		if _, fired := e.Data.(*event.ScheduleFired); fired {
			return errors.New("no")
		}
		return nil
	}
	clock.add(time.Hour)
	w.wantRuns("28 13:00-28 13:00 missed 1")
	if m := last[*event.ScheduleMissed](w); m.Reason != event.ReasonInternal || !m.Operation.Final {
		t.Errorf("missed %+v", m)
	}
	w.faults.append = nil
	clock.add(time.Hour)
	w.wantRuns("28 13:00-28 13:00 missed 1", "28 14:00 started", "synced")
}

// TestScheduledSyncFollowsAnother: one that finds another running when its turn
// comes counts as that one, whatever its options.
func TestScheduledSyncFollowsAnother(t *testing.T) {
	w, _ := scheduledWorld(t, 0)
	hold := make(chan struct{})
	w.source.onBatch = func(ctx context.Context, _ string, _ int) error {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return nil
	}
	mine := w.syncCommand(command.SyncOptions{})
	w.send(mine)
	w.eventually("the sync to begin", func() bool { return slices.Contains(w.names(w.address), "SyncStarted") })
	run := w.syncCommand(command.SyncOptions{BatchSize: 10})
	run.Operation.Trigger = event.TriggerSchedule
	w.send(run)
	asked := w.do(w.syncCommand(command.SyncOptions{BatchSize: 10}))
	close(hold)
	if op := w.ended(run); op.Status != projections.StatusCompleted || op.Targets[0].SyncID != mine.SyncID || asked.Status != projections.StatusFailed {
		t.Errorf("the run %s, who asked %s", op.JSON, asked.JSON)
	}
}
