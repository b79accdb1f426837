package driver

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// DefaultCursor returns the column of t that an incremental sync follows when
// nobody names one, "" for none, and sentences for people on what such a sync
// cannot see: for Table.Cursor and Table.CursorNotes. It goes by what the columns
// are called, not by where they stand in the table:
//
//   - a time with the name of a last change (updated_at, lastModifiedDateTime,
//     sys_updated_on, orders_updated_at), or a unique row_version: those find
//     changed rows;
//   - a primary key of one integer: finds new rows alone.
//
// A date, a text and a time of creation are never chosen: read whole, such a
// table lands every row. A caller whose keys are given out again after a delete
// leaves PrimaryKey away.
func DefaultCursor(t Table) (name string, notes []string) {
	var best []candidate
	for _, c := range t.Columns {
		if m, ok := changeTime(t, c); ok && c.Ordered() {
			best = append(best, m)
		}
	}
	if len(best) > 0 {
		slices.SortFunc(best, candidate.compare)
		return best[0].Name, append(CursorNotes(t, best[0].Name), rivals(best)...)
	}
	if len(t.PrimaryKey) == 1 {
		if c, ok := t.Column(t.PrimaryKey[0]); ok && c.integer() && c.Ordered() {
			return c.Name, CursorNotes(t, c.Name)
		}
	}
	return "", nil
}

// CursorNotes say in whole sentences what a sync of t that follows the column
// cannot see; there are none where it sees every new and changed row.
func CursorNotes(t Table, column string) (notes []string) {
	c, ok := t.Column(column)
	if !ok {
		return nil
	}
	if _, changes := changeTime(t, c); !changes {
		switch {
		case c.integer():
			notes = append(notes, fmt.Sprintf("The cursor %s finds new rows only: not rows that changed, and none with a number below the largest that was read.", column))
		case parse(c.Name).created && c.time():
			notes = append(notes, fmt.Sprintf("The cursor %s finds new rows only: not rows that changed, and none that came with an older time.", column))
		}
	}
	if c.Type.Kind == Timestamp {
		notes = append(notes, fmt.Sprintf("The cursor %s has no time zone: if it is written in local time, rows of the hour that the clock goes back over may be missed; a lookback of two hours finds them.", column))
	}
	if c.Nullable {
		notes = append(notes, fmt.Sprintf("The cursor %s may be NULL: rows without a value are read again by every sync.", column))
	}
	return notes
}

// FindsChanges reports whether a cursor that follows the column finds rows that
// changed, too, and not new ones alone.
func FindsChanges(t Table, column string) bool {
	c, _ := t.Column(column)
	_, changes := changeTime(t, c)
	return changes
}

// rivals tells of other columns that the choice could as well have been.
func rivals(sorted []candidate) []string {
	var names []string
	for _, c := range sorted[1:] {
		if c.tier == sorted[0].tier {
			names = append(names, c.Name)
		}
	}
	if names == nil {
		return nil
	}
	return []string{fmt.Sprintf("The cursor is %s; %s could be one as well by name: choose with cursor_columns.", sorted[0].Name, strings.Join(names, ", "))}
}

// candidate is a column that may say when its row last changed.
type candidate struct {
	Column
	tier int // 0 by its name alone, 1 by the table's name before it, 2 a version
	spelling
}

func (a candidate) compare(b candidate) int {
	zone := func(c candidate) int {
		if c.Type.Kind == TimestampTZ || c.utc {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.tier, b.tier), cmp.Compare(a.verb, b.verb), cmp.Compare(a.form, b.form), cmp.Compare(zone(a), zone(b)), cmp.Compare(a.Name, b.Name))
}

// changeTime tells whether a column says when its row last changed. One with
// another word before it, as in password_changed_at, speaks of a part of the row,
// unless that word stands for the table.
func changeTime(t Table, c Column) (candidate, bool) {
	if s := parse(c.Name); s.version && c.Unique && c.integer() {
		return candidate{c, 2, s}, true
	}
	if !c.time() || c.Grain >= 24*time.Hour {
		return candidate{}, false
	}
	if s := parse(c.Name); s.changed {
		return candidate{c, 0, s}, true
	}
	all := words(c.Name)
	for n := 1; n < len(all); n++ {
		if s := parse(strings.Join(all[n:], "_")); s.changed && ofTable(t, all[:n]) {
			return candidate{c, 1, s}, true
		}
	}
	return candidate{}, false
}

// ofTable tells whether words before a column's name stand for the table: they
// are its name, in singular or plural, or at least half of the columns begin so.
func ofTable(t Table, prefix []string) bool {
	head := strings.Join(prefix, "")
	table := strings.Join(words(t.Name), "")
	for _, end := range []string{"", "s", "es"} {
		if head+end == table || head == table+end {
			return true
		}
	}
	if strings.HasSuffix(table, "ies") && head == strings.TrimSuffix(table, "ies")+"y" {
		return true
	}
	shared := 0
	for _, c := range t.Columns {
		if w := words(c.Name); len(w) > len(prefix) && slices.Equal(w[:len(prefix)], prefix) {
			shared++
		}
	}
	return shared >= 3 && 2*shared >= len(t.Columns)
}

// integer reports whether the column holds whole numbers.
func (c Column) integer() bool {
	return c.Type.Kind == Int32 || c.Type.Kind == Int64 || c.Type.Kind == Decimal && c.Type.Scale == 0
}

func (c Column) time() bool { return c.Type.Kind == Timestamp || c.Type.Kind == TimestampTZ }

// spelling is what a column's name says.
type spelling struct {
	changed, created, version bool
	verb, form                int // ranks of a change: the likelier, the lower
	utc                       bool
}

const (
	before = `^(?:sys|system|row|record|rec|meta|metadata|audit|hs)?`
	when   = `(?:last|latest|most|recent|date|datetime|time|timestamp|dt|ts)*`
	after  = `((?:at|on|date|time|datetime|timestamp|stamp|ts|dt|tm|dttm|when)*)(utc|gmt|tz|local|ms|us)?$`
)

// spellings are what names are compared with. They are made when the first name
// is: few processes that link this package read a schema.
var spellings = sync.OnceValue(func() (all struct {
	verbs              []*regexp.Regexp // words for a change, the likeliest first
	creation, versions *regexp.Regexp
},
) {
	all.verbs = append(all.verbs, regexp.MustCompile(`^system_?modstamp()()$`))
	for _, verb := range []string{
		`(?:updated?|upd)`, `(?:modified|modification|modify|mod|lastmod)`, `(?:changed?|chg)`,
		`(?:mtime|edited|edit|revised|amended|touched|write|written|modstamp)`,
	} {
		all.verbs = append(all.verbs, regexp.MustCompile(before+when+verb+after))
	}
	all.creation = regexp.MustCompile(before + when + `(?:created?|creation|inserted?|added|received|recorded|occurred|ingested|registered|ctime|event)` + after)
	all.versions = regexp.MustCompile(`^(?:sys|system|_)*(?:rowversion|rowver|rowvers|changeversion)$`)
	return all
})

// parse reads a name without regard to case, underscores and humps.
func parse(name string) (s spelling) {
	flat := strings.Join(words(name), "")
	known := spellings()
	s.version = known.versions.MatchString(flat)
	s.created = known.creation.MatchString(flat)
	for rank, verb := range known.verbs {
		m := verb.FindStringSubmatch(flat)
		if m == nil {
			continue
		}
		s.changed, s.verb, s.utc = true, rank, m[2] == "utc" || m[2] == "gmt" || m[2] == "tz"
		switch { // updated_at before last_update
		case m[1] == "at":
		case m[1] == "on", strings.HasPrefix(flat, "last"):
			s.form = 1
		default:
			s.form = 2
		}
		return s
	}
	return s
}

// words splits a name at what is no letter or digit and where a small letter is
// followed by a large one, and makes the parts small.
func words(name string) (out []string) {
	var word []rune
	flush := func() {
		if len(word) > 0 {
			out, word = append(out, strings.ToLower(string(word))), nil
		}
	}
	small := false
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			flush()
			small = false
			continue
		}
		if small && unicode.IsUpper(r) {
			flush()
		}
		small = unicode.IsLower(r) || unicode.IsDigit(r)
		word = append(word, r)
	}
	flush()
	return out
}
