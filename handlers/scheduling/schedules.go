// Package scheduling carries schedules out: it finds the runs that are due, decides about
// each once, and begins its sync. When runs are due is computed by package schedule.
package scheduling

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/clock"
	"headwater/handlers/history"
	"headwater/handlers/outcome"
	"headwater/handlers/readmodel"
	"headwater/handlers/schedule"
)

// planOf returns when a schedule's runs are due. A schedule is checked before it
// is stored, so an error says that this build knows less than the one that did.
func planOf(s *readmodel.Scheduled, source string) (schedule.Plan, error) {
	parsed, err := schedule.Load(s.Schedule)
	if err != nil {
		return schedule.Plan{}, fmt.Errorf("read the schedule: %w", err)
	}
	return parsed.Of(source, s.Anchor), nil
}

const (
	runsAtOnce  = 256              // due runs that are looked at together
	sentAtOnce  = 32               // commands that are sent at a time
	sentAgain   = time.Minute      // a command that nobody carried out until then is sent once more
	longestRest = time.Minute      // a clock that is put forward is noticed then
	syncTime    = 24 * time.Hour   // the deadline of a scheduled sync
	retryRuns   = 10 * time.Second // after an error
)

// Schedules carries schedules out and changes them. It is safe for concurrent use.
type Schedules struct {
	State    readmodel.State
	Commands history.Commands
	Clock    clock.Clock
	Stopping <-chan struct{} // ends Run
	Log      *slog.Logger
}

// Run sends FireSchedule for every run of a schedule that is due, until ctx
// or Stopping ends. Between two runs it sleeps until the first key of an index of due times. Any
// number of nodes may run it: a command's id derives from the run, the bus stores it
// once, and its handler decides once. Failures go to the log and are tried again.
func (r *Schedules) Run(ctx context.Context) {
	changes := r.State.WatchRuns(ctx)
	sent := map[string]time.Time{}
	for {
		until, err := r.sendDue(ctx, sent)
		if err != nil && ctx.Err() == nil {
			r.Log.Warn("due runs of schedules could not be sent and will be tried again", "error", err)
		}
		select {
		case <-r.Clock.At(until):
		case <-changes:
		case <-r.Stopping:
			return
		case <-ctx.Done():
			return
		}
	}
}

// sendDue sends what is due and was not sent of late, and returns until when there
// is nothing more to do: by the clock as it was before, however long the sending takes.
func (r *Schedules) sendDue(ctx context.Context, sent map[string]time.Time) (time.Time, error) {
	now := r.Clock.Now()
	due, next, err := r.State.DueRuns(now, runsAtOnce)
	if err != nil {
		return now.Add(retryRuns), fmt.Errorf("look for due runs: %w", err)
	}
	until := now.Add(longestRest)
	if !next.IsZero() && len(due) < runsAtOnce && next.Before(until) {
		until = next
	}
	sending, ctx := errgroup.WithContext(ctx)
	sending.SetLimit(sentAtOnce)
	still := make(map[string]bool, len(due))
	for _, d := range due {
		c := fireCommand(d)
		still[c.ID] = true
		if at, ok := sent[c.ID]; ok && now.Sub(at) < sentAgain && !now.Before(at) {
			continue
		}
		sent[c.ID] = now
		sending.Go(func() error { return r.Commands.Send(ctx, c) })
	}
	for id := range sent {
		if !still[id] {
			delete(sent, id)
		}
	}
	if err := sending.Wait(); err != nil {
		clear(sent)
		return r.Clock.Now().Add(retryRuns), err
	}
	return until, nil
}

// fireCommand returns the command of a due run, the same on every node.
func fireCommand(d readmodel.DueRun) *command.Command {
	run := d.Address.Tokens() + "." + strconv.Itoa(d.Version) + "." + strconv.FormatInt(d.Due.UnixMilli(), 10)
	return &command.Command{
		ID: history.EventID(run, "FireSchedule", ""), Time: time.Now().UTC(),
		Data: &command.FireSchedule{
			Meta:    command.Meta{Meta: event.At(d.Address, event.Operation{ID: history.DerivedID("op_", run), Kind: event.KindSync, Targets: 1, Trigger: event.TriggerSchedule})},
			Version: d.Version, Due: d.Due,
		},
	}
}

// Fire decides about the runs of a schedule that are due by now, and begins the
// sync of the one that is carried out. Of any number of commands that come for a
// run, one decides: the event that says so moves the time at which the next is
// due, and the history takes one such event. A command that comes again sends the
// sync again under the same id, in case its worker died before it had.
func (r *Schedules) Fire(ctx context.Context, j *history.Job, c *command.FireSchedule) error {
	now := r.Clock.Now()
	if early := c.Due.Sub(now); early > 0 { // the clock of the node that sent it is ahead
		return bus.Snooze(min(early, longestRest))
	}
	var sync command.Data
	_, err := j.AdvanceKnown(ctx, func(v history.View) (m history.Move, err error) {
		sync = nil
		s := v.Schedule
		switch {
		case !v.Connected || s == nil:
			return history.Move{}, nil
		case s.Operation == j.Operation.ID && s.Started && !v.Ended:
			sync, err = unsentSync(j, s)
			return history.Move{}, err
		case s.Version != c.Version || s.Next.IsZero() || s.Next.Before(c.Due) || s.Next.After(now):
			return history.Move{}, nil // another command decided, or the schedule is another one
		}
		if m, err = decideRun(j, v, s, now); err != nil {
			return history.Move{}, err
		}
		if fired, ok := m.Data.(*event.ScheduleFired); ok && fired.Outcome == event.RunStarted {
			s.SyncID = fired.SyncID
			sync, err = scheduledSync(j, s)
		}
		return m, err
	})
	if err != nil || sync == nil {
		return err
	}
	j.Seam("decided")
	return r.Commands.Send(ctx, &command.Command{ID: history.EventID(j.ID, sync.CommandName(), ""), Time: time.Now().UTC(), TraceParent: j.Trace, Data: sync})
}

// unsentSync returns the command of a sync that no worker is known to have got.
func unsentSync(j *history.Job, s *readmodel.Scheduled) (command.Data, error) {
	known, err := j.State.Sync(j.Address, s.SyncID)
	if err != nil || known.Attempt > 0 {
		return nil, err
	}
	return scheduledSync(j, s)
}

// scheduledSync returns the command of the sync that a run has begun.
func scheduledSync(j *history.Job, s *readmodel.Scheduled) (command.Data, error) {
	var options command.SyncOptions
	if len(s.Options) > 0 {
		if err := json.Unmarshal(s.Options, &options); err != nil {
			return nil, fmt.Errorf("read the schedule's sync options: %w", err)
		}
	}
	if s.Continuous {
		options.Mode = command.Capture
		return &command.FollowSource{Meta: command.Meta{Meta: j.Meta(false)}, SyncID: s.SyncID, Options: options, Version: s.Version}, nil
	}
	return &command.SyncSource{Meta: command.Meta{Meta: j.Meta(false), Deadline: time.Now().UTC().Add(syncTime)}, SyncID: s.SyncID, Options: options}, nil
}

// decideRun returns the event that says what becomes of the runs that are due.
func decideRun(j *history.Job, v history.View, s *readmodel.Scheduled, now time.Time) (history.Move, error) {
	plan, err := planOf(s, j.Address.Source)
	if err != nil {
		return history.Move{}, err
	}
	at := now.UTC()
	d := plan.Decide(s.Next, s.Since, now)
	next := ref(d.Next)
	if d.Missed > 0 {
		if !d.Run.IsZero() {
			next = ref(d.Run)
		}
		missed := &event.ScheduleMissed{
			Meta: j.Meta(false), Version: s.Version, From: d.From, Through: d.Through, At: at, Count: d.Missed, AtLeast: d.AtLeast,
			Reason: event.ReasonTimeout, Message: "no worker of the service was there when it was due", NextRun: next,
		}
		if !d.Through.After(s.Since) {
			missed.Reason, missed.Message = event.ReasonSourceRemoved, "the source was removed when it was due"
		}
		return history.Move{Discriminator: "missed " + d.From.Format(time.RFC3339Nano), Data: missed, Stop: d.Run.IsZero()}, nil
	}
	skip, sync, err := overlap(j, v, s)
	if err != nil {
		return history.Move{}, err
	}
	late := now.Sub(d.Run).Milliseconds()
	discriminator := d.Run.Format(time.RFC3339Nano)
	if skip != "" {
		return history.Move{Discriminator: discriminator, Stop: true, Data: &event.ScheduleSkipped{
			Meta: j.Meta(false), Version: s.Version, Due: d.Run, At: at, LateMS: late, SyncID: sync, Message: skip, NextRun: next,
		}}, nil
	}
	fired := &event.ScheduleFired{
		Meta: j.Meta(false), Version: s.Version, Due: d.Run, At: at, LateMS: late, Outcome: event.RunAttached, SyncID: sync, AfterSync: s.AfterSync, NextRun: next,
	}
	if sync == "" {
		fired.Outcome, fired.SyncID = event.RunStarted, history.DerivedID("syn_", j.Operation.ID)
	}
	return history.Move{Discriminator: discriminator, Stop: true, Data: fired}, nil
}

// overlap says why a run is not carried out now, or the id of the sync that it
// is carried out by already; neither where it begins one of its own.
func overlap(j *history.Job, v history.View, s *readmodel.Scheduled) (skip, sync string, err error) {
	if v.Running != nil {
		if s.Overlap == schedule.Skip {
			return "the source was syncing", v.Running.SyncID, nil
		}
		return "", v.Running.SyncID, nil
	}
	if s.After != "" {
		circle, err := circle(j.State, j.Address, s.After)
		if err != nil || circle {
			return "the schedules go round in a circle: this source is synced after one that is synced after it", "", err
		}
	}
	if s.Operation == "" || !s.Started {
		return "", "", nil
	}
	op, err := j.State.Operation(j.Address, s.Operation)
	if err != nil {
		return "", "", fmt.Errorf("read the state of the run before: %w", err)
	}
	if target, ok := op.TargetOf(j.Address.Source, s.SyncID); ok && !target.Ended {
		// It has yet to read, so it brings what this run would.
		return "the sync of the run before still waits for its turn", s.SyncID, nil
	}
	return "", "", nil
}

// longestChain bounds how many schedules may go by each other.
const longestChain = 100

// circle reports whether the syncs of a source would make a schedule due that
// goes by it, directly or by way of others. So does a chain that is too long.
func circle(state readmodel.State, a event.Address, after string) (bool, error) {
	for range longestChain {
		if after == a.Source {
			return true, nil
		}
		other := a
		other.Source = after
		s, err := state.Source(other)
		if err != nil {
			return false, fmt.Errorf("read what a schedule goes by: %w", err)
		}
		if s.Schedule == nil || s.Schedule.After == "" {
			return false, nil
		}
		after = s.Schedule.After
	}
	return true, nil
}

// GivenUp returns the event that ends a run which could not be decided about,
// so that the next is due; no data where it was.
func (r *Schedules) GivenUp(j *history.Job, v history.View, why *outcome.Failure) (history.Move, error) {
	c, s := j.Data.(*command.FireSchedule), v.Schedule
	if !v.Connected || s == nil {
		return history.Move{}, nil
	}
	if s.Version != c.Version || !s.Next.Equal(c.Due) {
		if s.Operation == j.Operation.ID && !v.Ended {
			return j.Rejected(why.Reason, why.Message), nil
		}
		return history.Move{}, nil
	}
	now := r.Clock.Now()
	plan, err := planOf(s, j.Address.Source)
	if err != nil {
		j.Log.Error("a schedule stops: this build cannot read it", "error", err)
		plan = schedule.Plan{}
	}
	missed := &event.ScheduleMissed{
		Meta: j.Meta(true), Version: s.Version, From: c.Due, Through: c.Due, At: now.UTC(), Count: 1, Reason: why.Reason, Message: why.Message,
	}
	if err == nil {
		missed.NextRun = ref(plan.After(now))
	}
	return history.Move{Data: missed}, nil
}

// ref returns a reference to a time in UTC, nil to none.
func ref(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}
