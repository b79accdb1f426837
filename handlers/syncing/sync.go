// Package syncing lands the tables of a source in the lake: it plans what is read and how,
// reads several tables at once, follows the source's log of changes, and writes what
// becomes of it into the source's history.
package syncing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/history"
	"headwater/handlers/inspect"
	"headwater/handlers/landing"
	"headwater/handlers/outcome"
	"headwater/handlers/removal"
	"headwater/handlers/schema"
	"headwater/handlers/sourcelog"
	"headwater/handlers/syncoptions"
)

// Syncs lands the tables of sources in the lake. It is safe for concurrent use.
type Syncs struct {
	Inspector *inspect.Inspector
	Logs      *sourcelog.Logs
	Removals  *removal.Removals
	Lake      Lake
	Commands  history.Commands
	Options   Options
	Stopping  <-chan struct{} // returns syncs at their last commit
}

// attempt is one worker's go at one sync. The sequence of its SyncStarted is its
// fence: whoever starts the sync again, cancels it or removes the source writes
// an event behind it, after which this worker can neither write another event
// nor, with a later fence, commit to a table.
//
// The order is always: files durable, table commit, checkpoint event, ack. A
// worker that dies between two of them is followed by one that reads from the
// lake what was committed and goes on there.
type attempt struct {
	h       *Syncs
	j       *history.Job
	id      string
	asked   command.SyncOptions // by the call alone
	options command.SyncOptions // with those that the source keeps
	mode    string
	number  int
	fence   uint64
	begun   time.Time // when the first attempt was started
	source  history.View
	journal *journal
	tables  []*tableRun
	choice  *syncoptions.Choice
	inUse   map[string]string   // table to the cursor column of its last sync
	lost    []event.Table       // that were known or landed and are not offered now; their names alone
	gone    []event.TableResult // of what the sync would take and the source does not offer
	totals  totals
	moment  moment
	width   width
	// follows is the version of the schedule of a sync that goes on, 0 for one that
	// ends at the end of what there is.
	follows int
	aside   map[string]bool // tables that the source's log has gone on without
	logged  map[string]bool // tables that landed by its log, as the history knows
	changes *event.Changes  // where the source's log was left, nil for other modes
	waits   bool            // the sync that goes on is to land what there is now
	late    bool            // it has ended before, and followed a log
	since   time.Time       // from then on
	owes    bool            // it took up a log that the sync which runs now may not take over
	// unfollows says that an earlier attempt followed the log, which this one does not;
	// unfollowed that what that one may have left there was released.
	unfollows, unfollowed bool
}

// Sync lands a source's tables in the lake, and writes the outcome into the history. An
// error is a reason to deliver the command again, such as bus.Snooze from a worker that
// stops or was overtaken.
func (h *Syncs) Sync(ctx context.Context, j *history.Job, c *command.SyncSource) error {
	return h.carryOut(ctx, &attempt{h: h, j: j, id: c.SyncID, asked: c.Options, options: c.Options})
}

// Follow lands the changes to a source's tables as they come, until its schedule is another
// one. Its errors are those of Sync.
func (h *Syncs) Follow(ctx context.Context, j *history.Job, c *command.FollowSource) error {
	return h.carryOut(ctx, &attempt{h: h, j: j, id: c.SyncID, asked: c.Options, options: c.Options, follows: c.Version})
}

// carryOut has an attempt begin its sync and bring it to its end.
func (h *Syncs) carryOut(ctx context.Context, a *attempt) error {
	j := a.j
	select {
	case <-h.Stopping:
		// Given back, it may come again before this worker's subscriber closes.
		return bus.Snooze(0)
	default:
	}
	if err := a.take(ctx); err != nil {
		return err
	}
	if a.fence == 0 {
		if a.late {
			return a.orphaned(ctx)
		}
		return nil
	}
	err := a.run(ctx)
	if errors.Is(err, outcome.ErrStopping) {
		// Another worker goes on with what is committed; nobody failed.
		return bus.Snooze(0)
	}
	var lost *overtaken
	if !errors.As(err, &lost) || ctx.Err() != nil {
		return err
	}
	v, err := j.Load(ctx)
	if err != nil {
		return err
	}
	if v.Removal != nil {
		// This worker may have begun a table again after whoever purged the
		// source had dropped it.
		return h.Removals.DestroyPurged(ctx, j)
	}
	if lost.resumed {
		// The command is in the hands of the worker that took over; neither an
		// ack nor an early redelivery may come between.
		return bus.Snooze(h.Options.Lease)
	}
	if a.owes {
		return bus.Snooze(h.Options.Lease) // see orphaned
	}
	return nil
}

// begin takes the sync, or ends the command when there is nothing to take. It
// leaves the fence at 0 then.
func (a *attempt) begin(ctx context.Context) error {
	taken := false
	sequence, err := a.j.Advance(ctx, func(v history.View) (history.Move, error) {
		taken, a.source, a.waits, a.unfollows = false, v, false, false
		known, err := a.j.State.Sync(a.j.Address, a.id)
		a.late = wasCapture(known)
		switch {
		case err != nil:
			return history.Move{}, fmt.Errorf("read the sync's state: %w", err)
		case v.Ended || known.Ended:
			return history.Move{}, nil
		case v.Missing() != nil:
			return a.j.RejectedFor(v.Missing()), nil
		case v.Running != nil && v.Running.SyncID != a.id && a.joins(v.Source):
			return a.joined(v.Source), nil
		case v.Running != nil && v.Running.SyncID != a.id:
			return a.behind(v.Source), nil
		case a.follows > 0 && v.Running == nil && !a.wanted(v.Source): // one that runs has to come to its end
			return a.j.Rejected(event.ReasonConflict, "the source has another schedule by now"), nil
		}
		names, estimates, err := a.expected()
		if err != nil {
			return history.Move{}, err
		}
		if a.unfollows = !a.unfollowed && known.Attempt > 0 && known.Mode == landing.Changes && a.mode != landing.Changes; a.unfollows {
			return history.Move{}, nil
		}
		taken, a.number, a.begun = true, known.Attempt+1, known.Started
		// Two workers that take the same attempt must not look like one that
		// says so twice, so this id is nobody else's.
		id, err := uuid.NewV7()
		if err != nil {
			return history.Move{}, fmt.Errorf("make an id: %w", err)
		}
		return history.Move{ID: id.String(), Stop: true, Data: &event.SyncStarted{
			Meta: a.j.Meta(false), SyncID: a.id, Attempt: a.number, Mode: a.mode, Tables: names, Estimates: estimates,
		}}, nil
	})
	if err == nil && a.unfollows {
		if err = a.unfollow(ctx); err == nil {
			return a.begin(ctx)
		}
	}
	if err != nil || !taken {
		return err
	}
	a.fence = sequence
	if a.begun.IsZero() {
		a.begun = time.Now()
	}
	a.journal = &journal{attempt: a, after: sequence}
	return nil
}

// expected returns the tables that the sync would take by the schema known so
// far, and about how many rows each will bring where the mode tells.
func (a *attempt) expected() (names []string, estimates []int64, err error) {
	known, err := a.j.State.Schema(a.j.Address)
	if err != nil {
		return nil, nil, fmt.Errorf("read the schema: %w", err)
	}
	if err := a.mean(known.Tables); err != nil {
		return nil, nil, err
	}
	if a.mode = a.options.Mode; a.mode == "" {
		a.mode = landing.FullRefresh
	}
	names = []string{}
	choice := syncoptions.NewChoice(a.options, known.Tables)
	for _, t := range known.Tables {
		if !choice.Takes(t.Namespace, t.Name) {
			continue
		}
		names = append(names, schema.Name(t.Namespace, t.Name))
		if a.mode != landing.FullRefresh {
			continue // what lies behind a cursor is not known
		}
		rows := int64(-1)
		if t.RowEstimate != nil {
			rows = *t.RowEstimate
		}
		estimates = append(estimates, rows)
	}
	return names, estimates, nil
}

// run carries the attempt out and writes its outcome. Its error is *overtaken,
// or a reason to try the command again.
func (a *attempt) run(ctx context.Context) error {
	work, done := a.j.Work(ctx)
	defer done()
	work, late := a.limited(work)
	defer late()
	work, stop := context.WithCancelCause(work)
	defer stop(nil)
	if err := a.j.State.Wait(work, a.fence); err != nil {
		return fmt.Errorf("wait for the projection: %w", outcome.CauseOf(work, err))
	}
	defer a.watch(work, stop)()

	why, err := a.settle(ctx, work, a.carry(ctx, work, stop))
	if err != nil {
		return err
	}
	return a.finish(ctx, why)
}

// settle tells an outcome of the whole attempt from a reason to try again.
func (a *attempt) settle(ctx, work context.Context, err error) (why, again error) {
	err = outcome.CauseOf(work, err)
	var lost *overtaken
	var unwritten *historyError
	switch {
	case err == nil:
		return nil, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &lost), errors.As(err, &unwritten), errors.Is(err, outcome.ErrStopping):
		return nil, err
	case outcome.OfSource(ctx, err):
		return err, nil
	}
	return nil, err
}

// carry reads the schema and lands the tables.
func (a *attempt) carry(ctx, work context.Context, stop context.CancelCauseFunc) error {
	if a.mode == landing.Changes && len(a.source.Left) > 0 {
		if err := a.renew(ctx, work); err != nil {
			return err
		}
	}
	conn, err := a.h.Inspector.OpenCurrent(work, a.j, a.source, limitsOf(a.options))
	if err != nil {
		return err
	}
	found, err := a.h.Inspector.Discover(work, a.j, conn)
	if err == nil {
		err = a.recordSchema(ctx, found)
	}
	if err != nil {
		inspect.Close(a.j, conn)
		return err
	}
	if a.mode == landing.Changes {
		err = a.capture(ctx, work, stop, conn)
	} else {
		err = a.landAll(ctx, work, stop, conn)
	}
	if err != nil {
		return err
	}
	return a.leaveLog(ctx)
}

// recordSchema writes a new version of the schema if the source has changed, and
// plans the sync. A source that shows no table at all is a failure: it is more
// likely that it may not be read than that all of it was dropped, and what is
// known of it stays.
func (a *attempt) recordSchema(ctx context.Context, found schema.Found) error {
	known, err := a.j.State.Schema(a.j.Address)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	landed, err := a.j.State.Landed(a.j.Address)
	if err != nil {
		return fmt.Errorf("read what landed: %w", err)
	}
	a.inUse, a.aside, a.logged = map[string]string{}, map[string]bool{}, map[string]bool{}
	for _, t := range landed {
		name := schema.Name(t.Namespace, t.Name)
		a.inUse[name] = t.Cursor
		a.aside[name], a.logged[name] = t.SetAside, t.Mode == landing.Changes
	}
	tables, left := found.Schema(known.Tables)
	if len(tables)+len(found.Unread) == 0 {
		return nothingFound(known.Tables, left)
	}
	a.lost = lost(known.Tables, landed, tables)
	if err := a.mean(tables, a.lost, leftTables(left)); err != nil {
		return err
	}
	a.choice = syncoptions.NewChoice(a.options, tables, a.lost, unreadTables(found.Unread), leftTables(left))
	a.gone = a.missingTables(left, found.Unread)
	if err := a.journal.decide(ctx, func(history.View) (history.Move, error) {
		return inspect.NewSchema(a.j, false, "sync", a.id, found)
	}); err != nil {
		return err
	}
	a.tables, err = a.plan(found, tables)
	return err
}

// finish writes the outcome of the sync: why is what kept all of it from
// landing.
func (a *attempt) finish(ctx context.Context, why error) error {
	results := a.results()
	total := len(results)
	landed, failed := 0, (*event.TableResult)(nil)
	for i := range results {
		if results[i].Status == statusCompleted {
			landed++
		} else if failed == nil {
			failed = &results[i]
		}
	}
	results = append(results, a.gone...)
	duration := time.Since(a.begun).Milliseconds()
	if why == nil && (landed > 0 || failed == nil) {
		status := "completed"
		if failed != nil {
			status = "partial"
		}
		always, err := a.always()
		if err != nil {
			return err
		}
		if err := a.end(ctx, func(changes *event.Changes) event.Data {
			return &event.SyncCompleted{
				Meta: a.j.Meta(true), SyncID: a.id, Status: status, Mode: a.mode,
				Records: a.totals.records.Load(), Bytes: a.totals.bytes.Load(), DurationMS: duration, Tables: results, Always: always, Changes: changes,
			}
		}); err != nil {
			return err
		}
		a.tidy(ctx)
		return nil
	}
	e := &event.SyncFailed{Meta: a.j.Meta(true), SyncID: a.id, DurationMS: duration, Tables: results}
	if why != nil {
		e.Reason, e.Message = outcome.Explain(why)
	} else {
		e.Reason = failed.Reason
		e.Message = fmt.Sprintf("none of %s landed; %s: %s", driver.Count(total, "table"), resultName(*failed), failed.Message)
	}
	return a.end(ctx, func(changes *event.Changes) event.Data {
		e.Changes = changes
		return e
	})
}

func resultName(r event.TableResult) string {
	return schema.Name(r.Namespace, r.Name)
}
