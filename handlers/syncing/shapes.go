package syncing

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/history"
	"headwater/handlers/inspect"
	"headwater/handlers/outcome"
	"headwater/handlers/schema"
)

// emptying returns why a read that brought no row must not take the place of
// what landed, nil where it may or takes no place. An answer or a file without
// rows is more often a fault than the truth.
func (l *lander) emptying(t *tableRun, request extract.Request, landed int64) error {
	if k := t.table.Kind; k != "endpoint" && k != "file" || t.table.Emptied || l.options.AllowEmpty || !request.Whole || landed == 0 {
		return nil
	}
	if t.snapshot().RowsRead > 0 {
		return nil
	}
	return outcome.Failf(event.ReasonBadData, "%s gives no row now, and %d had landed: they stay; set sync_options.allow_empty to true if the table is to be empty", t.table, landed)
}

// maxRetypes bounds how often the types of one table are found anew in one sync.
const maxRetypes = 4

// retype gives a table the types that its source found when values came which
// did not fit those of a sample, and makes them the source's schema. The table is
// then read from its start.
func (l *lander) retype(ctx, work context.Context, t *tableRun) error {
	found, err := l.h.Inspector.Discover(work, l.j, l.conn)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(found.Tables, func(f driver.Table) bool { return f.Namespace == t.table.Namespace && f.Name == t.table.Name })
	if at < 0 {
		return fmt.Errorf("the types of %s were to be found anew, and it is gone", t.table)
	}
	t.table = l.choice.Without(found.Tables[at])
	return l.journal.decide(ctx, func(history.View) (history.Move, error) {
		known, err := l.j.State.Schema(l.j.Address)
		if err != nil {
			return history.Move{}, fmt.Errorf("read the schema: %w", err)
		}
		tables := slices.Clone(known.Tables)
		for _, now := range schema.Of(found.Tables[at : at+1]) {
			if i := slices.IndexFunc(tables, func(k event.Table) bool { return k.Namespace == now.Namespace && k.Name == now.Name }); i >= 0 {
				tables[i] = now
			}
		}
		return inspect.NewVersion(l.j, false, "sync", l.id, known, tables, known.LeftOut), nil
	})
}

// retyped reports whether a failure is one of types alone, and mends it.
func (l *lander) retyped(ctx, work context.Context, t *tableRun, err error, before int) (bool, error) {
	if !errors.Is(err, driver.ErrRetyped) || before >= maxRetypes || l.conn == nil || work.Err() != nil {
		return false, nil
	}
	l.j.Log.Debug("a table is read again with other types", "table", t.table.String(), "error", err)
	return true, l.retype(ctx, work, t)
}
