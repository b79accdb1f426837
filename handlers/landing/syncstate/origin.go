package syncstate

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/iceberg-go"

	"headwater/connectors/driver"
)

// Origin is what the rows of a table were read from. It is committed with them,
// and compared before anything is read that goes on behind them.
type Origin struct {
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

// With returns the origin of rows that are read now of a table, and are added to
// those of o; what the source cannot tell this time stays as it was.
func (o Origin) With(t driver.Table, lacking []string) Origin {
	next := Origin{Identity: t.Identity, Columns: make(map[string]string, len(t.Columns)), Lacking: lacking}
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

// Difference names the columns whose values in landed rows are not those of the source.
type Difference struct {
	Told    []string // in words, with what happened
	unknown []string // added, of a source that has no identities of columns
	Names   []string // of both
}

// Changed compares the columns of a table with those that were read before.
// landed is the schema of what landed, for when that was not noted.
func (o Origin) Changed(t driver.Table, landed *iceberg.Schema) (c Difference) {
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
			c.Told = append(c.Told, fmt.Sprintf("%q is another column or has another definition", now.Name))
		case mark == "":
			c.unknown = append(c.unknown, now.Name)
		default:
			c.Told = append(c.Told, added(before, t, now.Name, mark))
		}
		c.Names = append(c.Names, now.Name)
	}
	return c
}

// ChangedInLog is Changed for a table whose every change came by its log: a column
// that was added without a value for the rows that were there is NULL in them, and
// so it is in the landed ones. One that came as another one went may have been
// renamed.
func (o Origin) ChangedInLog(t driver.Table, landed *iceberg.Schema) (c Difference) {
	all := o.Changed(t, landed)
	renamed := false
	for name := range o.Columns {
		_, still := t.Column(name)
		renamed = renamed || !still
	}
	for _, name := range all.Names {
		_, read := o.Columns[name]
		column, _ := t.Column(name)
		switch {
		case !read && !column.Filled && !renamed:
			continue
		case read:
			c.Told = append(c.Told, fmt.Sprintf("%q is another column or has another definition", name))
		case renamed:
			c.Told = append(c.Told, fmt.Sprintf("%q came as another column went", name))
		default:
			c.Told = append(c.Told, fmt.Sprintf("%q was added with a value for the rows that were there", name))
		}
		c.Names = append(c.Names, name)
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

// Lacking joins two lists of columns, without those that the table has no
// longer.
func Lacking(before, more []string, t driver.Table) (all []string) {
	for _, name := range append(slices.Clone(before), more...) {
		if _, ok := t.Column(name); ok && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}
