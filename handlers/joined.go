package handlers

import (
	"context"
	"reflect"
	"time"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
)

// take begins the attempt. Where another sync of the source goes on for ever, one
// that is asked for beside it ends once that has landed what there was at the time.
func (a *attempt) take(ctx context.Context) error {
	a.since = time.Now()
	watch, stop := context.WithCancel(ctx)
	defer stop()
	changes := a.h.state.Watch(watch, a.j.address)
	for {
		if err := a.begin(ctx); err != nil || !a.waits {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.h.stopping:
			return bus.Snooze(0) // another worker waits on
		case <-changes:
		case <-time.After(a.h.options.HeartbeatEvery):
		}
	}
}

// joins reports whether the sync that holds the source goes on for ever, and brings
// what this one is asked for.
func (a *attempt) joins(s Source) bool {
	return s.goesOn() && a.follows == 0 && a.j.operation.Trigger == "" && reflect.ValueOf(a.asked).IsZero() && time.Since(s.Running.Updated) < a.h.options.StaleAfter
}

// goesOn reports whether the sync that runs is that of the source's schedule, without
// an end.
func (s Source) goesOn() bool {
	k := s.Schedule
	return k != nil && k.Continuous && k.Started && s.Running != nil && k.Operation == s.Running.Operation.ID
}

// joined returns the end of a sync whose rows another has landed, once it has.
func (a *attempt) joined(s Source) move {
	fresh := s.Changes.FreshUntil
	if a.waits = fresh == nil || fresh.Before(a.since); a.waits {
		return move{}
	}
	changes := s.Changes.Changes
	return move{stop: true, data: &event.SyncCompleted{
		Meta: a.j.meta(true), SyncID: a.id, Status: "completed", Mode: command.Capture, DurationMS: time.Since(a.since).Milliseconds(),
		Tables: []event.TableResult{}, Changes: &changes,
	}}
}
