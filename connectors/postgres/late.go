package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/moment"
	"headwater/connectors/postgres/session"
)

// How many bytes a table may have for all its rows to be looked at for late ones, although
// an index leads to the new ones: in any case, and if late rows are likely.
const (
	lookAlways = 256 << 20
	lookNeeded = 4 << 30
)

// summer is a little more than local time goes back in autumn.
const summer = 65 * time.Minute

// resumption is what a read from a cursor needs besides the cursor's value.
type resumption struct {
	late  string  // the condition for late rows, "" if they are not looked for
	fresh []int64 // oids of heaps that were not part of the table before
	notes []string
	// border says that at least one row at or behind the cursor is expected.
	border bool
}

// resume compares the position beside a cursor with what is there now, and finds what a
// read by value alone would miss. ErrReplaced says that the table no longer has the rows
// that landed.
func (p *plan) resume(ctx context.Context, c *session.Session, from driver.Cursor) (r resumption, err error) {
	old, ok := moment.PositionOf(from.Position)
	if from.Value == nil || !ok || old.Server != p.server.Name {
		return r, nil
	}
	now := &p.moment
	if old.Timeline != 0 && now.Timeline != 0 && old.Timeline != now.Timeline || now.Ends() < old.XMax {
		return r, p.replaced("its server was restored, or a standby has taken over, since the last sync")
	}
	near := now.Ends()-old.XMax <= maxAge
	truncated, err := p.compare(ctx, c, old, near, &r)
	switch {
	case err != nil:
		return r, err
	case truncated != "":
		return r, p.replaced(truncated)
	case !p.plain():
		// Its rows do not show when they were written. If none is left at or behind the
		// cursor that was reached, they are other rows.
		r.border = from.Inclusive
		return r, nil
	case !near:
		return r, nil
	}
	at, _ := p.table.Column(from.Column)
	keyed := len(p.table.PrimaryKey) > 0
	switch {
	case keyed && now.Size <= lookAlways:
		if err := p.reloaded(ctx, c, old, from, at); err != nil {
			return r, err
		}
		r.late = old.Late(false)
	case timely(at.Type) && !(keyed || old.Open):
	case timely(at.Type): // the noted value lies before every open transaction
	case (old.Open || p.behind(from.Column)) && now.Size <= lookNeeded:
		r.late = old.Late(!keyed)
	case old.Open:
		r.notes = append(r.notes, fmt.Sprintf("%s was written to by transactions that were open when it was last read: rows of theirs with a %s below the cursor are not looked for in a table of this size; sync_options.lookback finds them.", p.table, from.Column))
	case p.behind(from.Column):
		r.notes = append(r.notes, fmt.Sprintf("The sequence of %s.%s hands out numbers ahead (CACHE): rows with a smaller number than the cursor are not looked for in a table of this size; sync_options.lookback finds them.", p.table, from.Column))
	}
	return r, nil
}

func (p *plan) replaced(why string) error {
	return driver.E(driver.ErrReplaced, nil, "table %s: %s", p.table, why)
}

// plain reports whether every row of the table shows which transaction wrote it.
func (p *plan) plain() bool {
	return p.moment.Heap && len(p.moment.Heaps) > 0 && p.row.RelKind != "f" && p.row.RelKind != "v"
}

// behind reports whether sessions may hold numbers of the column's sequence that they
// will use later.
func (p *plan) behind(column string) bool {
	for _, a := range p.row.Attributes {
		if a.Column.Name == column {
			return a.Cache > 1 || a.Step > 1 // programs hand out numbers within a step
		}
	}
	return false
}

// compare says what became of the heaps that were noted, "" if all are there.
func (p *plan) compare(ctx context.Context, c *session.Session, old moment.Position, near bool, r *resumption) (string, error) {
	if old.Nodes == nil {
		if len(p.moment.Heaps) > moment.MaxHeaps {
			r.notes = append(r.notes, fmt.Sprintf("%s has more than %d partitions: one that was attached or truncated is not noticed.", p.table, moment.MaxHeaps))
		}
		return "", nil
	}
	var checks []string
	var names []string
	for oid, node := range p.moment.Heaps {
		was, known := old.Nodes[oid]
		switch {
		case !known:
			r.fresh = append(r.fresh, oid)
		case was != node && p.moment.Shut[oid]:
			return p.moment.Names[oid] + ", whose rows it shows, was truncated, refreshed or rewritten", nil
		case was != node && !near:
			return "its heap is another one", nil
		case was != node:
			// A rewrite (VACUUM FULL) keeps the xmin of rows; after TRUNCATE all rows are
			// new.
			checks = append(checks, fmt.Sprintf("SELECT %d, EXISTS (SELECT FROM ONLY %s WHERE age(xmin) > age(%s) OR age(xmin) < 0)", len(names), p.moment.Names[oid], moment.XIDLiteral(old.XMax)))
			names = append(names, p.moment.Names[oid])
		}
	}
	if p.row.RelKind == "v" && len(r.fresh) > 0 {
		r.fresh = nil // which rows of a view they hold cannot be told
		r.notes = append(r.notes, fmt.Sprintf("%s shows rows of tables or partitions that were added since the last sync: those whose cursor lies below the last one are not found; sync_options.reset starts the table over.", p.table))
	}
	var gone []string
	for oid := range old.Nodes {
		if _, there := p.moment.Heaps[oid]; !there {
			gone = append(gone, strconv.FormatInt(oid, 10))
		}
	}
	truncated := ""
	if len(checks) > 0 {
		err := c.Run(ctx, strings.Join(checks, " UNION ALL "), func(_ int, row [][]byte) error {
			if at := session.Number(row[0]); !session.Truth(row[1]) && at >= 0 && at < int64(len(names)) {
				truncated = names[at] + " was truncated"
			}
			return nil
		})
		if err != nil || truncated != "" {
			return truncated, err
		}
	}
	if len(gone) == 0 {
		return "", nil
	}
	dropped := len(gone)
	err := c.Run(ctx, fmt.Sprintf("SELECT oid::regclass::text FROM pg_class WHERE oid = ANY ('{%s}'::oid[])", strings.Join(gone, ",")), func(_ int, row [][]byte) error {
		truncated, dropped = "its partition "+string(row[0])+" was detached", dropped-1
		return nil
	})
	if truncated == "" {
		r.notes = append(r.notes, fmt.Sprintf("%s of %s disappeared since the last sync: the rows that landed from there stay in the lake; sync_options.reset starts the table over.", driver.Count(dropped, "partition"), p.table))
	}
	return truncated, err
}

// reloaded reports whether a table was emptied by DELETE and filled again: no row is as
// old as the cursor, and none has reached it.
func (p *plan) reloaded(ctx context.Context, c *session.Session, old moment.Position, from driver.Cursor, at driver.Column) error {
	by := p.order(from.Column)
	again := false
	err := c.Run(ctx, fmt.Sprintf(`SELECT CASE WHEN EXISTS (SELECT FROM %[1]s WHERE age(xmin) > age(%[2]s) OR age(xmin) < 0) THEN false
  ELSE coalesce((SELECT %[3]s < %[4]s FROM %[1]s WHERE %[3]s IS NOT NULL ORDER BY %[3]s DESC LIMIT 1), false) END`, p.source(), moment.XIDLiteral(old.XMax), by, session.Literal(*from.Value)), func(_ int, row [][]byte) error {
		again = session.Truth(row[0])
		return nil
	})
	if err != nil || !again {
		return err
	}
	return p.replaced("all of its rows were deleted and others loaded, which do not reach the cursor of the last sync")
}

// timely reports whether the values of a cursor are times, which are not before the
// begin of the transaction that writes them.
func timely(t driver.Type) bool {
	return t.Kind == driver.TimestampTZ || t.Kind == driver.Timestamp || t.Kind == driver.Date
}

const layoutTimestamp = "2006-01-02T15:04:05.000000"

// ceiled reports whether late rows are found by going back in time, because not every
// row is looked at.
func (p *plan) ceiled(t driver.Type) bool {
	looked := p.plain() && len(p.table.PrimaryKey) > 0 && p.moment.Size <= lookAlways
	return !looked && timely(t) && !p.moment.At.IsZero()
}

// unseen says, for people, whose transactions are not seen if late rows are found by
// going back in time, "" if none are missed.
func (p *plan) unseen(column string) string {
	at, _ := p.table.Column(column)
	switch {
	case !p.ceiled(at.Type):
		return ""
	case p.server.Standby:
		return fmt.Sprintf("%s is read from a standby, which does not show what is open on the primary: rows that a transaction commits late, behind the cursor %s, are found by sync_options.lookback.", p.table, column)
	case p.moment.Blind:
		return fmt.Sprintf("This account does not see when other accounts' transactions began: rows of %s that they commit late, behind the cursor %s, may be missed. GRANT pg_read_all_stats shows them; sync_options.lookback finds such rows.", p.table, column)
	}
	return ""
}

// ceiling returns the function that moves a cursor's value back to before the rows that
// open transactions may still commit.
func (p *plan) ceiling(column string) func(value string) string {
	at, _ := p.table.Column(column)
	m := &p.moment
	same := func(value string) string { return value }
	if !p.ceiled(at.Type) {
		return same
	}
	begun := m.At.Add(-m.Since)
	switch {
	case at.Type.Kind == driver.TimestampTZ && m.Known:
		text := begun.Format("2006-01-02T15:04:05.000000Z")
		return func(value string) string { return min(value, text) }
	case at.Type.Kind == driver.Date && m.Known:
		text := begun.AddDate(0, 0, -1).Format(time.DateOnly) // in whatever time zone it was written
		return func(value string) string { return min(value, text) }
	case at.Type.Kind == driver.Timestamp:
		return func(value string) string {
			t, err := time.Parse(layoutTimestamp, value)
			if err != nil || t.Year() < 2 {
				return value
			}
			// A time in the future is local time or a mistake: no read goes on from it.
			if t.After(m.At.Add(zones)) {
				t = m.At.Add(-zones)
			} else if t.After(m.At) {
				t = m.At
			}
			return t.Add(-m.Since - summer).Format(layoutTimestamp)
		}
	}
	return same
}
