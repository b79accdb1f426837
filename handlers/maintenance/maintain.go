// Package maintenance has landed tables made quick to read, when somebody asks and when
// nobody does.
package maintenance

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/connectors/reuse"
	"headwater/handlers/clock"
	"headwater/handlers/history"
	"headwater/handlers/landing"
	"headwater/handlers/outcome"
	"headwater/handlers/readmodel"
	"headwater/handlers/schema"
	"headwater/handlers/syncoptions"
)

// Maintenance makes landed tables quick to read. It is safe for concurrent use.
type Maintenance struct {
	Lake     Lake
	State    readmodel.State
	Commands history.Commands
	Clock    clock.Clock
	Every    time.Duration   // between two looks of Run
	Stopping <-chan struct{} // ends Run, and a command after the table at hand
	Log      *slog.Logger
}

// Lake is where tables are maintained. *landing.Lake is one, whose comments say what
// comes back on failure.
type Lake interface {
	Maintain(ctx context.Context, a event.Address, namespace, name string, asked bool) (landing.Maintained, error)
	UpkeepDue(ctx context.Context, a event.Address, namespace, name string) (occasion string, due bool, err error)
}

// Maintain makes the landed tables of a source quick to read. Each table that
// there is something to tell of has its event, and the last ends the target; what
// nobody asked for and did nothing is not told of. A worker that dies is followed
// by one that begins again, and finds what was done.
func (m *Maintenance) Maintain(ctx context.Context, j *history.Job, c *command.MaintainSource) error {
	v, err := j.Load(ctx)
	if err != nil || v.Ended {
		return err
	}
	why := v.Missing()
	var due []readmodel.LandedTable
	if why == nil {
		if due, err = landedLike(j, c.Tables); err != nil {
			return err
		}
		if len(due) == 0 {
			why = outcome.Failf(event.ReasonNotFound, "no table like that has landed of the source: sync it first")
		}
	}
	if why != nil {
		if !c.Asked {
			return nil
		}
		return j.Reject(ctx, why)
	}
	return m.maintainAll(ctx, j, due, c.Asked)
}

// landedLike returns the landed tables that patterns name.
func landedLike(j *history.Job, patterns []string) ([]readmodel.LandedTable, error) {
	landed, err := j.State.Landed(j.Address)
	if err != nil {
		return nil, err
	}
	tables := make([]event.Table, len(landed))
	for i, t := range landed {
		tables[i] = event.Table{Namespace: t.Namespace, Name: t.Name}
	}
	only := syncoptions.NewChoice(command.SyncOptions{Tables: patterns}, tables)
	var due []readmodel.LandedTable
	for _, t := range landed {
		if only.Takes(t.Namespace, t.Name) {
			due = append(due, t)
		}
	}
	return due, nil
}

// maintainAll maintains tables one after another. What is told of one waits for
// the next, for the last ends the target.
func (m *Maintenance) maintainAll(ctx context.Context, j *history.Job, due []readmodel.LandedTable, asked bool) error {
	work, cancel := j.Work(ctx)
	defer cancel()
	var told *event.Maintenance
	var last event.Maintenance
	for _, t := range due {
		select {
		case <-m.Stopping:
			return bus.Snooze(0)
		default:
		}
		did, err := m.maintainTable(ctx, work, j, t, asked)
		if err != nil {
			return err
		}
		if last = did; !asked && did.Status != event.Maintained && did.Status != event.MaintainedFailed {
			continue
		}
		if told != nil {
			if err := maintained(ctx, j, *told, false); err != nil {
				return err
			}
		}
		told = &did
	}
	if told == nil {
		op, err := j.State.Operation(j.Address, j.Operation.ID)
		if err != nil || len(op.Targets) == 0 {
			return err
		}
		told = &last // a worker that died had told of others
	}
	if told.Status == event.Maintained {
		reuse.Drop()
		debug.FreeOSMemory() // else what decoding files took stays with the service for minutes
	}
	return maintained(ctx, j, *told, true)
}

// maintained writes what was done to one table.
func maintained(ctx context.Context, j *history.Job, did event.Maintenance, last bool) error {
	_, err := j.Advance(ctx, func(v history.View) (history.Move, error) {
		if v.Ended {
			return history.Move{}, nil
		}
		next := history.Move{Stop: true, Data: &event.TableMaintained{Meta: j.Meta(last), Table: did}}
		next.Discriminator = schema.Name(did.Namespace, did.Name)
		if last {
			next.Discriminator += "\x00last" // as of a verification: a worker that died may have told of it as of another
		}
		return next, nil
	})
	return err
}

// maintainTable maintains one table. What keeps it from it is in the result; an
// error is a reason to try the command again.
func (m *Maintenance) maintainTable(ctx, work context.Context, j *history.Job, t readmodel.LandedTable, asked bool) (event.Maintenance, error) {
	began := time.Now()
	did := event.Maintenance{Name: t.Name, Namespace: t.Namespace}
	done, err := m.Lake.Maintain(work, j.Address, t.Namespace, t.Name, asked)
	switch err = outcome.CauseOf(work, err); {
	case ctx.Err() != nil:
		return did, errors.Join(ctx.Err(), err)
	case errors.Is(err, landing.ErrNoTable):
		did.Status, did.Left = event.MaintainedNothing, "it is not in the lake any more"
	case err != nil:
		did.Status = event.MaintainedFailed
		did.Reason, did.Message = outcome.Explain(err)
		j.Log.Warn("a table could not be maintained", "table", driver.Table{Namespace: t.Namespace, Name: t.Name}.String(), "error", err)
	case done.Did():
		did.Status = event.Maintained
	case done.Left != "":
		did.Status = event.MaintainedLater
	default:
		did.Status = event.MaintainedNothing
	}
	if err == nil {
		did.Why, did.Left, did.Rows, did.SnapshotID = done.Why, done.Left, done.Rows, event.SnapshotID(done.SnapshotID)
		did.Snapshot = did.SnapshotID.Text()
		did.FilesBefore, did.FilesAfter, did.DeleteFilesBefore, did.DeleteFilesAfter = done.FilesBefore, done.FilesAfter, done.DeletesBefore, done.DeletesAfter
		did.BytesBefore, did.BytesAfter, did.DeletesFolded = done.BytesBefore, done.BytesAfter, done.Folded
		did.SnapshotsExpired, did.OrphansRemoved = done.Expired, done.Removed
	}
	did.DurationMS = time.Since(began).Milliseconds()
	return did, nil
}

// GivenUp ends the target of who asked.
func GivenUp(j *history.Job, why *outcome.Failure) (history.Move, error) {
	if c, ok := j.Data.(*command.MaintainSource); !ok || !c.Asked {
		return history.Move{}, nil
	}
	return j.Rejected(why.Reason, why.Message), nil
}
