package sqlite

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/connectors/driver"
	"headwater/connectors/records"
	"headwater/connectors/sqlite/btree"
)

// errLeft ends a read whose loop was left.
var errLeft = errors.New("left")

// Read yields the table's rows. It follows an integer cursor, and a text cursor of a
// TEXT column, in their order if an index has that order. For any other cursor it reads
// every row, with one place to resume at the end.
func (s *source) Read(ctx context.Context, t driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		end, err := s.begin(ctx)
		if err != nil {
			yield(driver.Batch{}, err)
			return
		}
		defer end()
		plan, err := s.plan(ctx, t, from)
		if err != nil {
			yield(driver.Batch{}, err)
			return
		}
		if err := s.same(ctx, t, from); err != nil {
			yield(driver.Batch{}, err)
			return
		}
		var seen samples
		if from.Column != "" {
			if seen, err = s.sampled(ctx, plan.found, nil); err != nil {
				yield(driver.Batch{}, err)
				return
			}
		}
		take := yield
		yield = func(batch driver.Batch, err error) bool {
			if err == nil && batch.Resume != nil {
				batch.Resume.Position, err = s.note(ctx, plan.found, from.Column, batch.Resume.Value, seen)
				if err != nil {
					batch.Record.Release()
					batch = driver.Batch{}
				}
			}
			return take(batch, err) && err == nil
		}
		batches := func(yield func(driver.Batch, error) bool) {
			err := s.read(ctx, t, plan, yield)
			if err != nil && err != errLeft {
				yield(driver.Batch{}, s.failed(ctx, err, "reading "+t.Name))
			}
		}
		if plan.ordered {
			records.Ordered(t, from, batches)(yield)
		} else {
			records.Unordered(ctx, t, from, batches)(yield)
		}
	}
}

// plan is the statement of one read.
type plan struct {
	table   string
	found   dbTable
	query   string
	args    []sqldriver.NamedValue
	ordered bool
	stored  *stored // set when the engine is not needed; then rows within span
	span    btree.Span
	part    bool // the rows are those of one range of a Scan
}

// each gives the rows of a plan to f until f returns an error, and returns io.EOF after
// the last. The values are valid until f returns.
func (s *source) each(ctx context.Context, p plan, f func(row []btree.Value, idle *watchdog) error) error {
	ctx, idle := watch(ctx, s.limits.Idle)
	defer idle.stop()
	var err error
	if p.stored != nil {
		err = p.stored.rows(ctx, p.span, func(row []btree.Value) error {
			idle.alive()
			return f(row, idle)
		})
	} else {
		err = s.step(ctx, p, idle, f)
	}
	if err != io.EOF && err != errLeft && err != errEnough && ctx.Err() != nil {
		return s.failed(ctx, err, "reading "+p.table) // here, where the idle limit is known
	}
	return err
}

// step runs a plan's statement with SQLite's engine.
func (s *source) step(ctx context.Context, p plan, idle *watchdog, f func(row []btree.Value, idle *watchdog) error) error {
	var values []btree.Value
	return s.rows(ctx, p.query, p.args, func(row []sqldriver.Value) error {
		idle.alive()
		values = values[:0]
		for _, v := range row {
			values = append(values, btree.ValueOf(v))
		}
		return f(values, idle)
	})
}

// find returns the table as it is in the file. It fails if the table, or a column of t,
// is not there.
func (s *source) find(ctx context.Context, t driver.Table) (dbTable, []string, error) {
	tables, err := s.tables(ctx)
	if err != nil {
		return dbTable{}, nil, err
	}
	at := slices.IndexFunc(tables, func(f dbTable) bool { return f.name == t.Name && f.left == "" })
	if at < 0 || t.Namespace != "" {
		return dbTable{}, nil, driver.E(driver.ErrNotFound, nil, "%s holds no table %s; discover the schema again", s.name, t)
	}
	found := tables[at]
	if err := s.describe(ctx, &found); err != nil {
		return found, nil, err
	}
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
		if !slices.ContainsFunc(found.columns, func(f dbColumn) bool { return f.name == c.Name }) {
			return found, nil, driver.E(driver.ErrNotFound, nil, "table %s has no column %q; discover the schema again", t, c.Name)
		}
	}
	if len(names) == 0 {
		return found, nil, driver.E(driver.ErrUnsupported, nil, "table %s has no columns", t)
	}
	return found, names, nil
}

func (s *source) plan(ctx context.Context, t driver.Table, from driver.Cursor) (plan, error) {
	found, names, err := s.find(ctx, t)
	if err != nil {
		return plan{}, err
	}
	if err := records.CheckCursor(t, from); err != nil {
		return plan{}, err
	}
	all := plan{table: t.Name, found: found, query: selectFrom(t.Name, names), span: btree.Everything}
	if all.stored, err = s.stored(ctx, found, names); err != nil || from.Column == "" {
		return all, err
	}
	if all.stored != nil && all.stored.alias >= 0 && names[all.stored.alias] == from.Column {
		return all.after(from), nil
	}
	if s.settings.nulls() && !slices.Contains(t.PrimaryKey, from.Column) {
		return all, nil // what lands as NULL has another place in the file's order
	}
	if from.Column == rowidAlias(found, found.keys()) && !autoincrement(found.sql) {
		return all, nil // the engine cannot be asked for a row while it reads others
	}
	ordered, ok := s.follow(t, found, from, all.query)
	if !ok {
		return all, nil
	}
	sorts := false
	err = s.rows(ctx, "EXPLAIN QUERY PLAN "+ordered.query, ordered.args, func(row []sqldriver.Value) error {
		sorts = sorts || strings.Contains(asText(row[3]), "TEMP B-TREE")
		return nil
	})
	if err != io.EOF || sorts {
		return all, nil
	}
	return ordered, nil
}

// after returns the plan for the rows from a row number on, or behind it, in order.
func (p plan) after(from driver.Cursor) plan {
	p.ordered = true
	if from.Value == nil {
		return p
	}
	n, err := strconv.ParseInt(*from.Value, 10, 64)
	switch {
	case err != nil: // no row number, but in order to them: the read drops rows itself
		p.ordered = false
	case from.Inclusive:
		p.span.First = n
	case n == math.MaxInt64:
		p.span = btree.Span{First: 1, Last: 0}
	default:
		p.span.First = n + 1
	}
	return p
}

// follow returns the statement that reads in the order of the cursor. It returns false
// if SQLite's order is not that of the contract.
func (s *source) follow(t driver.Table, found dbTable, from driver.Cursor, query string) (plan, bool) {
	c, _ := t.Column(from.Column)
	at := slices.IndexFunc(found.columns, func(f dbColumn) bool { return f.name == c.Name })
	p := plan{table: t.Name, found: found, query: query, ordered: true}
	column := quote(c.Name)
	var value any
	switch {
	case c.Type.Kind == driver.Int64:
		if from.Value != nil {
			n, err := strconv.ParseInt(*from.Value, 10, 64)
			if err != nil {
				return p, false
			}
			value = n
		}
	case c.Type.Kind == driver.String && declaredAs(found.columns[at].declared) == isText && s.file.utf8:
		// A TEXT column turns numbers into text, so one order holds for all.
		column += " COLLATE BINARY"
		if from.Value != nil {
			value = *from.Value
		}
	default:
		return p, false
	}
	if value != nil {
		than := " > ?1"
		if from.Inclusive {
			than = " >= ?1"
		}
		p.query += " WHERE " + column + than
		if from.Nulls {
			p.query += " OR " + column + " IS NULL"
		}
		p.args = []sqldriver.NamedValue{{Ordinal: 1, Value: value}}
	}
	p.query += " ORDER BY " + column
	return p, true
}

// read carries the plan out and yields full batches, which contain only committed rows.
func (s *source) read(ctx context.Context, t driver.Table, p plan, yield func(driver.Batch, error) bool) error {
	b := records.NewBuilder(t, s.limits)
	defer b.Release()
	append := make([]appender, len(t.Columns))
	for i, c := range t.Columns {
		append[i] = appenderOf(b, i, c.Type)
	}
	amiss := nulled{table: t, allowed: s.settings.nulls()}
	var number, total int64
	err := s.each(ctx, p, func(row []btree.Value, idle *watchdog) error {
		number++
		size := int64(0)
		for i := range row {
			v := &row[i]
			if v.Class == btree.Null {
				if !t.Columns[i].Nullable {
					return driver.E(driver.ErrBadData, nil, "table %s, row %d: column %q is NULL, but was said not to be; discover the schema again", t, s.place(ctx, p, number), t.Columns[i].Name)
				}
				b.Null(i)
				continue
			}
			if !append[i](v) {
				where := func() string { return s.named(ctx, t, p, number, row) }
				if !amiss.take(i) {
					return amiss.misfit(i, where(), v)
				}
				b.Null(i)
				amiss.count(i, where)
			}
			size += v.Weight()
		}
		if total += size; s.limits.MaxBytes > 0 && total > s.limits.MaxBytes {
			return driver.E(driver.ErrLimit, nil, "table %s has more than %d bytes", t, s.limits.MaxBytes)
		}
		if size > s.limits.MaxRowBytes {
			return driver.E(driver.ErrLimit, nil, "table %s, row %d is larger than %d bytes", t, s.place(ctx, p, number), s.limits.MaxRowBytes)
		}
		if !b.EndRow(size) {
			return nil
		}
		// What is given away may be kept before the read ends.
		if err := s.file.unchanged(); err != nil {
			return err
		}
		idle.pause()
		if !yield(b.Batch(), nil) {
			return errLeft
		}
		idle.alive()
		return ctx.Err()
	})
	if err == errLeft {
		return err
	}
	// A file that is written to may also look damaged, or hold what does not fit.
	if err := s.file.unchanged(); err != nil {
		return err
	}
	if err != io.EOF {
		return err
	}
	notes := amiss.notes()
	if b.Rows() == 0 && len(notes) == 0 {
		return nil
	}
	last := b.Batch()
	if last.Notes = notes; !yield(last, nil) {
		return errLeft
	}
	return nil
}

// place returns which row of the table the nth row of a plan is, as far as that is
// known.
func (s *source) place(ctx context.Context, p plan, number int64) int64 {
	if !p.part || p.span.First == math.MinInt64 {
		return number
	}
	// A tree of its own: the rows being read belong to that of the plan.
	d := stored{source: s, tree: btree.NewTree(s.file, s.file.Layout, p.stored.tree.Root, s.limits.MaxRowBytes)}
	before, err := d.count(ctx, btree.Span{First: math.MinInt64, Last: p.span.First - 1})
	if err != nil {
		return number
	}
	return before + number
}

// appender appends a value that is not NULL. It returns false if the column's type
// cannot hold it.
type appender func(v *btree.Value) bool

func appenderOf(b *records.Builder, i int, t driver.Type) appender {
	scratch := make([]byte, 0, 32)
	switch f := b.Field(i).(type) {
	case *array.Int64Builder:
		return func(v *btree.Value) bool {
			if v.Class == btree.Integer {
				f.Append(v.Int)
			}
			return v.Class == btree.Integer
		}
	case *array.Float64Builder:
		return func(v *btree.Value) bool {
			switch {
			case v.Class == btree.Real:
				f.Append(v.Float)
			case v.Class == btree.Integer && v.Int <= 1<<53 && v.Int >= -1<<53:
				f.Append(float64(v.Int))
			default:
				return false
			}
			return true
		}
	case *array.BooleanBuilder:
		return func(v *btree.Value) bool {
			ok := v.Class == btree.Integer && (v.Int == 0 || v.Int == 1)
			if ok {
				f.Append(v.Int == 1)
			}
			return ok
		}
	case *array.BinaryBuilder:
		return func(v *btree.Value) bool {
			if v.Class >= btree.Text { // bytes need not be UTF-8
				f.Append(v.Bytes)
				return true
			}
			x, ok := v.Text(scratch)
			if ok {
				f.Append(x)
			}
			return ok
		}
	}
	if t.Kind == driver.Timestamp || t.Kind == driver.TimestampTZ {
		return func(v *btree.Value) bool { return v.Class == btree.Text && b.Text(i, midnight(v.Bytes)) == nil }
	}
	return func(v *btree.Value) bool {
		if v.Class == btree.Text {
			return b.Text(i, v.Bytes) == nil // which looks whether it is UTF-8 itself
		}
		x, ok := v.Text(scratch)
		return ok && b.Text(i, x) == nil
	}
}
