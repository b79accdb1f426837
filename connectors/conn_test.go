package connectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
)

const canary = "hunter2-canary"

func TestConnCleansErrors(t *testing.T) {
	leak := fmt.Errorf("dial postgres://u:%s@h", canary)
	f := newFake("x", "database", nil)
	f.check = func(context.Context) error { return driver.E(driver.ErrAuthentication, leak, "no access") }
	f.discover = func(context.Context) ([]driver.Table, error) { return nil, leak }
	f.read = func(context.Context, driver.Table, driver.Cursor) iter.Seq2[driver.Batch, error] {
		return func(yield func(driver.Batch, error) bool) { yield(driver.Batch{}, leak) }
	}
	f.closing = func() error { return leak }
	c := open(t, f, `{"password":"`+canary+`"}`)
	var failures []error
	steps, err := c.Check(t.Context())
	failures = append(failures, err, steps[0].Err)
	if KindOf(err) != driver.ErrAuthentication || len(steps) != 1 {
		t.Errorf("Check = %v, %v", steps, err)
	}
	_, err = c.Discover(t.Context())
	failures = append(failures, err)
	for _, err := range c.Read(t.Context(), driver.Table{}, driver.Cursor{}) {
		failures = append(failures, err)
	}
	failures = append(failures, c.Close(), c.Close())
	for i, err := range failures {
		var typed *driver.Error
		if !errors.As(err, &typed) || strings.Contains(fmt.Sprintf("%v %+v %#v", err, typed, typed.Cause), canary) || !strings.Contains(err.Error(), redacted) {
			t.Errorf("error %d is %#v", i, err)
		}
	}
	if f.closing = nil; errors.Is(failures[0], leak) {
		t.Error("the library's own error came through")
	}
}

func TestConnCleansErrorsOfTables(t *testing.T) {
	leak := fmt.Errorf("dial postgres://u:%s@h", canary)
	f := newFake("x", "database", nil)
	f.discover = func(context.Context) ([]driver.Table, error) {
		return []driver.Table{{Name: "a"}}, &driver.UnreadTables{Tables: []driver.UnreadTable{{Name: "b", Err: leak}, {Name: "c", Err: driver.E(driver.ErrLimit, leak, "long")}}}
	}
	tables, err := open(t, f, `{"password":"`+canary+`"}`).Discover(t.Context())
	var unread *driver.UnreadTables
	if len(tables) != 1 || !errors.As(err, &unread) || len(unread.Tables) != 2 {
		t.Fatalf("%v, %v", tables, err)
	}
	for i, kind := range []error{driver.ErrBadData, driver.ErrLimit} {
		e := unread.Tables[i].Err
		if KindOf(e) != kind || errors.Is(e, leak) || strings.Contains(fmt.Sprintf("%v %+v", err, e), canary) || !strings.Contains(e.Error(), redacted) {
			t.Errorf("%#v", e)
		}
	}
	if KindOf(err) != driver.ErrBadData || !strings.Contains(err.Error(), "(and 1 more cannot be read)") {
		t.Errorf("%v", err)
	}
}

func TestConnSurvivesPanics(t *testing.T) {
	f := newFake("x", "database", nil)
	f.check = func(context.Context) error { panic("a panic about " + canary) }
	f.discover = func(context.Context) ([]driver.Table, error) {
		var m []int
		return nil, fmt.Errorf("%d", m[len(canary)])
	}
	f.read = func(context.Context, driver.Table, driver.Cursor) iter.Seq2[driver.Batch, error] {
		return func(yield func(driver.Batch, error) bool) {
			if yield(batch(1), nil) {
				panic(errors.New(canary))
			}
		}
	}
	f.closing = func() error { panic(canary) }
	c := open(t, f, `{}`)
	_, checkErr := c.Check(t.Context())
	_, discoverErr := c.Discover(t.Context())
	var readErr error
	for b, err := range c.Read(t.Context(), driver.Table{Name: "t"}, driver.Cursor{}) {
		if readErr = err; err == nil {
			b.Record.Release()
		}
	}
	for _, err := range []error{checkErr, discoverErr, readErr, c.Close()} {
		var typed *driver.Error
		if !errors.As(err, &typed) || strings.Contains(err.Error(), canary) {
			t.Errorf("a panic became %v", err)
		}
	}
	// The consumer's own panic is not the driver's.
	func() {
		defer func() {
			if p := recover(); p != "mine" {
				t.Errorf("recovered %v", p)
			}
		}()
		for b := range c.Read(t.Context(), driver.Table{}, driver.Cursor{}) {
			b.Record.Release()
			panic("mine")
		}
	}()
}

func TestConnLimitsTimeAndBytes(t *testing.T) {
	f := newFake("x", "database", nil)
	f.check = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	f.read = func(ctx context.Context, _ driver.Table, _ driver.Cursor) iter.Seq2[driver.Batch, error] {
		return func(yield func(driver.Batch, error) bool) {
			for yield(batch(40), nil) {
			}
		}
	}
	r := registry(t, Options{Timeouts: Timeouts{Check: 10 * time.Millisecond}}, f)
	c, err := r.Open(t.Context(), "acme", "x", json.RawMessage(`{"host":"h"}`), nil, driver.Limits{MaxBytes: 100})
	if err != nil {
		t.Fatal(err)
	}
	if f.config.Dial == nil || f.config.Files == nil || f.config.Log == nil || f.config.Limits.BatchRows == 0 {
		t.Errorf("Open got %+v", f.config)
	}
	if _, err := c.Check(t.Context()); KindOf(err) != driver.ErrTimeout || !strings.Contains(err.Error(), "longer than 10ms: check") || strings.Contains(err.Error(), "context deadline") {
		t.Errorf("Check = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Check(ctx); !errors.Is(err, context.Canceled) || KindOf(err) != driver.ErrTimeout {
		t.Errorf("cancelled Check = %v", err)
	}
	batches := 0
	var last error
	for b, err := range c.Read(t.Context(), driver.Table{Name: "t"}, driver.Cursor{}) {
		if last = err; err == nil {
			batches++
			b.Record.Release()
		}
	}
	if batches != 2 || KindOf(last) != driver.ErrLimit || c.Stats().Bytes != 120 {
		t.Errorf("%d batches, then %v; %+v", batches, last, c.Stats())
	}
	if KindOf(errors.New("x")) != nil || KindOf(&ConfigError{}) != driver.ErrInvalidConfig {
		t.Error("KindOf")
	}
}

// batch returns one empty row that cost n bytes.
func batch(n int64) driver.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(driver.Table{}))
	defer b.Release()
	return driver.Batch{Record: b.NewRecordBatch(), Bytes: n}
}
