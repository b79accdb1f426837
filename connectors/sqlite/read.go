package sqlite

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// errLeft ends a read whose loop was left.
var errLeft = errors.New("left")

// Read reads the table. It follows an integer cursor, and a text cursor of a
// TEXT column, in order where an index gives that order without sorting; any
// other cursor by reading every row, with one place to resume at the end.
func (s *source) Read(ctx context.Context, t driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error] {
	plan, err := s.plan(ctx, t, from)
	if err != nil {
		return func(yield func(driver.Batch, error) bool) { yield(driver.Batch{}, err) }
	}
	batches := func(yield func(driver.Batch, error) bool) {
		err := s.read(ctx, t, plan, yield)
		if err == nil {
			err = s.file.unchanged()
		}
		if err != nil && err != errLeft {
			yield(driver.Batch{}, s.failed(ctx, err, "reading "+t.Name))
		}
	}
	if plan.ordered {
		return records.Ordered(t, from, batches)
	}
	return records.Unordered(ctx, t, from, batches)
}

// plan is the statement of one read.
type plan struct {
	query   string
	args    []sqldriver.NamedValue
	ordered bool
}

func (s *source) plan(ctx context.Context, t driver.Table, from driver.Cursor) (plan, error) {
	tables, err := s.tables(ctx)
	if err != nil {
		return plan{}, err
	}
	at := slices.IndexFunc(tables, func(f dbTable) bool { return f.name == t.Name })
	if at < 0 || t.Namespace != "" {
		return plan{}, driver.E(driver.ErrNotFound, nil, "%s holds no table %s; discover the schema again", s.file.name, t)
	}
	found := tables[at]
	if err := s.describe(ctx, &found); err != nil {
		return plan{}, err
	}
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
		if !slices.ContainsFunc(found.columns, func(f dbColumn) bool { return f.name == c.Name }) {
			return plan{}, driver.E(driver.ErrNotFound, nil, "table %s has no column %q; discover the schema again", t, c.Name)
		}
	}
	if len(names) == 0 {
		return plan{}, driver.E(driver.ErrUnsupported, nil, "table %s has no columns", t)
	}
	if err := records.CheckCursor(t, from); err != nil {
		return plan{}, err
	}
	all := plan{query: selectFrom(t.Name, names)}
	if from.Column == "" {
		return all, nil
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

// follow returns the statement that reads in the order of the cursor, where
// SQLite's order is that of the contract.
func (s *source) follow(t driver.Table, found dbTable, from driver.Cursor, query string) (plan, bool) {
	c, _ := t.Column(from.Column)
	at := slices.IndexFunc(found.columns, func(f dbColumn) bool { return f.name == c.Name })
	p := plan{query: query, ordered: true}
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
		p.query += " WHERE " + column + " > ?1"
		p.args = []sqldriver.NamedValue{{Ordinal: 1, Value: value}}
	}
	p.query += " ORDER BY " + column
	return p, true
}

// read runs the statement and yields full batches.
func (s *source) read(ctx context.Context, t driver.Table, p plan, yield func(driver.Batch, error) bool) error {
	b := records.NewBuilder(t, s.limits)
	defer b.Release()
	ctx, idle := watch(ctx, s.limits.Idle)
	defer idle.stop()
	append := make([]appender, len(t.Columns))
	for i, c := range t.Columns {
		append[i] = appenderOf(b, i, c.Type)
	}
	var number, total int64
	err := s.rows(ctx, p.query, p.args, func(row []sqldriver.Value) error {
		number++
		idle.alive()
		size := int64(0)
		for i, v := range row {
			if v == nil {
				if !t.Columns[i].Nullable {
					return driver.E(driver.ErrBadData, nil, "table %s, row %d: column %q is NULL, but was said not to be; discover the schema again", t, number, t.Columns[i].Name)
				}
				b.Null(i)
				continue
			}
			if !append[i](v) {
				return s.misfit(t, i, number, v)
			}
			size += weight(v)
		}
		if total += size; s.limits.MaxBytes > 0 && total > s.limits.MaxBytes {
			return driver.E(driver.ErrLimit, nil, "table %s has more than %d bytes", t, s.limits.MaxBytes)
		}
		if size > s.limits.MaxRowBytes {
			return driver.E(driver.ErrLimit, nil, "table %s, row %d is larger than %d bytes", t, number, s.limits.MaxRowBytes)
		}
		if !b.EndRow(size) {
			return nil
		}
		idle.pause()
		if !yield(b.Batch(), nil) {
			return errLeft
		}
		idle.alive()
		return ctx.Err()
	})
	if err != io.EOF {
		if err != errLeft {
			err = s.failed(ctx, err, "reading "+t.Name)
		}
		return err
	}
	if b.Rows() > 0 {
		idle.pause()
		if !yield(b.Batch(), nil) {
			return errLeft
		}
	}
	return nil
}

func (s *source) misfit(t driver.Table, column int, row int64, v sqldriver.Value) error {
	kind := "a value"
	switch v := v.(type) {
	case int64:
		kind = "an integer"
	case float64:
		kind = "a floating point number"
	case string:
		kind = "text"
		if _, ok := text(v); !ok {
			kind = "text that is not UTF-8"
		}
	case []byte:
		kind = "a blob"
	}
	c := t.Columns[column]
	return driver.E(driver.ErrBadData, nil, "table %s, row %d: column %q holds %s that does not fit %s; set connection_config.sample_rows to -1 to have every row looked at, or connection_config.column_types.%s to \"string\" or \"bytes\"", t, row, c.Name, kind, c.Type, c.Name)
}

// appender appends a value that is not NULL, or returns false.
type appender func(v sqldriver.Value) bool

func appenderOf(b *records.Builder, i int, t driver.Type) appender {
	switch f := b.Field(i).(type) {
	case *array.Int64Builder:
		return func(v sqldriver.Value) bool {
			n, ok := v.(int64)
			if ok {
				f.Append(n)
			}
			return ok
		}
	case *array.Float64Builder:
		return func(v sqldriver.Value) bool {
			switch v := v.(type) {
			case float64:
				f.Append(v)
				return true
			case int64:
				if v <= 1<<53 && v >= -1<<53 {
					f.Append(float64(v))
					return true
				}
			}
			return false
		}
	case *array.BooleanBuilder:
		return func(v sqldriver.Value) bool {
			n, ok := v.(int64)
			ok = ok && (n == 0 || n == 1)
			if ok {
				f.Append(n == 1)
			}
			return ok
		}
	case *array.BinaryBuilder:
		return func(v sqldriver.Value) bool {
			if blob, ok := v.([]byte); ok {
				f.Append(blob)
				return true
			}
			x, ok := text(v)
			if s, is := v.(string); is { // bytes need not be UTF-8
				x, ok = []byte(s), true
			}
			if ok {
				f.Append(x)
			}
			return ok
		}
	}
	return func(v sqldriver.Value) bool {
		x, ok := text(v)
		return ok && b.Text(i, x) == nil
	}
}

// weight is about how many bytes a value takes.
func weight(v sqldriver.Value) int64 {
	switch v := v.(type) {
	case string:
		return int64(len(v)) + 4
	case []byte:
		return int64(len(v)) + 4
	}
	return 8
}

// watchdog cancels a statement that yields no row for too long, such as an
// endless view.
type watchdog struct {
	timer  *time.Timer
	cancel context.CancelCauseFunc
	idle   time.Duration
	ticks  int
}

// watch returns a context that ends when the watchdog is not told for idle that
// the statement is alive. The caller stops it.
func watch(ctx context.Context, idle time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{cancel: cancel, idle: idle}
	w.timer = time.AfterFunc(idle, func() {
		cancel(driver.E(driver.ErrTimeout, nil, "no row for %v", idle))
	})
	return ctx, w
}

// alive resets the timer, not at every row because that costs more than a row.
func (w *watchdog) alive() {
	if w.ticks++; w.ticks%256 == 1 {
		w.timer.Reset(w.idle)
	}
}

// pause lets the consumer take its time.
func (w *watchdog) pause() {
	w.timer.Stop()
	w.ticks = 0
}

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(nil)
}
