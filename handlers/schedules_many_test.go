package handlers

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/handlers/readmodel"
)

// countedSends takes the syncs that runs begin, and leaves the rest to the bus.
type countedSends struct {
	history.Commands
	mu    sync.Mutex
	syncs map[string]int // by the id of the command
	of    map[string]int // by source
}

func (c *countedSends) Send(ctx context.Context, cmd *command.Command) error {
	if _, sync := cmd.Data.(*command.SyncSource); !sync {
		return c.Commands.Send(ctx, cmd)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.syncs[cmd.ID]++; c.syncs[cmd.ID] == 1 {
		c.of[cmd.Address().Source]++
	}
	return nil
}

// TestThousandsAtOnce: as many schedules of the same minute, spread over it by
// their jitter, on three nodes. None is lost and none is doubled.
func TestThousandsAtOnce(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 500
	}
	w, clock := scheduledWorld(t, 0)
	sends := &countedSends{Commands: w.bus, syncs: map[string]int{}, of: map[string]int{}}
	w.handlers.schedules.Commands = sends
	var made errgroup.Group
	made.SetLimit(64)
	spread := map[time.Time]int{}
	for i := range n {
		a := w.address
		a.Source = fmt.Sprintf("src_%d", i)
		c, s := &event.SourceConnected{Name: a.Source, Connector: "fake", ConfigVersion: 1}, event.Schedule{Cron: "0 13 * * *", Jitter: "5m"}
		changed := &event.ScheduleChanged{Version: 1}
		c.Meta, changed.Meta = event.At(a, event.Operation{ID: "op_all"}), event.At(a, event.Operation{ID: "op_all"})
		j := w.handlers.histories.Job(&command.Command{Data: &command.ChangeSchedule{Meta: command.Meta{Meta: changed.Meta}}})
		if why, err := w.handlers.schedules.Fill(j, history.View{}, s, changed); why != nil || err != nil {
			t.Fatal(why, err)
		}
		spread[changed.NextRun.Truncate(time.Minute)]++
		made.Go(func() error {
			after, err := w.bus.Append(t.Context(), 0, &event.Event{ID: history.EventID(a.Source, "a", ""), Time: time.Now(), Data: c})
			if err == nil {
				_, err = w.bus.Append(t.Context(), after, &event.Event{ID: history.EventID(a.Source, "b", ""), Time: time.Now(), Data: changed})
			}
			return err
		})
	}
	w.check(made.Wait())
	for minute, some := range spread {
		if want := n / 5; len(spread) > 6 || some > want+want/3+1 {
			t.Errorf("%d of %d runs are due in the minute of %s", some, n, minute)
		}
	}
	w.nodes(1)
	begun := time.Now()
	clock.add(time.Hour - time.Second)
	for range 62 {
		clock.add(5 * time.Second)
	}
	done := func() int {
		sends.mu.Lock()
		defer sends.mu.Unlock()
		return len(sends.of)
	}
	for limit := time.Now().Add(4 * patience); done() < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%d of %d runs", done(), n)
		}
	}
	t.Logf("%d runs in %v", n, time.Since(begun))
	w.eventually("every run to be in the index no more", func() bool {
		due, _, err := w.store.DueRuns(clock.Now(), n)
		return err == nil && len(due) == 0
	})
	w.idle()
	for source, times := range sends.of {
		if times != 1 {
			t.Errorf("%s was synced %d times", source, times)
		}
	}
}

// countedLooks is a State with no runs but the given that counts who looks for them.
type countedLooks struct {
	readmodel.State
	looks chan struct{}
	due   []readmodel.DueRun
	next  time.Time
}

func (c countedLooks) DueRuns(time.Time, int) ([]readmodel.DueRun, time.Time, error) {
	c.looks <- struct{}{}
	return c.due, c.next, nil
}

func (c countedLooks) WatchRuns(context.Context) <-chan struct{} { return nil }

// TestNoneDue: between two runs nobody looks more than once a minute.
func TestNoneDue(t *testing.T) {
	clock := newSetClock("2026-03-28T12:00:00Z")
	state := countedLooks{looks: make(chan struct{}), next: clock.Now().Add(150 * time.Second)}
	h := New(Deps{State: state, Options: Options{Clock: clock}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go h.RunSchedules(ctx)
	<-state.looks
	for _, want := range []time.Duration{time.Minute, time.Minute, 30 * time.Second} {
		if got := clock.asleep(); got != want {
			t.Errorf("sleeps for %s, want %s", got, want)
		}
		clock.add(want)
		<-state.looks
	}
}

// asleep returns for how long somebody waits, once somebody does.
func (c *setClock) asleep() time.Duration {
	for {
		c.mu.Lock()
		for _, until := range c.waiting {
			rest := until.Sub(c.now)
			c.mu.Unlock()
			return rest
		}
		c.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}

// slowSends takes a while for each command, which is passed on to nobody.
type slowSends struct {
	clock *setClock
	takes time.Duration
}

func (s slowSends) Send(context.Context, *command.Command) error {
	s.clock.add(s.takes)
	return nil
}

// TestSendingIsNoRest: the next run is not later by as long as it takes to send those
// that are due.
func TestSendingIsNoRest(t *testing.T) {
	for takes, want := range map[time.Duration]time.Duration{40 * time.Second: 10 * time.Second, 50 * time.Second: 0, time.Hour: 0} {
		clock := newSetClock("2026-03-28T12:00:00Z")
		due := []readmodel.DueRun{{Address: event.Address{Organization: "acme", Workspace: "w1", Owner: "ada", Source: "src_1"}, Version: 1, Due: clock.Now()}}
		state := countedLooks{looks: make(chan struct{}), due: due, next: clock.Now().Add(50 * time.Second)}
		h := New(Deps{State: state, Commands: slowSends{clock, takes}, Options: Options{Clock: clock}})
		ctx, cancel := context.WithCancel(t.Context())
		go h.RunSchedules(ctx)
		<-state.looks
		if want > 0 {
			if got := clock.asleep(); got != want {
				t.Errorf("after %s of sending it sleeps for %s, want %s", takes, got, want)
			}
			clock.add(want)
		}
		select {
		case <-state.looks:
		case <-time.After(patience):
			t.Errorf("after %s of sending nobody looks again", takes)
		}
		cancel()
	}
}
