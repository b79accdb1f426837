package drivertest

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"headwater/connectors/driver"
)

// testBreak leaves a read in its first batch: everything is released and the
// source can be used again.
func (h Harness) testBreak(t *testing.T) {
	leaks(t)
	limits := driver.Limits{BatchRows: h.LargeRows / 5}
	src := h.open(t, limits)
	table := h.discovered(t, src, h.Large)
	for range 2 {
		began := time.Now()
		for batch, err := range src.Read(t.Context(), table, driver.Cursor{}) {
			if err != nil {
				t.Fatal(err)
			}
			batch.Record.Release()
			began = time.Now()
			break
		}
		if took := time.Since(began); took > h.Patience {
			t.Errorf("leaving the loop took %v", took)
		}
	}
	if err := src.Check(t.Context()); err != nil {
		t.Errorf("after an abandoned read: %v", err)
	}
}

// testCancel cancels in the middle of a read.
func (h Harness) testCancel(t *testing.T) {
	leaks(t)
	limits := driver.Limits{BatchRows: h.LargeRows / 5}
	src := h.open(t, limits)
	table := h.discovered(t, src, h.Large)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var cancelled time.Time
	var rows int
	var failure error
	for batch, err := range src.Read(ctx, table, driver.Cursor{}) {
		if err != nil {
			failure = err
			break
		}
		rows += int(batch.Record.NumRows())
		batch.Record.Release()
		if cancelled.IsZero() {
			cancel()
			cancelled = time.Now()
		}
	}
	if took := time.Since(cancelled); took > h.Patience {
		t.Errorf("stopping took %v", took)
	}
	// What was in flight may still be delivered, but an incomplete read must
	// never look complete.
	if failure == nil && rows < h.LargeRows {
		t.Errorf("a cancelled read ended after %d of %d rows without an error", rows, h.LargeRows)
	}
	if failure != nil && !errors.Is(failure, context.Canceled) {
		t.Errorf("a cancelled read failed with %v, want an error that wraps context.Canceled", failure)
	}
	if err := src.Check(t.Context()); err != nil {
		t.Errorf("after a cancelled read: %v", err)
	}
}

// endLimit is how long goroutines may take to end after a test, on a busy machine.
const endLimit = 30 * time.Second

// leaks fails the test when goroutines that it started outlive its other
// cleanups by endLimit.
func leaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	left := func() error {
		if err := goleak.Find(before); err != nil && !strings.Contains(err.Error(), "testing.(*T).Run") {
			return err
		}
		return nil
	}
	t.Cleanup(func() {
		err := left()
		for end := time.Now().Add(endLimit); err != nil && time.Now().Before(end); {
			err = left()
		}
		if err != nil {
			buf := make([]byte, 1<<16)
			t.Errorf("%v\n%s", err, buf[:runtime.Stack(buf, false)])
		}
	})
}
