package landing

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"

	"headwater/connectors/driver"
)

// origin is what the rows of a table were read from. It is committed with them,
// and compared before anything is read that goes on behind them.
type origin struct {
	Identity string // driver.Table.Identity, "" where it is not known
	// Columns are those that were read, each with a mark of its
	// driver.Column.Identity, "" where that is not known. nil in snapshots from
	// before it was noted.
	Columns map[string]string
	// Lacking are columns in which rows that landed before hold NULL, or a value
	// that the source no longer has.
	Lacking []string
}

// markOf returns a column's identity, or what stands for it if it is long: it is
// compared, and never shown.
func markOf(c driver.Column) string {
	if len(c.Identity) <= 48 {
		return c.Identity
	}
	sum := sha256.Sum256([]byte(c.Identity))
	return "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// of returns the origin of rows that are read now of a table, and are added to
// those of o; what the source cannot tell this time stays as it was.
func (o origin) of(t driver.Table, lacking []string) origin {
	next := origin{Identity: t.Identity, Columns: make(map[string]string, len(t.Columns)), Lacking: lacking}
	if next.Identity == "" {
		next.Identity = o.Identity
	}
	for _, c := range t.Columns {
		if next.Columns[c.Name] = markOf(c); c.Identity == "" {
			next.Columns[c.Name] = o.Columns[c.Name]
		}
	}
	return next
}

// changes are columns whose values in rows that landed before are not those of
// the source.
type changes struct {
	told    []string // in words, with what happened
	unknown []string // added, of a source that has no identities of columns
	names   []string // of both
}

// changed compares the columns of a table with those that were read before.
// landed is the schema of what landed, for when that was not noted.
func (o origin) changed(t driver.Table, landed *iceberg.Schema) (c changes) {
	before := o.Columns
	if before == nil {
		before = map[string]string{}
		for _, f := range landed.Fields() {
			before[f.Name] = ""
		}
	}
	for _, now := range t.Columns {
		was, read := before[now.Name]
		switch mark := markOf(now); {
		case read && (was == "" || mark == "" || was == mark):
			continue
		case read:
			c.told = append(c.told, fmt.Sprintf("%q is another column or has another definition", now.Name))
		case mark == "":
			c.unknown = append(c.unknown, now.Name)
		default:
			c.told = append(c.told, added(before, t, now.Name, mark))
		}
		c.names = append(c.names, now.Name)
	}
	return c
}

// changedInLog is changed for a table whose every change came by its log: a column
// that was added without a value for the rows that were there is NULL in them, and
// so it is in the landed ones. One that came as another one went may have been
// renamed.
func (o origin) changedInLog(t driver.Table, landed *iceberg.Schema) (c changes) {
	all := o.changed(t, landed)
	renamed := false
	for name := range o.Columns {
		_, still := t.Column(name)
		renamed = renamed || !still
	}
	for _, name := range all.names {
		_, read := o.Columns[name]
		column, _ := t.Column(name)
		switch {
		case !read && !column.Filled && !renamed:
			continue
		case read:
			c.told = append(c.told, fmt.Sprintf("%q is another column or has another definition", name))
		case renamed:
			c.told = append(c.told, fmt.Sprintf("%q came as another column went", name))
		default:
			c.told = append(c.told, fmt.Sprintf("%q was added with a value for the rows that were there", name))
		}
		c.names = append(c.names, name)
	}
	return c
}

// added says how a column came that was not read before.
func added(before map[string]string, t driver.Table, name, mark string) string {
	for _, old := range slices.Sorted(maps.Keys(before)) {
		if _, still := t.Column(old); before[old] == mark && !still {
			return fmt.Sprintf("%q was %q", name, old)
		}
	}
	return fmt.Sprintf("%q was not read before", name)
}

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
func (w *Writer) startOver(s state) (bool, error) {
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
			"it was read from its start, and what had landed was replaced")
		return true, nil
	}
	if s.Total == 0 {
		return false, nil
	}
	c := s.Origin.changed(t, w.base.Meta.CurrentSchema())
	if w.target.Mode == Changes {
		c = s.Origin.changedInLog(t, w.base.Meta.CurrentSchema())
	}
	if len(c.told) > 0 && !w.target.KeepRows {
		w.note("columns changed (" + someOf(c.told) + "): the whole table was read again, and what had landed was replaced")
		return true, nil
	}
	w.lacking = lackingOf(s.Origin.Lacking, c.names, t)
	return false, nil
}

// lackingOf joins two lists of columns, without those that the table has no
// longer.
func lackingOf(before, more []string, t driver.Table) (all []string) {
	for _, name := range append(slices.Clone(before), more...) {
		if _, ok := t.Column(name); ok && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
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

// Notes returns in what the rows that this writer lands may differ from the
// source, or why they are read anew, in sentences.
func (w *Writer) Notes() []string { return w.notes }

// origin returns what is to be said of the rows of a table at was once this
// writer's are in it.
func (w *Writer) origin(was state) origin {
	if w.stays {
		return was.Origin
	}
	return was.Origin.of(w.target.Table, w.lacking)
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
	w.note(fmt.Sprintf("the table has no row now, and %d rows had landed: they stay until it has rows; set sync_options.allow_empty to true if it is to be empty", w.began.Total))
	return w.began.Cursor
}

func rowsIn(files []iceberg.DataFile) (n int64) {
	for _, f := range files {
		n += f.Count()
	}
	return n
}
