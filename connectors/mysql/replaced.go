package mysql

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
	"headwater/connectors/mysql/typemap"
)

func sha256Of(text string) [sha256.Size]byte { return sha256.Sum256([]byte(text)) }

// verdict says whether a table is the one that a position was noted for.
type verdict struct {
	replaced bool
	note     string // what speaks against it, if it counts as the same table
}

// judge compares a table with what was noted about it. The time of creation changes with
// ALTER and RENAME as well as when the table is made again, and not with TRUNCATE;
// another server may hold a copy. So the catalog only gives a reason to look at rows
// that were seen before, and those decide.
func (w *witness) judge(was *position, again []sample, column string) verdict {
	reason := ""
	switch {
	case was.Server != "" && w.server != was.Server:
		reason = "the source leads to another server than before"
	case was.Created != w.created:
		reason = "the table was altered, renamed or made anew since the last sync"
	case less(w.next, was.Next):
		reason = "the table gives out numbers from the beginning again"
	case was.ID != "" && w.id != "" && was.ID != w.id:
		reason = "the table was made anew or emptied since the last sync"
	}
	if was.Fresh && len(w.columns) == 0 && reason == "" {
		reason = "the table may have been altered or made anew in the second in which it was made"
	}
	if len(w.rows) == 0 || len(was.Rows) == 0 {
		// If the table has no row now, nothing is missed. If no row was noted, or there is
		// no key to find it by, only the catalog can tell.
		return verdict{replaced: reason != "" && (len(was.Rows) > 0 || len(w.columns) == 0 || len(w.rows) > 0)}
	}
	intact, changed, gone := w.compare(was, again, column)
	total := intact + changed + gone
	switch {
	case reason != "":
		if changed > 0 || intact == 0 || gone > intact {
			return verdict{replaced: true}
		}
		return verdict{note: fmt.Sprintf("%s; at its ends %s stayed unchanged, so it was gone on from: if it is another table, sync it with reset", reason, driver.Count(intact, "row"))}
	case total == 0 || 2*intact >= total:
		return verdict{}
	case changed == 0 && w.next != "" && !w.lower(was): // old rows were deleted, and AUTO_INCREMENT went on
		return verdict{}
	}
	return verdict{replaced: true}
}

// sameTable fails with ErrReplaced if a table is not the one that was read up to a
// cursor. It returns a note for the sync if there is doubt. If none of the noted rows
// can be found, the rows at the cursor decide: there is none at or behind it after the
// table was filled again, and after its last rows were deleted.
func (s *source) sameTable(ctx context.Context, c *session.Session, t driver.Table, columns []typemap.Mapped, from driver.Cursor, w *witness, again []sample, view bool) (note string, err error) {
	was := positionOf(from.Position)
	if was == nil || from.Value == nil {
		return "", nil
	}
	v := w.judge(was, again, from.Column)
	if view { // its rows tell, when they are read
		if v.replaced {
			return "", replaced(t)
		}
		return "", nil
	}
	w.empty = w.columns != nil && len(w.rows) == 0
	if !v.replaced && (w.columns == nil || was.Empty) {
		var reached, passed bool
		if w.empty, reached, passed, err = s.extent(ctx, c, t, columns, from); err != nil {
			return "", err
		}
		v.replaced = !w.empty && (w.columns == nil && !reached || was.Empty && passed)
	}
	switch {
	case v.replaced:
		return "", replaced(t)
	case w.empty:
		return fmt.Sprintf("%s has no row now: it was emptied, and what had landed stays.", t), nil
	}
	return v.note, nil
}

func replaced(t driver.Table) error {
	return driver.E(driver.ErrReplaced, nil, "table %s is not the one that was read before: it was made anew, swapped, emptied or restored, or its last rows were deleted, or the source leads elsewhere", t)
}

// extent asks whether the table is empty, has a row at or behind the cursor, and has one
// before it.
func (s *source) extent(ctx context.Context, c *session.Session, t driver.Table, columns []typemap.Mapped, from driver.Cursor) (empty, reached, passed bool, err error) {
	query, err := selection(t, columns, driver.Cursor{Column: from.Column, Value: from.Value, Inclusive: true})
	if err != nil {
		return false, false, false, err
	}
	behind, err := before(t, columns, from)
	if err != nil {
		return false, false, false, err
	}
	_, rest, _ := strings.Cut(query, " FROM "+session.Relation(t))
	any := "EXISTS (SELECT 1 FROM " + session.Relation(t)
	err = c.Query(ctx, "SELECT "+any+"), "+any+rest+"), "+any+" WHERE "+behind+")", func(row []*string) error {
		empty, reached, passed = session.Text(row[0]) == "0", session.Text(row[1]) == "1", session.Text(row[2]) == "1"
		return nil
	})
	return empty, reached, passed, err
}

// compare counts the noted rows that are unchanged, changed and gone. A row whose cursor
// moved forward counts as neither, because it is read again. A row whose cursor moved
// back is not read again, so it counts as changed.
func (w *witness) compare(was *position, again []sample, cursor string) (intact, changed, gone int) {
	for _, old := range was.Rows {
		at := slices.IndexFunc(again, func(now sample) bool { return slices.Equal(now.Key, old.Key) })
		if at < 0 {
			gone++
			continue
		}
		same, moved := true, false
		for i, name := range was.Columns {
			j := slices.Index(w.columns, name)
			if j < 0 || len(old.Marks) < (i+1)*markLen || len(again[at].Marks) < (j+1)*markLen {
				continue
			}
			if old.Marks[i*markLen:(i+1)*markLen] != again[at].Marks[j*markLen:(j+1)*markLen] {
				same = false
				moved = moved || name == cursor
			}
		}
		switch {
		case same:
			intact++
		case !moved || again[at].Behind:
			changed++
		}
	}
	return intact, changed, gone
}

// lower reports whether a row has a lower number than every row that was seen before.
// Numbers that go on never do.
func (w *witness) lower(was *position) bool {
	lowest := func(rows []sample) (n string) {
		for _, r := range rows {
			if len(r.Key) > 0 && (n == "" || less(r.Key[0], n)) {
				n = r.Key[0]
			}
		}
		return n
	}
	return less(lowest(w.rows), lowest(was.Rows))
}

// less compares two AUTO_INCREMENT values. Text that is not a number is never less.
func less(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	order, err := driver.CompareCursors(driver.DecimalOf(20, 0), a, b)
	return err == nil && order < 0
}
