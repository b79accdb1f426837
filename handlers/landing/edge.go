package landing

import (
	"fmt"
	"slices"
	"time"

	"headwater/connectors/driver"
	"headwater/handlers/landing/border"
	"headwater/handlers/landing/syncstate"
)

// edgeAt decides what is known of the rows that a read which goes on at w.cursor
// shows again, of a table at s.
func (w *Writer) edgeAt(s syncstate.State) error {
	if w.cursor.Value == nil {
		return nil
	}
	noted := s.Cursor
	if noted.Column != w.target.CursorColumn || noted.Value == nil {
		noted = w.cursor
	}
	if w.border = s.Border; w.border == nil || w.border.Value == nil || *w.border.Value != *noted.Value {
		w.border = border.Unknown(noted.Value)
	}
	for _, reached := range []*driver.Cursor{w.overlap, s.Overlap} {
		if reached == nil || reached.Value == nil {
			continue
		}
		last, err := w.further(driver.Cursor{Column: w.target.CursorColumn, Value: w.border.Last}, *reached)
		if err != nil {
			return err
		}
		known := *w.border
		known.Last = last.Value
		w.border = &known
	}
	if column, _ := w.target.Table.Column(w.target.CursorColumn); column.Nullable && w.border.NullRows > border.MaxNulls {
		w.note(fmt.Sprintf("%d rows have no value in the cursor column %q, too many to read again each time: "+
			"rows without one that were added or changed since the last whole read are not found", w.border.NullRows, column.Name))
	}
	return nil
}

// Border returns what is known of the landed rows that a read at Cursor returns again,
// nil if the read starts from the beginning.
func (w *Writer) Border() *border.Border { return w.border }

// Reached tells the next Commit which rows a read that goes on at its cursor will return
// again, and whether rows added since the Commit before may have landed already.
func (w *Writer) Reached(b *border.Border, kept border.Kept) {
	w.reached = b
	w.again.Add(kept)
}

// Tell gives the next Commit the notes that this sync has on the table, and the time at
// which the read of its rows began.
func (w *Writer) Tell(notes []string, asOf time.Time) {
	w.told, w.asOf = slices.Clone(notes), asOf
}

// moment returns of when the rows of this sync are once a commit is done that
// adds so many, and notes it where that is more than one moment.
func (w *Writer) moment(added int64) *time.Time {
	first := w.landed.AsOf
	if w.target.Mode == Changes && !w.asOf.IsZero() {
		first = nil
	}
	if w.asOf.IsZero() || first != nil && !w.replace && w.landed.Records > 0 {
		if first != nil && added > 0 && !first.Equal(w.asOf) {
			w.note("the read was cut off and taken up again: the rows are of more than one moment, and as_of is the first")
		}
		return first
	}
	at := w.asOf.UTC()
	return &at
}

// Start says where the next read goes on at the latest: at the place that the source
// gives for the first snapshot of this read. If ranges of an earlier attempt are kept,
// its start counts, which is earlier.
func (w *Writer) Start(at *driver.Cursor) {
	if len(w.stage.list()) == 0 {
		w.stage.start = at
	}
}

// bounded returns a cursor that lies no further than the start of what is staged.
func (w *Writer) bounded(c *driver.Cursor) (*driver.Cursor, error) {
	start := w.stage.start
	if start == nil || c == nil || start.Column != "" && start.Column != c.Column {
		return c, nil
	}
	next := driver.Cursor{Column: c.Column, Value: c.Value, Position: start.Position}
	if start.Value != nil {
		column, _ := w.target.Table.Column(c.Column)
		order, err := driver.CompareCursors(column.Type, *c.Value, *start.Value)
		if err != nil {
			return nil, w.wrap(err)
		}
		if order > 0 {
			next.Value = start.Value
		}
	}
	return &next, nil
}

// edge returns the border to commit with a cursor.
func (w *Writer) edge(cursor driver.Cursor, was syncstate.State) (*border.Border, error) {
	if w.stays {
		return was.Border, nil
	}
	if cursor.Value == nil {
		return nil, nil
	}
	staged := w.stage.list()
	if len(staged) == 0 {
		if b := w.reached; b != nil && b.Value != nil && *b.Value == *cursor.Value {
			return b, nil
		}
		return border.Unknown(cursor.Value), nil
	}
	all := make([]*border.Border, len(staged))
	for i, r := range staged {
		all[i] = r.Border
	}
	column, _ := w.target.Table.Column(cursor.Column)
	return border.Join(column.Type, cursor.Value, all)
}

// noteBeyond tells of a row whose cursor lies beyond now.
func (w *Writer) noteBeyond(b *border.Border) {
	if b == nil || b.Beyond == nil {
		return
	}
	at := b.Beyond.Key
	if at != "" {
		at = " (" + at + ")"
	}
	w.note(fmt.Sprintf("the cursor column %q holds %s in a row%s, which lies beyond now: syncs do not go on behind it, and read such rows again each time; correct the value at the source",
		w.target.CursorColumn, b.Beyond.Value, at))
}
