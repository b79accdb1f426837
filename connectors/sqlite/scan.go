package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"headwater/connectors/driver"
	"headwater/connectors/sqlite/btree"
)

// rangeBytes is about how many bytes of the file one range has.
const rangeBytes = 64 << 20

var _ driver.Scanner = (*source)(nil)

// scan is a table divided where its tree is divided, by row numbers. Its snapshot is the
// moment that it holds.
type scan struct {
	end func()
	// positions are what is noted beside each column that may be a cursor.
	positions map[string]json.RawMessage
	source    *source
	table     driver.Table
	found     dbTable
	names     []string
	spans     map[string]btree.Span // by token
	unread    []driver.Range
	kept      []driver.Range
}

// Scan divides a table that is read without SQLite's engine into intervals of row
// numbers of about 64 MiB of pages, and returns ErrUnsupported for others. A landed
// range is kept if the file's header, which every transaction changes, its size and its
// time are unchanged, and the range still has as many rows.
func (s *source) Scan(ctx context.Context, t driver.Table, landed []driver.Range) (driver.Scan, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.divided(ctx, t, landed)
	if err != nil {
		end()
		return nil, err
	}
	c.end = end
	return c, nil
}

func (s *source) divided(ctx context.Context, t driver.Table, landed []driver.Range) (*scan, error) {
	found, names, err := s.find(ctx, t)
	if err != nil {
		return nil, err
	}
	d, err := s.stored(ctx, found, names)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, driver.E(driver.ErrUnsupported, nil, "%s is read from its beginning to its end", t)
	}
	spans, err := d.divide(ctx, s.rangeBytes)
	if err != nil {
		return nil, err
	}
	c := &scan{source: s, table: t, found: found, names: names, spans: map[string]btree.Span{}}
	if c.positions, err = s.positions(ctx, t, found); err != nil {
		return nil, err
	}
	mark := s.file.mark(t, d.tree.Root)
	if s.settings.nulls() {
		mark += "n" // what landed by the other setting is not kept
	}
	for _, sp := range spans {
		token := fmt.Sprintf("%s.%d.%d", mark, sp.First, sp.Last)
		c.spans[token] = sp
		at := slices.IndexFunc(landed, func(r driver.Range) bool { return r.Token == token })
		if at >= 0 {
			if n, err := d.count(ctx, sp); err != nil {
				return nil, err
			} else if n == landed[at].Rows {
				c.kept = append(c.kept, landed[at])
				continue
			}
		}
		c.unread = append(c.unread, driver.Range{Token: token, Rows: -1})
	}
	return c, s.file.unchanged()
}

func (c *scan) Unread() []driver.Range { return slices.Clone(c.unread) }
func (c *scan) Kept() []driver.Range   { return slices.Clone(c.kept) }

// Close ends the moment. It is safe to call twice.
func (c *scan) Close() error {
	c.end()
	return nil
}

// Read reads one interval.
func (c *scan) Read(ctx context.Context, r driver.Range) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		sp, ok := c.spans[r.Token]
		if !ok {
			yield(driver.Batch{}, driver.E(driver.ErrNotFound, nil, "table %s has no such range any more; sync again", c.table))
			return
		}
		d, err := c.source.stored(ctx, c.found, c.names)
		if err == nil && d == nil {
			err = driver.E(driver.ErrUnsupported, nil, "%s is read from its beginning to its end", c.table)
		}
		if err == nil {
			err = c.source.read(ctx, c.table, plan{table: c.table.Name, stored: d, span: sp, part: true}, yield)
		}
		if err != nil && err != errLeft {
			yield(driver.Batch{}, c.source.failed(ctx, err, "reading "+c.table.Name))
		}
	}
}

// mark says what the ranges of a table belong to: this content of the file, and these
// columns.
func (f *dbFile) mark(t driver.Table, root uint32) string {
	h := sha256.New()
	fmt.Fprintf(h, "%+v %d %q", f.stamp, root, t.Name)
	for _, c := range t.Columns {
		fmt.Fprintf(h, "%q %s %t", c.Name, c.Type, c.Nullable)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// divide returns intervals that together contain every row number, each of about that
// many bytes of leaf pages. It reads only interior pages.
func (d *stored) divide(ctx context.Context, size int64) ([]btree.Span, error) {
	perRange := max(size/int64(d.tree.Size), 1)
	spans := []btree.Span{}
	begin, leaves := int64(math.MinInt64), int64(0)
	err := d.tree.Leaves(ctx, func(bounds btree.Span) {
		if leaves++; leaves >= perRange && bounds.Last < math.MaxInt64 {
			spans = append(spans, btree.Span{First: begin, Last: bounds.Last})
			begin, leaves = bounds.Last+1, 0
		}
	})
	if err != nil {
		return nil, d.failed(err)
	}
	return append(spans, btree.Span{First: begin, Last: math.MaxInt64}), nil
}

// count returns how many rows there are within s.
func (d *stored) count(ctx context.Context, s btree.Span) (int64, error) {
	n := int64(0)
	d.tree.KeysOnly = true
	defer func() { d.tree.KeysOnly = false }()
	err := d.tree.Rows(ctx, s, func(int64, []byte) error {
		n++
		return nil
	})
	return n, d.failed(err)
}

// failed returns the error of a damaged file.
func (d *stored) failed(err error) error {
	if errors.Is(err, btree.ErrDamaged) {
		return driver.E(driver.ErrBadData, nil, "%s, reading %s: the file is damaged, not a readable SQLite database", d.source.name, d.table.name)
	}
	return err
}
