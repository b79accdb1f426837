package syncing

import (
	"context"
	"reflect"
	"time"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/handlers/readmodel"
)

// take begins the attempt. While a continuous sync of the source runs, a sync without
// options that is requested beside it waits, and ends once that one has landed everything
// that was committed before its start. A worker that stops snoozes it.
func (a *attempt) take(ctx context.Context) error {
	a.since = time.Now()
	watch, stop := context.WithCancel(ctx)
	defer stop()
	changes := a.j.State.Watch(watch, a.j.Address)
	for {
		if err := a.begin(ctx); err != nil || !a.waits {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.h.Stopping:
			return bus.Snooze(0) // another worker waits on
		case <-changes:
		case <-time.After(a.h.Options.HeartbeatEvery):
		}
	}
}

// joins reports whether a live continuous sync holds the source and lands what this one
// was requested for.
func (a *attempt) joins(s readmodel.Source) bool {
	return s.GoesOn() && a.follows == 0 && a.j.Operation.Trigger == "" && reflect.ValueOf(a.asked).IsZero() && time.Since(s.Running.Updated) < a.h.Options.StaleAfter
}

// joined returns the end of a sync whose changes the continuous one has landed, or no move
// while it has not.
func (a *attempt) joined(s readmodel.Source) history.Move {
	fresh := s.Changes.FreshUntil
	if a.waits = fresh == nil || fresh.Before(a.since); a.waits {
		return history.Move{}
	}
	changes := s.Changes.Changes
	return history.Move{Stop: true, Data: &event.SyncCompleted{
		Meta: a.j.Meta(true), SyncID: a.id, Status: "completed", Mode: command.Capture, DurationMS: time.Since(a.since).Milliseconds(),
		Tables: []event.TableResult{}, Changes: &changes,
	}}
}

// behind returns the move for a source that another sync holds: follow that
// one, unless its worker has not been heard of for so long that it must be lost
// together with its command.
func (a *attempt) behind(s readmodel.Source) history.Move {
	other := s.Running
	if time.Since(other.Updated) < a.h.Options.StaleAfter {
		byItself := a.j.Operation.Trigger == event.TriggerSchedule // its overlap was decided: it follows whatever runs
		if !byItself && !reflect.ValueOf(a.asked).IsZero() {       // which that one does not have, or not surely
			way := "wait for it or cancel it"
			if s.GoesOn() {
				way = "it goes on until its schedule is paused: headwater schedule pause " + s.Name
			}
			return a.j.Rejected(event.ReasonAlreadySyncing, "the source is syncing ("+other.SyncID+"), which these options cannot change; "+way)
		}
		m := a.j.Rejected(event.ReasonAlreadySyncing, "another sync of the source is running")
		m.Data.(*event.CommandRejected).SyncID = other.SyncID
		return m
	}
	op := other.Operation
	op.Final = true
	return history.Move{Discriminator: other.SyncID, Data: &event.SyncFailed{
		Meta: event.At(a.j.Address, op), SyncID: other.SyncID, Reason: event.ReasonInternal,
		Message: "its worker was lost", DurationMS: time.Since(other.Started).Milliseconds(), Tables: []event.TableResult{},
	}}
}
