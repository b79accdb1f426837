package inspect

import (
	"context"
	"fmt"
	"strconv"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/history"
	"headwater/handlers/outcome"
	"headwater/handlers/readmodel"
	"headwater/handlers/schema"
)

// Inspect opens and checks a source and returns what it has, or the failure that
// is the outcome, or an error for which the command is to be tried again.
func (i *Inspector) Inspect(ctx context.Context, j *history.Job, s Settings) (found schema.Found, why, err error) {
	work, cancel := j.Work(ctx)
	defer cancel()
	work, cancelLimit := i.Limited(work)
	defer cancelLimit()
	found, err = i.read(work, j, s)
	if err = outcome.CauseOf(work, err); err == nil {
		return found, nil, nil
	}
	if outcome.OfSource(ctx, err) {
		return found, err, nil
	}
	return found, nil, err
}

func (i *Inspector) read(ctx context.Context, j *history.Job, s Settings) (found schema.Found, err error) {
	conn, err := i.Open(ctx, j, s, driver.Limits{})
	if err != nil {
		return found, err
	}
	defer Close(j, conn)
	if err := tell(j, conn); err != nil {
		return found, err
	}
	if _, err := conn.Check(ctx); err != nil {
		return found, err
	}
	return i.readable(ctx, j, conn)
}

// InspectCurrent reads the schema of a connected source with its newest
// settings; its results are those of Inspect.
func (i *Inspector) InspectCurrent(ctx context.Context, j *history.Job, v history.View) (found schema.Found, why, err error) {
	work, cancel := j.Work(ctx)
	defer cancel()
	work, cancelLimit := i.Limited(work)
	defer cancelLimit()
	found, err = i.readCurrent(work, j, v)
	if err = outcome.CauseOf(work, err); err == nil {
		return found, nil, nil
	}
	if outcome.OfSource(ctx, err) {
		return found, err, nil
	}
	return found, nil, err
}

func (i *Inspector) readCurrent(ctx context.Context, j *history.Job, v history.View) (schema.Found, error) {
	conn, err := i.OpenCurrent(ctx, j, v, driver.Limits{})
	if err != nil {
		return schema.Found{}, err
	}
	defer Close(j, conn)
	return i.readable(ctx, j, conn)
}

// readable returns what the source has, of which something must be readable.
func (i *Inspector) readable(ctx context.Context, j *history.Job, conn extract.Session) (schema.Found, error) {
	found, err := i.Discover(ctx, j, conn)
	if err == nil {
		err = found.Unreadable()
	}
	return found, err
}

// NewSchema returns the SchemaDiscovered that makes what was found the source's
// schema, without data if it is that already (see schema.Compare).
func NewSchema(j *history.Job, final bool, cause, syncID string, found schema.Found) (history.Move, error) {
	current, err := j.State.Schema(j.Address)
	if err != nil {
		return history.Move{}, fmt.Errorf("read the schema: %w", err)
	}
	tables, left := found.Schema(current.Tables)
	return NewVersion(j, final, cause, syncID, current, tables, left), nil
}

// NewVersion is NewSchema for a schema that is whole.
func NewVersion(j *history.Job, final bool, cause, syncID string, current readmodel.Schema, tables []event.Table, left []event.LeftOut) history.Move {
	d, changed := schema.Compare(current, tables, left)
	if !changed {
		return history.Move{}
	}
	version := current.Version + 1 // a sync that goes on finds more than one
	return history.Move{Discriminator: strconv.Itoa(version), Data: &event.SchemaDiscovered{
		Meta: j.Meta(final), Version: version, Cause: cause, SyncID: syncID, Tables: tables, Diff: d, LeftOut: left,
	}}
}
