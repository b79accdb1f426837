package landing

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"

	"headwater/connectors/driver"
	"headwater/handlers/landing/syncstate"
)

// compare notes which columns mean the same in older rows.
func (w *Writer) compare(landed *iceberg.Schema) {
	for _, c := range w.target.Table.Columns {
		if _, ok := landed.FindFieldByName(c.Name); ok && !slices.Contains(w.lacking, c.Name) {
			w.comparable = append(w.comparable, c.Name)
		}
	}
	if len(w.comparable) == 0 {
		for _, c := range w.target.Table.Columns {
			w.comparable = append(w.comparable, c.Name)
		}
	}
}

// startOver reports whether an incremental sync of a table at s has to read it
// from its start, for what landed is no part of what the source is now. It is
// driver.ErrReplaced where the target says to stop.
func (w *Writer) startOver(s syncstate.State) (bool, error) {
	t := w.target.Table
	if s.SnapshotID == 0 {
		return false, nil
	}
	if was := s.Origin.Identity; was != "" && t.Identity != "" && was != t.Identity {
		if w.target.StopReplaced {
			return false, driver.E(driver.ErrReplaced, nil, "%s is not the table whose rows landed before: it was made anew, swapped or restored, "+
				"or the source leads elsewhere", t)
		}
		w.restarted = true
		w.note("the table is not the one whose rows landed before (it was made anew, swapped or restored, or the source leads elsewhere): " +
			"it was read from its start, to replace what had landed")
		return true, nil
	}
	if s.Total == 0 {
		return false, nil
	}
	c := s.Origin.Changed(t, w.base.Meta.CurrentSchema())
	if w.target.Mode == Changes {
		c = s.Origin.ChangedInLog(t, w.base.Meta.CurrentSchema())
	}
	if len(c.Told) > 0 && !w.target.KeepRows {
		w.note("columns changed (" + someOf(c.Told) + "): the whole table was read again, and what had landed was replaced")
		return true, nil
	}
	w.lacking = syncstate.Lacking(s.Origin.Lacking, c.Names, t)
	return false, nil
}

// noteLacking says, as long as it is so, which columns of older rows are wrong.
func (w *Writer) noteLacking() {
	if len(w.lacking) == 0 || w.replace {
		return
	}
	quoted := make([]string, len(w.lacking))
	for i, name := range w.lacking {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	w.note("rows that landed before the columns changed hold no value, or an old one, in " + someOf(quoted) +
		": name the table in sync_options.reset to read them again")
}

// someOf lists the first few of many.
func someOf(texts []string) string {
	const most = 6
	if more := len(texts) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(texts[:most], ", "), more)
	}
	return strings.Join(texts, ", ")
}

// note keeps a sentence for people about what this writer lands.
func (w *Writer) note(text string) {
	if !slices.Contains(w.notes, text) {
		w.notes, w.told = append(w.notes, text), append(w.told, text)
	}
}

// Notes returns sentences for people: how the rows of this sync may differ from the
// source's, and why the table is read again.
func (w *Writer) Notes() []string { return w.notes }

// origin returns what is to be said of the rows of a table at was once this
// writer's are in it.
func (w *Writer) origin(was syncstate.State) syncstate.Origin {
	if w.stays {
		return was.Origin
	}
	return was.Origin.With(w.target.Table, w.lacking)
}

// keepsLanded reports whether a table that was replaced at its source has no row
// now, so that what landed would be replaced by nothing.
func (w *Writer) keepsLanded() bool {
	return w.restarted && w.replace && !w.target.AllowEmpty && !w.target.follows() && w.began.Total > 0 && rowsIn(w.pending()) == 0
}

// keepLanded leaves what landed as it is, with its schema and origin, and
// returns its cursor.
func (w *Writer) keepLanded() driver.Cursor {
	w.replace, w.stays = false, true
	w.schema, w.json = w.base.Meta.CurrentSchema(), w.began.JSON
	w.note(fmt.Sprintf("the table has no row now, and %s had landed: what landed stays until it has rows; set sync_options.allow_empty to true if it is to be empty", driver.Count(w.began.Total, "row")))
	return w.began.Cursor
}

func rowsIn(files []iceberg.DataFile) (n int64) {
	for _, f := range files {
		n += f.Count()
	}
	return n
}
