package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/connectors/reuse"
	"headwater/handlers/landing"
	"headwater/handlers/outcome"
	"headwater/handlers/readmodel"
	"headwater/handlers/syncoptions"
)

// maintain makes the landed tables of a source quick to read. Each table that
// there is something to tell of has its event, and the last ends the target; what
// nobody asked for and did nothing is not told of. A worker that dies is followed
// by one that begins again, and finds what was done.
func (h *Handlers) maintain(ctx context.Context, j *job, c *command.MaintainSource) error {
	v, err := j.load(ctx)
	if err != nil || v.ended {
		return err
	}
	why := missing(v)
	var due []readmodel.LandedTable
	if why == nil {
		if due, err = j.landedLike(c.Tables); err != nil {
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
		_, err = j.advance(ctx, func(v view) (move, error) {
			if v.ended {
				return move{}, nil
			}
			reason, message := outcome.Explain(why)
			return j.rejected(reason, message), nil
		})
		return err
	}
	return j.maintainAll(ctx, due, c.Asked)
}

// landedLike returns the landed tables that patterns name.
func (j *job) landedLike(patterns []string) ([]readmodel.LandedTable, error) {
	landed, err := j.h.state.Landed(j.address)
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
func (j *job) maintainAll(ctx context.Context, due []readmodel.LandedTable, asked bool) error {
	work, cancel := j.work(ctx)
	defer cancel()
	var told *event.Maintenance
	var last event.Maintenance
	for _, t := range due {
		select {
		case <-j.h.stopping:
			return bus.Snooze(0)
		default:
		}
		did, err := j.maintainTable(ctx, work, t, asked)
		if err != nil {
			return err
		}
		if last = did; !asked && did.Status != event.Maintained && did.Status != event.MaintainedFailed {
			continue
		}
		if told != nil {
			if err := j.maintained(ctx, *told, false); err != nil {
				return err
			}
		}
		told = &did
	}
	if told == nil {
		op, err := j.h.state.Operation(j.address, j.operation.ID)
		if err != nil || len(op.Targets) == 0 {
			return err
		}
		told = &last // a worker that died had told of others
	}
	if told.Status == event.Maintained {
		reuse.Drop()
		debug.FreeOSMemory() // else what decoding files took stays with the service for minutes
	}
	return j.maintained(ctx, *told, true)
}

// maintained writes what was done to one table.
func (j *job) maintained(ctx context.Context, did event.Maintenance, last bool) error {
	_, err := j.advance(ctx, func(v view) (move, error) {
		if v.ended {
			return move{}, nil
		}
		m := move{stop: true, data: &event.TableMaintained{Meta: j.meta(last), Table: did}}
		m.discriminator = nameOf(event.Table{Namespace: did.Namespace, Name: did.Name})
		if last {
			m.discriminator += "\x00last" // as of a verification: a worker that died may have told of it as of another
		}
		return m, nil
	})
	return err
}

// maintainTable maintains one table. What keeps it from it is in the result; an
// error is a reason to try the command again.
func (j *job) maintainTable(ctx, work context.Context, t readmodel.LandedTable, asked bool) (event.Maintenance, error) {
	began := time.Now()
	did := event.Maintenance{Name: t.Name, Namespace: t.Namespace}
	m, err := j.h.lake.Maintain(work, j.address, t.Namespace, t.Name, asked)
	switch err = causeOf(work, err); {
	case ctx.Err() != nil:
		return did, errors.Join(ctx.Err(), err)
	case errors.Is(err, landing.ErrNoTable):
		did.Status, did.Left = event.MaintainedNothing, "it is not in the lake any more"
	case err != nil:
		did.Status = event.MaintainedFailed
		did.Reason, did.Message = outcome.Explain(err)
		j.log.Warn("a table could not be maintained", "table", driver.Table{Namespace: t.Namespace, Name: t.Name}.String(), "error", err)
	case m.Did():
		did.Status = event.Maintained
	case m.Left != "":
		did.Status = event.MaintainedLater
	default:
		did.Status = event.MaintainedNothing
	}
	if err == nil {
		did.Why, did.Left, did.Rows, did.SnapshotID = m.Why, m.Left, m.Rows, event.SnapshotID(m.SnapshotID)
		did.Snapshot = did.SnapshotID.Text()
		did.FilesBefore, did.FilesAfter, did.DeleteFilesBefore, did.DeleteFilesAfter = m.FilesBefore, m.FilesAfter, m.DeletesBefore, m.DeletesAfter
		did.BytesBefore, did.BytesAfter, did.DeletesFolded = m.BytesBefore, m.BytesAfter, m.Folded
		did.SnapshotsExpired, did.OrphansRemoved = m.Expired, m.Removed
	}
	did.DurationMS = time.Since(began).Milliseconds()
	return did, nil
}

// maintainGivenUp ends the target of who asked.
func maintainGivenUp(j *job, v view, why *outcome.Failure) (move, error) {
	if c, ok := j.data.(*command.MaintainSource); !ok || !c.Asked {
		return move{}, nil
	}
	return rejects(j, v, why)
}

// tidy asks for the maintenance of tables that a sync left in need of it. That is
// sent once for a sync; if it cannot be, the next sync asks again.
func (a *attempt) tidy(ctx context.Context) { a.askUpkeep(ctx, a.id) }

// tend is tidy for a sync that goes on: it asks again and again.
func (f *follower) tend(ctx context.Context) {
	f.askUpkeep(ctx, f.id+"."+strconv.FormatInt(time.Now().Unix(), 10))
}

func (a *attempt) askUpkeep(ctx context.Context, occasion string) {
	if a.options.Maintenance == command.MaintenanceOff || a.h.commands == nil {
		return
	}
	var names []string
	for _, t := range a.tables {
		if t.needsUpkeep() {
			names = append(names, nameOf(event.Table{Namespace: t.table.Namespace, Name: t.table.Name}))
		}
	}
	if len(names) == 0 {
		return
	}
	sum := sha256.Sum256([]byte(occasion + ".MaintainSource"))
	operation := event.Operation{ID: "op_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16])), Kind: event.KindMaintain, Targets: 1}
	err := a.h.commands.Send(ctx, &command.Command{
		ID: eventID(occasion, "MaintainSource", ""), Time: time.Now().UTC(), TraceParent: a.j.trace,
		Data: &command.MaintainSource{Meta: command.Meta{Meta: event.At(a.j.address, operation)}, Tables: names},
	})
	if err != nil {
		a.j.log.Warn("the maintenance of tables could not be asked for", "error", err)
	}
}
