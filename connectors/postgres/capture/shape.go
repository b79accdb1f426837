package capture

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/pgoutput"
)

// shape is a relation as the stream describes it, compared with the table that it is
// captured as.
type shape struct {
	target    *target // nil if the relation is not captured
	relation  *pgoutput.Relation
	differs   string // how it differs from the catalog when the log was opened, "" if it does not
	later     string // a column that it has and that came after the catalog was read, "" if there is none
	unlike    string // why its rows cannot be those of the table, "" if they can
	full      bool   // old rows have all columns
	key       []bool // for each column of the relation: it is of the table's key, or there is no key
	keyColumn []bool // for each column of the table
	whole     pgoutput.Writer
	keys      pgoutput.Writer
}

// shape compares a relation with its table.
func (f *follower) shape(r *pgoutput.Relation) *shape {
	t := f.tables[r.OID]
	if t == nil {
		return &shape{}
	}
	s := &shape{target: t, relation: r, full: r.Identity == 'f', key: make([]bool, len(r.Columns)), keyColumn: make([]bool, len(t.columns))}
	to := make([]int, len(r.Columns))
	var unknown []string
	found := make([]bool, len(t.columns))
	last := int64(0)
	for i, c := range r.Columns {
		to[i] = -1
		a := slices.IndexFunc(t.row.Attributes, func(a catalog.Attribute) bool { return a.Column.Name == c.Name })
		if a < 0 {
			unknown = append(unknown, c.Name)
			continue
		}
		have := &t.row.Attributes[a]
		if have.Number < last { // the log has the columns in the order of their numbers
			s.unlike = "column " + c.Name + " was another one, and was renamed"
		}
		last = have.Number
		if have.Declared != int64(c.Type) || have.Rewrite != int64(c.Mod) {
			s.differs = "column " + c.Name + " has another type"
		}
		at := slices.IndexFunc(t.table.Columns, func(x driver.Column) bool { return x.Name == c.Name })
		if at < 0 {
			continue
		}
		if have.Declared != int64(c.Type) || have.Rewrite != int64(c.Mod) && !slices.Contains(catalog.Lengths, have.Declared) {
			s.unlike = "column " + c.Name + " had another type"
		}
		to[i], found[at] = at, true
		isKey := slices.Contains(t.table.PrimaryKey, c.Name)
		s.key[i], s.keyColumn[at] = isKey || len(t.table.PrimaryKey) == 0 && c.Key, isKey
		if isKey && !c.Key {
			s.unlike = "its replica identity did not have the key " + strings.Join(t.table.PrimaryKey, ", ")
		}
		if c.Key != (t.full() || slices.Contains(t.keys, c.Name)) {
			s.differs = "its replica identity is another one"
		}
	}
	var absent []int
	for i, ok := range found {
		name := t.table.Columns[i].Name
		switch {
		case ok:
		case t.computed[name] != "":
			absent = append(absent, i)
		case t.attribute(i).Column.Filled || len(unknown) > 0:
			s.unlike = "it had no column " + name + ", which was filled when it was added, or renamed"
			absent = append(absent, i)
		default:
			absent = append(absent, i)
		}
	}
	if t.renamed(r) {
		s.unlike = "its columns had other names"
	}
	s.compare(r, unknown)
	s.later = t.isLater(r)
	s.whole = pgoutput.Writer{Rows: t.rows, To: to, Absent: absent, Check: f.checks(t)}
	s.keys = pgoutput.Writer{Rows: t.rows, To: to, Absent: absent, Check: f.checksKey(t)}
	return s
}

// isLater returns a column of a relation that was added after the catalog was read: its
// number is higher than any that the table has had.
func (t *captured) isLater(r *pgoutput.Relation) string {
	last := r.Columns[max(len(r.Columns)-1, 0):]
	for _, a := range t.row.Attributes {
		if a.Number == t.numbers && len(last) > 0 && !slices.ContainsFunc(t.row.Attributes, func(a catalog.Attribute) bool { return a.Column.Name == last[0].Name }) &&
			slices.ContainsFunc(r.Columns, func(c pgoutput.Column) bool { return c.Name == a.Column.Name }) {
			return last[0].Name
		}
	}
	return ""
}

// renamed reports whether the columns of a relation cannot be those of their names: between
// two that are known by name it must have every column that the table has there, and one
// more for each that was dropped at most. Else a column had the name of another one.
func (t *captured) renamed(r *pgoutput.Relation) bool {
	between := func(from, to int64, unknown int) bool {
		least, most := 0, 0
		for _, a := range t.row.Attributes {
			if a.Number > from && a.Number < to && t.computed[a.Column.Name] == "" {
				least, most = least+1, most+1
			}
		}
		for _, gone := range t.dropped {
			if gone > from && gone < to {
				most++
			}
		}
		if to == math.MaxInt64 { // of the last ones, some may have come later
			least = 0
		}
		return least <= unknown && unknown <= most
	}
	last, unknown := int64(0), 0
	for _, c := range r.Columns {
		a := slices.IndexFunc(t.row.Attributes, func(a catalog.Attribute) bool { return a.Column.Name == c.Name })
		if a < 0 {
			unknown++
			continue
		}
		if !between(last, t.row.Attributes[a].Number, unknown) {
			return true
		}
		last, unknown = t.row.Attributes[a].Number, 0
	}
	return !between(last, math.MaxInt64, unknown)
}

// checkNumbers refuses tables to which columns came since the note, of which one was dropped
// again and a later one is there: in the log both may have the same name and type. The same
// goes for one that was dropped again beside another one that was: the columns of the log
// do not tell which was which, and it may have had the name of a third (renamed).
func (l *changeLog) checkNumbers(note noted) {
	for _, t := range l.tables {
		was, ok := note.Numbers[strconv.FormatInt(t.row.OID, 10)]
		for _, gone := range t.dropped {
			if ok && t.after != 0 && gone > was.Highest && (t.dropped[0] <= was.Highest || slices.ContainsFunc(t.row.Attributes, func(a catalog.Attribute) bool { return a.Number > gone })) {
				l.refuse(t, driver.E(driver.ErrReplaced, nil, "table %s was altered: a column was added and dropped, as was another one, and the log does not tell which of them a value is of", t.table))
			}
		}
	}
	l.accept()
}

// compare notes how the relation differs from the catalog as it was read.
func (s *shape) compare(r *pgoutput.Relation, unknown []string) {
	t := s.target
	switch {
	case len(unknown) > 0:
		s.differs = "it has a column " + unknown[0]
	case r.Namespace != t.table.Namespace || r.Name != t.table.Name:
		s.differs = fmt.Sprintf("it is called %s.%s", r.Namespace, r.Name)
	case s.full != t.full():
		s.differs = "its replica identity is another one"
	}
	for _, a := range t.row.Attributes {
		if t.computed[a.Column.Name] == "" && !slices.ContainsFunc(r.Columns, func(c pgoutput.Column) bool { return c.Name == a.Column.Name }) {
			s.differs = "it has no column " + a.Column.Name
		}
	}
}

// usable reports, as an error, that rows of this shape are not rows of the table as
// it was captured. What was committed before the catalog was read may be of a shape
// from before an ALTER TABLE.
func (s *shape) usable(f *follower) error {
	switch {
	case s.later != "":
		// Where the log ended when the catalog was read tells nothing of it: transactions
		// that had just been committed need not have been in the catalog.
		return driver.E(driver.ErrRetyped, nil, "table %s was altered: it has a column %s now", s.target.table, s.later)
	case s.differs != "" && f.commit >= f.log.known:
		return driver.E(driver.ErrRetyped, nil, "table %s was altered: %s now", s.target.table, s.differs)
	case s.unlike != "":
		// The catalog need not show it: columns come and go between two looks.
		return f.refuse(s.target, driver.E(driver.ErrReplaced, nil, "table %s was altered: %s in changes from before that", s.target.table, s.unlike))
	}
	return nil
}

// checks returns what to do about a NULL, and about a value that its column cannot hold.
func (f *follower) checks(t *target) func(int, error) error {
	return func(at int, why error) error {
		c := t.table.Columns[at]
		switch {
		case why == nil && c.Nullable:
			return nil
		case why == nil:
			return driver.E(driver.ErrRetyped, nil, "table %s, column %s, %s: it is NULL, and the column was NOT NULL when the schema was read", t.table, c.Name, f.at())
		case binarycopy.Unheld(why) && t.nullsOK && c.Nullable && !slices.Contains(t.table.PrimaryKey, c.Name):
			t.nulled[at]++
			return nil
		}
		return binarycopy.Bad(t.table, c.Name, f.at(), why)
	}
}

// checksKey is checks for old rows that have only their keys.
func (f *follower) checksKey(t *target) func(int, error) error {
	checks := f.checks(t)
	return func(at int, why error) error {
		if why == nil {
			return nil
		}
		return checks(at, why)
	}
}
