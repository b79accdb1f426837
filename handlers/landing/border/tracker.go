package border

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/connectors/driver"
)

// farthest is how far local time may be ahead of UTC, and longBeyond from when
// on a value is told of.
const (
	farthest   = 14 * time.Hour
	longBeyond = 24 * time.Hour
)

// Tracker follows the rows of one read, in any order, and knows at each moment
// where the next one goes on, and which rows that will show again. It is not
// safe for concurrent use.
type Tracker struct {
	typ    driver.Type
	column string
	at     int
	key    []int // columns of the primary key
	of     string
	now    time.Time

	limit, local *point // no place to go on from lies beyond: UTC, and where local time is the farthest ahead
	ceiling      *value // nor beyond this, whatever was read

	reached *value // the largest value up to limit
	within  *value // the largest value up to local
	last    *value // the largest value
	beyond  *Row

	rows      []seen // at the place to go on from, or behind it
	lost      *point // the largest value of rows that are missing among them, nil for none
	ahead     int    // rows between limit and local
	nulls     Set
	nullRows  int64
	localTime bool // limit was moved to local
}

type value struct {
	point
	text string
}

type seen struct {
	point
	hash
}

// Track returns the Tracker of a read of the table by the column, which began at
// now. from is where it goes on, nil for a read from the start; ceiling is where
// the next read goes on at the latest, nil for wherever this one comes to.
func Track(t driver.Table, column string, from, ceiling *string, now time.Time) (*Tracker, error) {
	k := &Tracker{column: column, of: Of(t), now: now, at: -1}
	for i, c := range t.Columns {
		if c.Name == column && c.Type.Ordered() {
			k.at, k.typ = i, c.Type
		}
		if slices.Contains(t.PrimaryKey, c.Name) {
			k.key = append(k.key, i)
		}
	}
	if k.at < 0 {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "%s has no column %q with an order to go by", t, column)
	}
	var err error
	if k.ceiling, err = k.valueOf(ceiling); err != nil {
		return nil, err
	}
	if k.reached, err = k.valueOf(from); err != nil {
		return nil, err
	}
	k.within, k.last = k.reached, k.reached
	switch k.typ.Kind {
	case driver.Date, driver.Timestamp:
		k.limit, k.local = k.moment(now), k.moment(now.Add(farthest))
	case driver.TimestampTZ:
		k.limit, k.local = k.moment(now), k.moment(now)
	}
	return k, nil
}

func (k *Tracker) valueOf(text *string) (*value, error) {
	if text == nil {
		return nil, nil
	}
	p, err := pointOf(k.typ, *text)
	return &value{p, *text}, err
}

// moment returns the value of the column's type at a time.
func (k *Tracker) moment(at time.Time) *point {
	at = at.UTC()
	if k.typ.Kind == driver.Date {
		return &point{whole: int64(arrow.Date32FromTime(at))}
	}
	return &point{whole: at.UnixMicro()}
}

// place is where the next read goes on, nil for the start.
func (k *Tracker) place() *value {
	if k.ceiling != nil && (k.reached == nil || k.ceiling.compare(k.reached.point) < 0) {
		if k.reached == nil && k.last == nil {
			return nil
		}
		return k.ceiling
	}
	return k.reached
}

// Place returns the value at which the next read goes on, nil where there is
// none yet.
func (k *Tracker) Place() *string {
	if v := k.place(); v != nil {
		return &v.text
	}
	return nil
}

// Reached returns the largest value that a read can go on at, whatever the
// ceiling; nil where there is none yet.
func (k *Tracker) Reached() *string {
	if k.reached == nil {
		return nil
	}
	return &k.reached.text
}

// Valued reports whether any row of a batch has a cursor value.
func (k *Tracker) Valued(rec arrow.RecordBatch) bool {
	column := rec.Column(k.at)
	return column.NullN() < column.Len()
}

// Before reports whether a value lies before Place.
func (k *Tracker) Before(text *string) (bool, error) {
	v, err := k.valueOf(text)
	if place := k.place(); err == nil && place != nil {
		return v == nil || v.compare(place.point) < 0, nil
	}
	return false, err
}

// See takes the rows of a batch.
func (k *Tracker) See(rec arrow.RecordBatch) {
	column := rec.Column(k.at)
	k.seeNulls(rec, column)
	_, top := extremes(column)
	if top < 0 {
		return
	}
	most := pointAt(column, top)
	k.last = k.raise(k.last, column, top)
	if k.limit == nil || most.compare(*k.limit) <= 0 {
		k.reached = k.raise(k.reached, column, top)
		k.within = k.reached
	} else {
		k.seeBeyond(rec, column, top)
	}
	k.keep(rec, column, most)
}

// raise returns the larger of a value and that of a row.
func (k *Tracker) raise(v *value, column arrow.Array, row int) *value {
	p := pointAt(column, row)
	if v != nil && v.compare(p) >= 0 {
		return v
	}
	p.text = strings.Clone(p.text)
	return &value{p, driver.FormatCursor(column, row)}
}

// seeBeyond takes a batch of which rows lie beyond now.
func (k *Tracker) seeBeyond(rec arrow.RecordBatch, column arrow.Array, top int) {
	reached, within := -1, -1
	var below, upTo point
	for row := range column.Len() {
		if column.IsNull(row) {
			continue
		}
		p := pointAt(column, row)
		if p.compare(*k.limit) <= 0 {
			if reached < 0 || p.compare(below) > 0 {
				reached, below = row, p
			}
		} else if p.compare(*k.local) <= 0 {
			k.ahead++
		}
		if p.compare(*k.local) <= 0 && (within < 0 || p.compare(upTo) > 0) {
			within, upTo = row, p
		}
	}
	if reached >= 0 {
		k.reached = k.raise(k.reached, column, reached)
	}
	if within >= 0 {
		k.within = k.raise(k.within, column, within)
	}
	// So many rows ahead of UTC are of a clock that shows local time.
	if k.ahead > MaxRows && !k.localTime {
		k.localTime, k.limit, k.reached = true, k.local, k.within
	}
	if pointAt(column, top).compare(*k.moment(k.now.Add(longBeyond))) > 0 {
		if text := driver.FormatCursor(column, top); k.beyond == nil || text > k.beyond.Value {
			k.beyond = &Row{Value: text, Key: k.named(rec, top)}
		}
	}
}

// named names a row by its key, "" where it has none.
func (k *Tracker) named(rec arrow.RecordBatch, row int) string {
	var parts []string
	for _, i := range k.key {
		v := rec.Column(i).ValueStr(row)
		if r := []rune(v); len(r) > 40 {
			v = string(r[:40]) + "..."
		}
		parts = append(parts, fmt.Sprintf("%s %s", rec.ColumnName(i), v))
	}
	return strings.Join(parts, ", ")
}

func (k *Tracker) seeNulls(rec arrow.RecordBatch, column arrow.Array) {
	n := column.NullN()
	k.nullRows += int64(n)
	if n == 0 || k.nulls.Full {
		return
	}
	if k.nullRows > MaxRows {
		k.nulls = Set{Full: true}
		return
	}
	hashes := hashesOf(rec)
	for row := range column.Len() {
		if column.IsNull(row) {
			k.nulls.add(hashes(row))
		}
	}
}

// keep notes which rows of a batch, whose largest value is most, the next read
// will show again, and forgets those that it will not.
func (k *Tracker) keep(rec arrow.RecordBatch, column arrow.Array, most point) {
	place := k.place()
	if place != nil {
		if len(k.rows) > 0 && k.rows[0].compare(place.point) < 0 || len(k.rows) > 1 {
			k.rows = slices.DeleteFunc(k.rows, func(s seen) bool { return s.compare(place.point) < 0 })
		}
		if k.lost != nil && k.lost.compare(place.point) < 0 {
			k.lost = nil
		}
		if most.compare(place.point) < 0 {
			return
		}
	}
	if k.lost == nil {
		at := k.shown(column, place)
		if len(k.rows)+len(at) <= MaxRows {
			hashes := hashesOf(rec)
			for _, row := range at {
				p := pointAt(column, row)
				p.text = strings.Clone(p.text)
				k.rows = append(k.rows, seen{p, hashes(row)})
			}
			return
		}
	}
	for _, s := range k.rows {
		if most.compare(s.point) < 0 {
			most = s.point
		}
	}
	k.rows = nil
	if k.lost == nil || k.lost.compare(most) < 0 {
		most.text = strings.Clone(most.text)
		k.lost = &most
	}
}

// shown returns the rows at a place or behind it, or a few more than MaxRows of
// them.
func (k *Tracker) shown(column arrow.Array, place *value) []int {
	if place != nil {
		switch a := column.(type) {
		case *array.Int32:
			return from(a, a.Int32Values(), place.whole)
		case *array.Int64:
			return from(a, a.Int64Values(), place.whole)
		case *array.Date32:
			return from(a, a.Date32Values(), place.whole)
		case *array.Timestamp:
			return from(a, a.TimestampValues(), place.whole)
		}
	}
	var at []int
	for row := range column.Len() {
		if column.IsNull(row) || place != nil && pointAt(column, row).compare(place.point) < 0 {
			continue
		}
		if at = append(at, row); len(at) > MaxRows {
			break
		}
	}
	return at
}

// from is shown for columns whose values are numbers, which are most and are read
// much faster so.
func from[T ~int32 | ~int64](column arrow.Array, values []T, place int64) (at []int) {
	for row, v := range values {
		if int64(v) < place || column.IsNull(row) {
			continue
		}
		if at = append(at, row); len(at) > MaxRows {
			break
		}
	}
	return at
}

// Border returns what the next read will show again of what was seen.
func (k *Tracker) Border() *Border {
	b := &Border{Of: k.of, Value: k.Place(), Nulls: k.nulls, NullRows: k.nullRows, Beyond: k.beyond}
	if k.last != nil {
		b.Last = &k.last.text
	}
	b.Nulls.Hashes = slices.Clone(b.Nulls.Hashes)
	if k.lost != nil {
		b.Rows.Full = true
		return b
	}
	for _, s := range k.rows {
		b.Rows.add(s.hash)
	}
	return b
}
