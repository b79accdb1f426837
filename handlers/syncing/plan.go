package syncing

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
	"headwater/handlers/outcome"
	"headwater/handlers/schema"
	"headwater/handlers/syncoptions"
)

// tableOptions is what the options ask of one table beyond how it is read.
type tableOptions struct {
	Merge    bool     // upsert on Key
	Key      []string // the primary key or key_columns, in the source's order
	Deleted  string   // with Merge: the column that says that a row is deleted
	Reset    bool     // start over
	Replaced bool     // start over, because the source shows another table
	From     *driver.Cursor
	Lookback command.Lookback
	Limit    time.Duration // of the table with its retries, 0 for none
}

// plan chooses the tables of a sync and how each is read; the unread ones fail
// when it is their turn. Options that the tables of the schema cannot meet are a
// failure that names them, before anything is read.
func (a *attempt) plan(found schema.Found, schema []event.Table) ([]*tableRun, error) {
	if err := a.check(schema); err != nil {
		return nil, err
	}
	limit, err := a.options.TableLimit.Value()
	if err != nil {
		return nil, fmt.Errorf("sync_options.table_timeout: %w", err)
	}
	var runs []*tableRun
	for _, t := range found.Tables {
		if !a.choice.Takes(t.Namespace, t.Name) {
			continue
		}
		run := &tableRun{table: a.choice.Without(t), totals: &a.totals, silentAfter: 2 * a.h.Options.ProgressEvery}
		run.result = event.TableResult{Name: t.Name, Namespace: t.Namespace, Status: statusWaiting, Mode: a.mode}
		// A full refresh notes it too: the next incremental sync goes on there.
		var moved string
		run.cursor, moved = a.cursorOf(run.table)
		if t.RowEstimate >= 0 {
			rows := t.RowEstimate
			run.result.Estimate = &rows
		}
		run.note(t.Notes...)
		run.options = tableOptions{Reset: a.choice.Any(a.options.Reset, t.Namespace, t.Name), Limit: limit}
		if a.mode == landing.Incremental {
			run.note(moved)
			a.planIncremental(run, t)
		}
		if a.mode == landing.Changes {
			a.planCapture(run)
		}
		runs = append(runs, run)
	}
	for _, u := range found.Unread {
		if a.choice.Takes(u.Namespace, u.Name) {
			run := &tableRun{table: driver.Table{Namespace: u.Namespace, Name: u.Name}, unread: u.Err, totals: &a.totals}
			run.result = event.TableResult{Name: u.Name, Namespace: u.Namespace, Status: statusWaiting, Mode: a.mode}
			runs = append(runs, run)
		}
	}
	if len(runs) == 0 && len(a.options.Tables) > 0 {
		return nil, a.noneOfThem()
	}
	return runs, nil
}

func (a *attempt) planIncremental(run *tableRun, t driver.Table) {
	if run.cursor == "" {
		run.result.Mode = landing.FullRefresh
		run.result.Message = "no column to go by: the whole table is read each time; name one in sync_options.cursor_columns"
		return
	}
	if run.cursor == t.Cursor {
		run.note(t.CursorNotes...)
	} else {
		run.note(driver.CursorNotes(t, run.cursor)...)
	}
	run.options.Key = syncoptions.KeyOf(a.options, t.Namespace, t.Name, t.PrimaryKey)
	if a.options.Merge && len(run.options.Key) == 0 {
		run.result.Mode = landing.FullRefresh
		run.result.Message = "no key to merge by: the whole table is read each time; " + syncoptions.NameKey
		return
	}
	run.options.Lookback = a.options.Lookback
	if a.options.Merge {
		run.options.Merge = true
		run.options.Deleted, _ = syncoptions.Named(a.options.Deleted, t.Namespace, t.Name)
	}
	if text, ok := syncoptions.Named(a.options.StartFrom, t.Namespace, t.Name); ok {
		column, _ := t.Column(run.cursor)
		if value, err := syncoptions.CursorValue(column.Type, text); err == nil { // checked before
			run.options.From = &driver.Cursor{Column: run.cursor, Value: &value}
		}
	}
}

// planCapture says how a table's changes land. One without a key to apply them by is
// read whole.
func (a *attempt) planCapture(run *tableRun) {
	t := run.table
	run.cursor = ""
	run.options.Key = syncoptions.KeyOf(a.options, t.Namespace, t.Name, t.PrimaryKey)
	log := a.options.Changes == command.AppendChanges
	if len(run.options.Key) == 0 && !log {
		run.result.Mode = landing.FullRefresh
		run.result.Message = "no primary key, by which changes find their rows: the whole table is read by each sync, and none of its changes while one goes on; sync_options.changes append keeps them as they come"
		return
	}
	run.follow = &following{log: log, soft: a.options.SoftDelete}
}

// check asks of the tables that were found what the API asked of those known
// before.
func (a *attempt) check(found []event.Table) error {
	// An attempt that goes on with start_from may have passed it already.
	problems := syncoptions.CheckFound(a.options, found, a.choice, a.used, a.absentee)
	if len(problems) == 0 {
		return nil
	}
	f := outcome.Failf(problems[0].Reason, "%s", problems[0].Error())
	if n := len(problems) - 1; n > 0 {
		f.Message += fmt.Sprintf(" (and %d more)", n)
	}
	return f
}

// behind returns where a read begins that goes on at a cursor: the lookback
// behind it.
func (t *tableRun) behind(from driver.Cursor) driver.Cursor {
	column, ok := t.table.Column(from.Column)
	if !ok || from.Value == nil || t.options.Lookback == "" {
		return from
	}
	value := syncoptions.Behind(column.Type, *from.Value, t.options.Lookback)
	from.Value = &value
	return from
}

// limitsOf returns the bounds of what a sync reads.
func limitsOf(o command.SyncOptions) driver.Limits {
	idle, _ := o.IdleTimeout.Value() // checked before
	return driver.Limits{BatchRows: o.BatchSize, Idle: idle}
}

// mean makes the options those of the sync, given the tables there are and were.
func (a *attempt) mean(tables ...[]event.Table) error {
	var kept command.SyncOptions
	if len(a.source.Sync) > 0 {
		if err := json.Unmarshal(a.source.Sync, &kept); err != nil {
			return fmt.Errorf("read the source's own sync options: %w", err)
		}
	}
	a.options = syncoptions.Effective(a.asked, kept, slices.Concat(tables...))
	return nil
}

// always returns the options that the source keeps from the end of this sync on,
// nil for those that it kept. A sync that fails leaves them as they were.
func (a *attempt) always() (json.RawMessage, error) {
	if !a.asked.Always {
		return nil, nil
	}
	return json.Marshal(a.asked.Kept())
}

// used returns the column that the last sync of a table went by, "" for none.
func (a *attempt) used(namespace, table string) string {
	return a.inUse[driver.Table{Namespace: namespace, Name: table}.String()]
}

// cursorOf returns the column that an incremental sync of the table goes by, ""
// if there is none: the one that the options name, else the one that was in use,
// as long as it can be followed, else the source's choice. Where the last two
// differ moved says so: another choice (a column was added, renamed or may be
// NULL now) must not change in silence what syncs find.
func (a *attempt) cursorOf(t driver.Table) (column, moved string) {
	if c, ok := syncoptions.Named(a.options.CursorField, t.Namespace, t.Name); ok {
		return c, ""
	}
	choice := ""
	if c, ok := t.Column(t.Cursor); ok && c.Ordered() {
		choice = c.Name
	}
	used := a.used(t.Namespace, t.Name)
	if used == "" || used == choice || a.choice.Any(a.options.Reset, t.Namespace, t.Name) {
		return choice, ""
	}
	if c, ok := t.Column(used); ok && c.Ordered() {
		other := "none"
		if choice != "" {
			other = choice
		}
		return used, fmt.Sprintf("The cursor stays %s, which was in use; without that it would be %s now: sync_options.cursor_columns, or a reset, changes it.", used, other)
	}
	now := "it is read whole"
	if choice != "" {
		now = "it goes by " + choice
	}
	return choice, fmt.Sprintf("The cursor %s that was in use is not there any more or has no order now: %s.", used, now)
}
