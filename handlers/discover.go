package handlers

import (
	"context"
	"fmt"

	"headwater/bus/command"
	"headwater/bus/event"
)

// discover reads a source's schema again. The final SchemaDiscovered is a new
// version with its diff, or, when nothing changed, the current version once more
// with an empty diff: readers that keep versions by number lose nothing by it,
// and the caller learns that the schema was looked at just now.
func (h *Handlers) discover(ctx context.Context, j *job, _ *command.DiscoverSchema) error {
	v, err := j.load(ctx)
	if err != nil || v.ended {
		return err
	}
	var tables []event.Table
	why := missing(v)
	if why == nil {
		tables, why, err = j.inspectCurrent(ctx, v)
		if err != nil {
			return err
		}
	}
	_, err = j.advance(ctx, func(v view) (move, error) {
		if v.ended {
			return move{}, nil
		}
		if gone := missing(v); gone != nil {
			why = gone
		}
		if why != nil {
			reason, message := explain(why)
			return j.rejected(reason, message), nil
		}
		m, err := j.schemaMove(true, "discover", "", tables)
		if err != nil || m.data != nil {
			return m, err
		}
		version, _, err := h.state.Schema(j.address)
		if err != nil {
			return move{}, fmt.Errorf("read the schema: %w", err)
		}
		return move{data: &event.SchemaDiscovered{
			Meta: j.meta(true), Version: version, Cause: "discover", Tables: tables,
		}}, nil
	})
	return err
}

// missing returns why there is no source to work with, nil if there is one.
func missing(v view) error {
	if v.Connected {
		return nil
	}
	// Who asked saw it there.
	return failf(event.ReasonSourceRemoved, "the source is not there any more")
}

// inspectCurrent reads the schema of a connected source with its newest
// settings; its results are those of inspect.
func (j *job) inspectCurrent(ctx context.Context, v view) (tables []event.Table, why, err error) {
	work, cancel := j.work(ctx)
	defer cancel()
	work, cancelLimit := j.h.limited(work)
	defer cancelLimit()
	tables, err = j.readCurrent(work, v)
	if err = because(work, err); err == nil {
		return tables, nil, nil
	}
	if ofSource(ctx, err) {
		return nil, err, nil
	}
	return nil, nil, err
}

func (j *job) readCurrent(ctx context.Context, v view) ([]event.Table, error) {
	conn, err := j.openCurrent(ctx, v, limitsOf(command.SyncOptions{}))
	if err != nil {
		return nil, err
	}
	defer j.closing(conn)
	found, err := j.discoverTables(ctx, conn)
	if err != nil {
		return nil, err
	}
	return tablesOf(found), nil
}
