package landing

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apache/iceberg-go"

	"headwater/connectors/driver"
	"headwater/handlers/landing/parts"
	"headwater/handlers/landing/syncstate"
	"headwater/handlers/landing/tableschema"
)

// following is what a writer of mode Changes has at hand.
type following struct {
	position string    // up to which the table is complete with the next commit
	at       time.Time // when the last transaction before it was committed
	noted    string    // the position that the last commit wrote
	batches  []batch   // not committed yet, in order
}

// batch is one of parts.Changes as a commit sees it.
type batch struct {
	parts.Changes
	rows, gone []iceberg.DataFile
}

func (b batch) names() (names []string) {
	for _, p := range slices.Concat(b.Rows, b.Gone, b.Kept) {
		names = append(names, p.Name)
	}
	return names
}

// errUnread is the answer of a writer whose table has no Position.
var errUnread = errors.New("the table has to be read whole before changes can be applied to it")

// Position returns the place in the source's log up to which the table is complete, for
// a writer of mode Changes: changes go on behind it. It is "" if the table has to be read
// whole first: because no whole read has noted a position, because the source's table,
// its columns or its key are others than those that landed, or because of Reset.
func (w *Writer) Position() string { return w.follow.noted }

// Change takes durable changes up to a position in the source's log, in files as Add
// takes them. The next Commit applies those of all calls in their order, and notes the
// position. Change fails if Position returns "", and with the errors of Add.
func (w *Writer) Change(position string, made ...parts.Changes) error {
	if w.closed {
		return ErrClosed
	}
	if w.follow.noted == "" || position == "" {
		return w.wrap(errUnread)
	}
	for _, c := range made {
		b := batch{Changes: c}
		var err error
		if b.rows, err = w.dataFiles(c.Rows); err != nil {
			return w.wrap(err)
		}
		if b.gone, err = w.dataFiles(c.Gone); err != nil {
			return w.wrap(err)
		}
		if w.target.Log && (c.Truncated || len(c.Gone) > 0 || len(c.Kept) > 0) {
			return w.wrap(errors.New("a log of changes takes rows alone"))
		}
		w.follow.batches = append(w.follow.batches, b)
	}
	w.follow.position = position
	return nil
}

// At tells the next Commit up to which position the table is complete, and when the
// last transaction before it was committed at the source, the zero time if that is not
// known.
func (w *Writer) At(position string, committed time.Time) {
	w.follow.position, w.follow.at = position, committed
}

// resumeFollowing decides whether changes go on in a table that is at s.
func (w *Writer) resumeFollowing(s syncstate.State) error {
	if s.Position == "" || s.Moved != w.target.Moved || !s.Followed.Same(w.target.followed()) || w.target.Reset && s.Sync != w.target.SyncID {
		w.unread()
		return nil
	}
	again, err := w.startOver(s)
	if err != nil {
		return err
	}
	current, last := w.base.Meta.CurrentSchema(), w.base.Meta.LastColumnID()
	if !again {
		w.target.Table = tableschema.AsLanded(w.target.Table, w.target.Key, w.target.CursorColumn, current, s.JSON)
		w.schema, err = tableschema.Evolved(current, last, s.JSON, w.target.Table)
	}
	if errors.Is(err, ErrSchemaChanged) {
		w.note(fmt.Sprintf("%v: the whole table is read again", err))
		again, err = true, nil
	}
	if again || err != nil {
		w.unread()
		return err
	}
	w.follow.position, w.follow.noted = s.Position, s.Position
	w.noteLacking()
	return nil
}

// unread leaves a writer that only says that the table has to be read whole.
func (w *Writer) unread() {
	w.follow = following{}
	w.schema = tableschema.Replaced(w.base.Meta.CurrentSchema(), w.base.Meta.LastColumnID(), w.target.Table)
}

// extended returns the target with the columns that changes need behind those of
// its table. A row of a log may hold NULL anywhere: of what was deleted only the
// key may be known.
func (t Target) extended() Target {
	if !t.Log && !t.Soft {
		return t
	}
	t.Table.Columns = slices.Clone(t.Table.Columns)
	if t.Soft {
		t.Table.Columns = append(t.Table.Columns, parts.DeletedColumn)
		return t
	}
	for i := range t.Table.Columns {
		t.Table.Columns[i].Nullable = true
	}
	t.Table.Columns = append(t.Table.Columns, parts.LogColumns...)
	return t
}

// read returns the target's table without what extended has added.
func (w *Writer) read() driver.Table {
	t := w.target.Table
	if len(t.Columns) > len(w.columns) {
		t.Columns = slices.Clone(t.Columns[:len(w.columns)])
		for i, c := range w.columns {
			t.Columns[i].Nullable = c.Nullable
		}
	}
	return t
}

// pendingChanges returns what the next commit applies, in order, whether it first
// removes every row there was, and the names of files that it has no use for.
func (w *Writer) pendingChanges() (apply []batch, truncated bool, dropped []string) {
	apply = w.follow.batches
	for i := len(apply) - 1; i >= 0; i-- {
		if apply[i].Truncated {
			for _, b := range apply[:i] {
				dropped = append(dropped, b.names()...)
			}
			return apply[i:], true, dropped
		}
	}
	return apply, false, nil
}

// incoming is a pending file as a merge looks at it.
type incoming struct {
	iceberg.DataFile
	gone bool // of keys alone, whose rows go
}

func incomingOf(files []iceberg.DataFile) []incoming {
	in := make([]incoming, len(files))
	for i, f := range files {
		in[i].DataFile = f
	}
	return in
}

// incoming returns the files of a batch in the order in which they count.
func (b batch) incoming() []incoming {
	in := incomingOf(b.gone)
	for i := range in {
		in[i].gone = true
	}
	return append(in, incomingOf(b.rows)...)
}
