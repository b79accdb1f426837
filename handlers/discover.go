package handlers

import (
	"context"
	"fmt"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/outcome"
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
	var found discovered
	why := missing(v)
	if why == nil {
		found, why, err = j.inspectCurrent(ctx, v)
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
			reason, message := outcome.Explain(why)
			return j.rejected(reason, message), nil
		}
		m, err := j.schemaMove(true, "discover", "", found)
		if err != nil || m.data != nil {
			return m, err
		}
		current, err := h.state.Schema(j.address)
		if err != nil {
			return move{}, fmt.Errorf("read the schema: %w", err)
		}
		tables, left := found.schema(current.Tables)
		return move{data: &event.SchemaDiscovered{
			Meta: j.meta(true), Version: current.Version, Cause: "discover", Tables: tables, LeftOut: left,
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
	return outcome.Failf(event.ReasonSourceRemoved, "the source is not there any more")
}

// inspectCurrent reads the schema of a connected source with its newest
// settings; its results are those of inspect.
func (j *job) inspectCurrent(ctx context.Context, v view) (found discovered, why, err error) {
	work, cancel := j.work(ctx)
	defer cancel()
	work, cancelLimit := j.h.limited(work)
	defer cancelLimit()
	found, err = j.readCurrent(work, v)
	if err = causeOf(work, err); err == nil {
		return found, nil, nil
	}
	if ofSource(ctx, err) {
		return found, err, nil
	}
	return found, nil, err
}

func (j *job) readCurrent(ctx context.Context, v view) (discovered, error) {
	conn, err := j.openCurrent(ctx, v, limitsOf(command.SyncOptions{}))
	if err != nil {
		return discovered{}, err
	}
	defer j.closing(conn)
	return j.readable(ctx, conn)
}

// readable returns what the source has, of which something must be readable.
func (j *job) readable(ctx context.Context, conn Conn) (discovered, error) {
	found, err := j.discoverTables(ctx, conn)
	if err == nil {
		err = found.unreadable()
	}
	return found, err
}
