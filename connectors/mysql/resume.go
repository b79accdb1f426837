package mysql

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
)

// maxIslands is the most separate parts of a table that are kept when a Scan goes on. If
// there are more, the smallest are read again: the server has to sort all their ends.
const maxIslands = 100

// island is a run of landed ranges without a gap.
type island struct {
	interval
	ranges []driver.Range
	rows   int64
	lo, hi int64 // ranks of the bounds
}

// part is a landed range of this key.
type part struct {
	interval
	driver.Range
}

// remainder returns the gaps between landed ranges, in the order of the key, and the
// ranges that are kept: those of this table and key that cannot have changed since they
// were read, have as many rows as landed, and do not overlap.
func (k *key) remainder(ctx context.Context, c *session.Session, d tableInfo, now session.Moment, landed []driver.Range) (gaps []interval, kept []driver.Range, err error) {
	starts := map[string]part{}
	for _, r := range landed {
		v, ok := k.parse(r.Token)
		was, told := momentOf(r.Token)
		if !ok || !told || !session.Unchanged(was, now, d.updated) {
			continue
		}
		lo := v.lo.name("first")
		if _, twice := starts[lo]; twice {
			continue
		}
		rows, err := k.count(ctx, c, d.Table, v)
		if err != nil {
			return nil, nil, err
		}
		if rows == r.Rows {
			starts[lo] = part{v, r}
		}
	}
	islands := join(starts)
	if err := k.rank(ctx, c, islands); err != nil {
		return nil, nil, err
	}
	slices.SortFunc(islands, func(a, b island) int { return cmp.Or(cmp.Compare(a.lo, b.lo), cmp.Compare(a.hi, b.hi)) })
	at, end := bound(nil), int64(math.MinInt64)
	for _, v := range islands {
		if v.lo < end || v.hi < v.lo {
			continue
		}
		if v.interval.lo != nil {
			gaps = append(gaps, interval{at, v.interval.lo})
		}
		kept = append(kept, v.ranges...)
		if at, end = v.interval.hi, v.hi; at == nil {
			return gaps, kept, nil
		}
	}
	return append(gaps, interval{at, nil}), kept, nil
}

// count returns how many rows an interval has now. It reads only the key and sends no
// rows.
func (k *key) count(ctx context.Context, c *session.Session, t driver.Table, v interval) (rows int64, err error) {
	query := "SELECT COUNT(*) FROM " + session.Relation(t) + " FORCE INDEX (PRIMARY)"
	if where := k.where(v); where != "" {
		query += " WHERE " + where
	}
	err = c.Query(ctx, query, func(row []*string) error {
		rows = session.Integer(row[0])
		return nil
	})
	return rows, err
}

// name turns a bound into the key of a map. open stands for nil.
func (b bound) name(open string) string {
	if b == nil {
		return open
	}
	return strings.Join(b, "\x00")
}

// join makes islands of ranges of which one begins where another ends. starts has them
// by the names of their beginnings.
func join(starts map[string]part) []island {
	ends := map[string]bool{}
	for _, p := range starts {
		ends[p.interval.hi.name("last")] = true
	}
	var all []island
	for lo, p := range starts {
		if ends[lo] {
			continue // in the middle of a run
		}
		v := island{interval: interval{lo: p.interval.lo}}
		for ok := true; ok; p, ok = starts[v.interval.hi.name("last")] {
			delete(starts, p.interval.lo.name("first")) // so that a circle ends
			v.interval.hi = p.interval.hi
			v.ranges = append(v.ranges, p.Range)
			v.rows += p.Rows
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b island) int { return cmp.Compare(b.rows, a.rows) })
	return all[:min(len(all), maxIslands)]
}

// rank asks the server for the order of the islands' bounds, because only the server
// knows its collations. Equal bounds get the same rank.
func (k *key) rank(ctx context.Context, c *session.Session, islands []island) error {
	var rows []string
	add := func(id int, b bound) {
		row := fmt.Sprintf("SELECT %d AS id", id)
		for i, column := range k.columns {
			value := "NULL" // sorts before all values
			if i < len(b) {
				value, _ = column.constant(b[i])
			}
			row += fmt.Sprintf(", %s AS k%d", value, i)
		}
		rows = append(rows, row)
	}
	for i := range islands {
		islands[i].lo, islands[i].hi = math.MinInt64, math.MaxInt64
		if b := islands[i].interval.lo; b != nil {
			add(2*i, b)
		}
		if b := islands[i].interval.hi; b != nil {
			add(2*i+1, b)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	order := make([]string, len(k.columns))
	for i := range order {
		order[i] = fmt.Sprintf("k%d", i)
	}
	query := fmt.Sprintf("SELECT id, DENSE_RANK() OVER (ORDER BY %s) FROM (%s) AS bounds", strings.Join(order, ", "), strings.Join(rows, " UNION ALL "))
	return c.Query(ctx, query, func(row []*string) error {
		switch id := session.Integer(row[0]); {
		case id < 0 || id/2 >= int64(len(islands)):
			return driver.E(driver.ErrBadData, nil, "the server sent other rows than asked for")
		case id%2 == 0:
			islands[id/2].lo = session.Integer(row[1])
		default:
			islands[id/2].hi = session.Integer(row[1])
		}
		return nil
	})
}
