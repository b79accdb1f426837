package handlers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"headwater/bus/event"
	"headwater/connectors/driver"
)

// maxRetypes bounds how often the types of one table are found anew in one sync.
const maxRetypes = 4

// retype gives a table the types that its source found when values came which
// did not fit those of a sample, and makes them the source's schema. The table is
// then read from its start.
func (l *lander) retype(ctx, work context.Context, t *tableRun) error {
	found, err := l.j.discoverTables(work, l.conn)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(found.tables, func(f driver.Table) bool { return f.Namespace == t.table.Namespace && f.Name == t.table.Name })
	if at < 0 {
		return fmt.Errorf("the types of %s were to be found anew, and it is gone", t.table)
	}
	t.table = l.choice.Without(found.tables[at])
	return l.journal.decide(ctx, func(view) (move, error) {
		known, err := l.h.state.Schema(l.j.address)
		if err != nil {
			return move{}, fmt.Errorf("read the schema: %w", err)
		}
		tables := slices.Clone(known.Tables)
		for _, now := range tablesOf(found.tables[at : at+1]) {
			if i := slices.IndexFunc(tables, func(k event.Table) bool { return k.Namespace == now.Namespace && k.Name == now.Name }); i >= 0 {
				tables[i] = now
			}
		}
		return l.j.versionMove(false, "sync", l.id, known, tables, known.LeftOut), nil
	})
}

// retyped reports whether a failure is one of types alone, and mends it.
func (l *lander) retyped(ctx, work context.Context, t *tableRun, err error, before int) (bool, error) {
	if !errors.Is(err, driver.ErrRetyped) || before >= maxRetypes || l.conn == nil || work.Err() != nil {
		return false, nil
	}
	l.j.log.Debug("a table is read again with other types", "table", t.table.String(), "error", err)
	return true, l.retype(ctx, work, t)
}
