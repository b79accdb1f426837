package mysql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
	"headwater/connectors/mysql/typemap"
)

// maxRanges is the most ranges of one table. Ranges of larger tables are longer.
const maxRanges = 8192

// divider cuts parts of one table into ranges of about rows rows each. It is used by one
// goroutine.
type divider struct {
	c     *session.Session
	key   *key
	from  string // the table, read by its primary key
	rows  int64
	dives int // how many more estimates may be asked for
	// The values of the first column now; the outermost ranges are open.
	min, max int64
	empty    bool
}

func newDivider(c *session.Session, k *key, d tableInfo, size int64) *divider {
	v := &divider{c: c, key: k, from: session.Relation(d.Table) + " FORCE INDEX (PRIMARY)", rows: 1 << 62, dives: 4 * maxRanges}
	if d.RowEstimate > 0 && d.bytes > 0 {
		if size <= 0 {
			size = driver.RangeSize(int64(d.bytes))
		}
		v.rows = max(int64(float64(size)*float64(d.RowEstimate)/float64(d.bytes)), d.RowEstimate/maxRanges, 1)
	}
	return v
}

// piece is a range to be made: where it ends, and about how many rows it has.
type piece struct {
	hi   bound
	rows int64
}

// divide cuts an interval into ranges. Integer keys are cut by arithmetic and the
// server's estimates of the index; for other keys it walks along the index, which reads
// the index once.
func (v *divider) divide(ctx context.Context, gap interval, estimate int64) ([]driver.Range, error) {
	pieces := []piece{{gap.hi, estimate}}
	var err error
	if estimate > v.rows {
		if v.key.columns[0].form == formInteger {
			pieces, err = v.byNumber(ctx, gap, estimate)
			// Many rows may have the same value in the first of several columns.
			if err == nil && len(v.key.columns) > 1 && slices.ContainsFunc(pieces, func(p piece) bool { return p.rows > 4*v.rows }) {
				pieces, err = v.walk(ctx, gap, estimate)
			}
		} else {
			pieces, err = v.walk(ctx, gap, estimate)
		}
	}
	if err != nil {
		return nil, err
	}
	ranges := make([]driver.Range, len(pieces))
	lo := gap.lo
	for i, p := range pieces {
		ranges[i] = driver.Range{Token: v.key.token(interval{lo, p.hi}), Rows: p.rows}
		lo = p.hi
	}
	return ranges, nil
}

// byNumber cuts by the values of the first column: finely where many rows lie close
// together, not at all where there are none.
func (v *divider) byNumber(ctx context.Context, gap interval, estimate int64) ([]piece, error) {
	if err := v.span(ctx); err != nil {
		return nil, err
	}
	lo, hi := v.min, v.max
	if len(gap.lo) > 0 {
		lo = max(lo, number(gap.lo[0]))
	}
	if len(gap.hi) > 0 {
		hi = min(hi, number(gap.hi[0]))
	}
	if v.empty || lo >= hi {
		return []piece{{gap.hi, -1}}, nil
	}
	leaves, err := v.leaves(ctx, lo, hi, estimate, nil)
	if err != nil {
		return nil, err
	}
	if gap.lo == nil && gap.hi == nil {
		// The server estimates the whole better than its parts.
		var sum int64
		for _, leaf := range leaves {
			sum += leaf.rows
		}
		for i := range leaves {
			leaves[i].rows = int64(float64(leaves[i].rows) * float64(estimate) / float64(max(sum, 1)))
		}
	}
	// Small neighbours are joined.
	var pieces []piece
	var rows int64
	for i, leaf := range leaves {
		rows += leaf.rows
		if i == len(leaves)-1 {
			break
		}
		if rows+leaves[i+1].rows > v.rows+v.rows/2 {
			pieces = append(pieces, piece{leaf.hi, rows})
			rows = 0
		}
	}
	return append(pieces, piece{gap.hi, rows}), nil
}

// leaves appends pieces for the values from lo to before hi, which have about rows rows.
// The last piece ends at hi.
func (v *divider) leaves(ctx context.Context, lo, hi, rows int64, to []piece) ([]piece, error) {
	width := uint64(hi) - uint64(lo)
	if rows <= v.rows+v.rows/2 || width < 2 || v.dives <= 0 {
		return append(to, piece{bound{strconv.FormatInt(hi, 10)}, rows}), nil
	}
	parts := uint64(min(max(rows/v.rows, 1)+1, 64))
	step := max(width/parts, 1)
	for at := uint64(0); at < width; {
		next := at + step
		if next > width || width-next < step {
			next = width
		}
		from, to2 := int64(uint64(lo)+at), int64(uint64(lo)+next)
		estimate, err := v.estimate(ctx, from, to2)
		if err != nil {
			return nil, err
		}
		if to, err = v.leaves(ctx, from, to2, estimate, to); err != nil {
			return nil, err
		}
		at = next
	}
	return to, nil
}

// estimate returns about how many rows have a first column from lo to before hi. The
// server guesses it from two places of the index.
func (v *divider) estimate(ctx context.Context, lo, hi int64) (int64, error) {
	v.dives--
	var rows int64
	where := v.key.where(interval{bound{strconv.FormatInt(lo, 10)}, bound{strconv.FormatInt(hi, 10)}})
	err := v.c.Query(ctx, "EXPLAIN FORMAT=TRADITIONAL SELECT "+v.key.columns[0].quote+" FROM "+v.from+" WHERE "+where, func(row []*string) error {
		switch {
		case len(row) >= 12: // MySQL has a column for partitions
			rows = session.Integer(row[9])
		case len(row) >= 9:
			rows = session.Integer(row[8])
		}
		return nil
	})
	return rows, err
}

// span asks for the lowest and the highest value of the first column, once.
func (v *divider) span(ctx context.Context) error {
	if v.empty || v.min != v.max {
		return nil
	}
	first := v.key.columns[0].quote
	return v.c.Query(ctx, fmt.Sprintf("SELECT MIN(%[1]s), MAX(%[1]s) FROM %[2]s", first, strings.TrimSuffix(v.from, " FORCE INDEX (PRIMARY)")), func(row []*string) error {
		v.empty = row[0] == nil || row[1] == nil
		if !v.empty {
			v.min, v.max = number(*row[0]), number(*row[1])
		}
		return nil
	})
}

// number reads an integer; what lies above 64 bits with a sign is cut no finer.
func number(text string) int64 {
	n, err := typemap.ParseInt([]byte(text))
	if err != nil {
		return 1<<63 - 1
	}
	return n
}

// walk steps along the index, one range at a time.
func (v *divider) walk(ctx context.Context, gap interval, estimate int64) ([]piece, error) {
	var pieces []piece
	rest := gap
	for range maxRanges {
		query := "SELECT " + v.key.list() + " FROM " + v.from
		if where := v.key.where(rest); where != "" {
			query += " WHERE " + where
		}
		query += fmt.Sprintf(" ORDER BY %s LIMIT 1 OFFSET %d", v.key.list(), v.rows)
		var next bound
		usable := true
		err := v.c.Query(ctx, query, func(row []*string) error {
			size := 0
			for i, c := range v.key.columns {
				value := c.value(session.Text(row[i]))
				_, ok := c.constant(value)
				usable = usable && ok && row[i] != nil
				size += len(value)
				next = append(next, value)
			}
			usable = usable && size <= longBound
			return nil
		})
		if err != nil {
			return nil, err
		}
		if next == nil || !usable { // the end of the table, or a key that is too long for a token
			break
		}
		pieces = append(pieces, piece{next, v.rows})
		rest.lo = next
		estimate -= v.rows
	}
	return append(pieces, piece{gap.hi, max(estimate, -1)}), nil
}
