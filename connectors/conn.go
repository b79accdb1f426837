package connectors

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"headwater/connectors/driver"
)

// Timeouts bound the calls of a Conn. Zero fields mean the default. A Read has
// no limit of its own: the idle limit ends one that stands still. How long a
// Close waits for its server is the driver's to bound.
type Timeouts struct {
	Open     time.Duration // default 20 s
	Check    time.Duration // default 30 s
	Discover time.Duration // default 5 min
}

func (t Timeouts) withDefaults() Timeouts {
	for _, f := range []struct {
		at      *time.Duration
		standby time.Duration
	}{{&t.Open, 20 * time.Second}, {&t.Check, 30 * time.Second}, {&t.Discover, 5 * time.Minute}} {
		if *f.at <= 0 {
			*f.at = f.standby
		}
	}
	return t
}

// Conn is an open source. Its methods are called one at a time, except Close
// and Stats, which may be called at any moment, and the Reads of one Scan. Every error is a *driver.Error
// without secrets; its causes are dropped, but errors.Is still finds
// context.Canceled.
type Conn struct {
	source   driver.Source
	scrubber *scrubber
	files    *files
	timeouts Timeouts
	limits   driver.Limits

	batches, rows, bytes atomic.Int64
	close                sync.Once
	closed               error
}

// Stats counts what a Conn has read.
type Stats struct {
	Batches int64
	Rows    int64
	Bytes   int64 // as the source sent them, about
}

// Stats returns the counts so far.
func (c *Conn) Stats() Stats { return Stats{c.batches.Load(), c.rows.Load(), c.bytes.Load()} }

// Check proves that the source can be read and returns the parts of the check:
// those that were done, the last of them with the error that is also returned.
func (c *Conn) Check(ctx context.Context) ([]driver.Step, error) {
	var steps []driver.Step
	began := time.Now()
	err := c.guard(ctx, "checking the source", c.timeouts.Check, func(ctx context.Context) error {
		if stepper, ok := c.source.(driver.Stepper); ok {
			var err error
			steps, err = stepper.CheckSteps(ctx)
			return err
		}
		return c.source.Check(ctx)
	})
	if len(steps) == 0 {
		steps = []driver.Step{{Name: "read", Duration: time.Since(began), Err: err}}
	}
	for i := range steps {
		steps[i].Message = c.scrubber.scrub(steps[i].Message)
		if steps[i].Err != nil {
			steps[i].Err = c.clean(ctx, steps[i].Err)
		}
	}
	return steps, err
}

// Discover returns every table of the source, sorted by namespace and name. With
// a *driver.UnreadTables, whose errors are clean too, it returns the others.
func (c *Conn) Discover(ctx context.Context) ([]driver.Table, error) {
	var tables []driver.Table
	var unread *driver.UnreadTables
	err := c.guard(ctx, "reading the schema", c.timeouts.Discover, func(ctx context.Context) error {
		var err error
		if tables, err = c.source.Discover(ctx); !errors.As(err, &unread) {
			return err
		}
		for i := range unread.Tables {
			unread.Tables[i].Err = c.clean(ctx, unread.Tables[i].Err)
		}
		return nil
	})
	for i := range tables {
		tables[i].Notes = c.scrubber.all(tables[i].Notes)
	}
	switch {
	case err != nil:
		return nil, err
	case unread != nil:
		return tables, unread
	}
	return tables, nil
}

// Knows reports whether the source asks what is known of it, see Know.
func (c *Conn) Knows() bool {
	_, ok := c.source.(driver.Knower)
	return ok
}

// Know tells the source which tables it had when it was last looked at, if it
// asks for that. It comes before Check and Discover.
func (c *Conn) Know(tables []driver.Table) {
	if k, ok := c.source.(driver.Knower); ok {
		k.Know(tables)
	}
}

// Read yields the rows of t after from, as driver.Source says, and stops with an
// ErrLimit when Limits.MaxBytes is passed. The consumer releases each record.
func (c *Conn) Read(ctx context.Context, t driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error] {
	return c.guarded(ctx, t, func(yield func(driver.Batch, error) bool) { c.source.Read(ctx, t, from)(yield) })
}

// guarded adds to the loop of a driver's Read what a Conn adds: counts, the limit of
// bytes, and errors and notes without secrets.
func (c *Conn) guarded(ctx context.Context, t driver.Table, read iter.Seq2[driver.Batch, error]) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		var total int64
		guardedLoop(ctx, c, "reading "+t.String(), read, func(b *driver.Batch) error {
			b.Notes = c.scrubber.all(b.Notes)
			total += b.Bytes
			c.count(b.Record.NumRows(), b.Bytes)
			if c.limits.MaxBytes > 0 && total > c.limits.MaxBytes {
				b.Record.Release()
				return driver.E(driver.ErrLimit, nil, "%s sent more than %d bytes in one read", t, c.limits.MaxBytes)
			}
			return nil
		})(yield)
	}
}

// count adds a batch to the Stats.
func (c *Conn) count(rows, bytes int64) {
	c.batches.Add(1)
	c.rows.Add(rows)
	c.bytes.Add(bytes)
}

// guardedLoop runs a driver's loop for its consumer. Each value goes through take,
// which may change it, and whose error ends the loop in its place. Errors are cleaned,
// and a panic of the driver becomes one; a panic of the consumer stays its own.
func guardedLoop[T any](ctx context.Context, c *Conn, what string, loop iter.Seq2[T, error], take func(*T) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		inBody, done := false, false
		give := func(value T, err error) bool {
			inBody = true
			more := yield(value, err)
			inBody = false
			done = !more || err != nil
			return !done
		}
		defer func() {
			if p := recover(); p != nil {
				if inBody || done { // the consumer's own panic, or too late to report
					panic(p)
				}
				give(none, c.clean(ctx, panicked(what, p)))
			}
		}()
		loop(func(value T, err error) bool {
			if err != nil {
				return give(none, c.clean(ctx, err))
			}
			if err := take(&value); err != nil {
				return give(none, err)
			}
			return give(value, nil)
		})
	}
}

// Close releases everything. It is safe to call twice.
func (c *Conn) Close() error {
	c.close.Do(func() {
		unlimited := context.Background() // a close has no caller to be cancelled by
		defer func() {
			if p := recover(); p != nil {
				c.closed = c.clean(unlimited, panicked("closing the source", p))
			}
		}()
		if err := c.source.Close(); err != nil {
			c.closed = c.clean(unlimited, err)
		}
		_ = c.files.close() // read only
	})
	return c.closed
}

// guard runs one call of a driver within a time limit, turns a panic into an
// error and cleans the error.
func (c *Conn) guard(ctx context.Context, what string, limit time.Duration, call func(context.Context) error) (err error) {
	limited, cancel := context.WithTimeoutCause(ctx, limit, &slow{what, limit})
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = panicked(what, p)
		}
		if err != nil {
			err = c.clean(limited, err)
		}
	}()
	return call(limited)
}

// slow is the end of a call's time limit, for people.
type slow struct {
	what  string
	limit time.Duration
}

func (e *slow) Error() string {
	return fmt.Sprintf("%s took longer than %s: check that the address is right and that what listens there answers in time", e.what, e.limit)
}

func (e *slow) Unwrap() error { return context.DeadlineExceeded }

// panicked describes a driver's panic by its type alone: its text may hold
// anything.
func panicked(what string, p any) error {
	if err, ok := p.(error); ok && strings.HasPrefix(err.Error(), "runtime error:") {
		return driver.E(driver.ErrBadData, nil, "%s failed inside the connector (%s)", what, err)
	}
	return driver.E(driver.ErrBadData, nil, "%s failed inside the connector (a panic of type %T)", what, p)
}

// clean returns err as a *driver.Error whose whole text is scrubbed. The library's
// own error goes no further: its fields may hold what its text does not.
func (c *Conn) clean(ctx context.Context, err error) error {
	kind := KindOf(err)
	text := c.scrubber.scrub(err.Error())
	if ctx.Err() != nil && (kind == nil || kind == driver.ErrUnreachable || kind == driver.ErrTimeout) {
		kind = driver.ErrTimeout
		if cause := context.Cause(ctx); cause != nil && errors.Is(cause, context.DeadlineExceeded) {
			text = c.scrubber.scrub(cause.Error())
		}
	}
	if kind == nil {
		kind = driver.ErrBadData
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
			kind = driver.ErrTimeout
		}
	}
	if kind == driver.ErrNotFound {
		text = c.files.told(text)
	}
	cleaned := &driver.Error{Kind: kind, Message: text}
	if wrong := (driver.FieldError{}); errors.As(err, &wrong) {
		cleaned.Field = &driver.FieldError{Field: c.scrubber.scrub(wrong.Field), Message: c.scrubber.scrub(wrong.Message)}
	}
	if errors.Is(err, context.Canceled) || errors.Is(ctx.Err(), context.Canceled) {
		cleaned.Message = strings.TrimSuffix(text, ": "+context.Canceled.Error())
		cleaned.Cause = context.Canceled
	}
	return cleaned
}

// KindOf returns which of driver's kinds the error has, that of the outermost
// *driver.Error if there are several, and nil if there is none.
func KindOf(err error) error {
	var typed *driver.Error
	if errors.As(err, &typed) {
		return typed.Kind
	}
	for _, kind := range []error{
		driver.ErrInvalidConfig, driver.ErrUnreachable, driver.ErrAuthentication, driver.ErrPermission, driver.ErrNotFound,
		driver.ErrBadData, driver.ErrUnsupported, driver.ErrLimit, driver.ErrTimeout, driver.ErrReplaced, driver.ErrRetyped,
	} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}
