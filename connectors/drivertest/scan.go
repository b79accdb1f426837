package drivertest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"headwater/connectors/driver"
)

// readers is how many ranges the suite reads at a time.
const readers = 3

// testScans tests a driver.Scanner, and that no other driver claims a table to
// divide.
func (h Harness) testScans(t *testing.T) {
	src := h.open(t, driver.Limits{})
	if _, ok := src.(driver.Scanner); !ok {
		if h.Divided != nil {
			t.Error("the harness has a table to divide, but the source is no driver.Scanner")
		}
		return
	}
	for _, e := range h.Tables {
		t.Run("Scan/"+e.Table.String(), func(t *testing.T) { h.testScan(t, e) })
	}
	if h.Divided == nil {
		t.Error("the source is a driver.Scanner, but the harness has no table to divide")
		return
	}
	t.Run("ScanAfterAbandon", h.testScanAbandon)
	t.Run("ScanWhileWritten", h.testScanWhileWritten)
	t.Run("ScanResume", h.testScanResume)
	t.Run("ScanForeignTokens", h.testScanForeign)
	for _, change := range h.Divided.Changes {
		t.Run("ScanAfter/"+change.Name, func(t *testing.T) { h.testScanChange(t, change) })
	}
}

// testScan reads a small table in ranges, twice: the second time with the first
// landed.
func (h Harness) testScan(t *testing.T, e Expected) {
	leaks(t)
	limits := driver.Limits{BatchRows: smallBatch}.WithDefaults()
	src := h.open(t, limits)
	table := h.discovered(t, src, e.Table.String())
	landed, err := h.scan(t, src, table, nil, limits)
	if errors.Is(err, driver.ErrUnsupported) {
		return
	}
	if e.Broken != nil {
		if err == nil {
			t.Fatalf("reading %d ranges succeeded, want %q", len(landed), e.Broken)
		}
		h.checkError(t, err, e.Broken)
		if err := src.Check(t.Context()); err != nil {
			t.Errorf("after a failed range: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, e.Rows, rowsOf(landed))
	again, err := h.scan(t, src, table, landed, limits)
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, e.Rows, rowsOf(again))
}

// testScanAbandon leaves ranges unread, cancels them, and reads them again.
func (h Harness) testScanAbandon(t *testing.T) {
	leaks(t)
	limits := driver.Limits{BatchRows: smallBatch}.WithDefaults()
	src, table := h.openDivided(t, limits)
	scan := h.startScan(t, src, table, nil)
	defer scan.Close()
	unread := scan.Unread()
	if len(unread) < 4 {
		t.Fatalf("%s has %d ranges, want at least 4", table, len(unread))
	}
	began := time.Now()
	for batch, err := range scan.Read(t.Context(), unread[0]) {
		if err != nil {
			t.Fatal(err)
		}
		batch.Record.Release()
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for batch, err := range scan.Read(ctx, unread[1]) {
		if err == nil {
			batch.Record.Release()
			t.Error("a range was read with a cancelled context")
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled range failed with %v, want an error that wraps context.Canceled", err)
		}
	}
	if took := time.Since(began); took > 2*h.Patience {
		t.Errorf("leaving two ranges took %v", took)
	}
	got, err := readRanges(t, scan, table, unread, limits)
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, h.now(t, src, table), rowsOf(got))
	for range 2 {
		if err := scan.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := src.Check(t.Context()); err != nil {
		t.Errorf("after a Scan: %v", err)
	}
}

// testScanWhileWritten writes before each range is read: all of them show the
// table as it was when the Scan began.
func (h Harness) testScanWhileWritten(t *testing.T) {
	leaks(t)
	limits := driver.Limits{}.WithDefaults()
	src, table := h.openDivided(t, limits)
	want := h.now(t, src, table)
	scan := h.startScan(t, src, table, nil)
	defer scan.Close()
	stop := make(chan struct{})
	written := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				written <- nil
				return
			default:
			}
			if err := h.Divided.Write(t.Context()); err != nil {
				written <- err
				return
			}
		}
	}()
	var all []landedRange
	for _, r := range scan.Unread() {
		if err := h.Divided.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
		some, err := readRanges(t, scan, table, []driver.Range{r}, limits)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	close(stop)
	if err := <-written; err != nil {
		t.Errorf("writing: %v", err)
	}
	sameRows(t, want, rowsOf(all))
}

// testScanResume lands every other range; a later Scan of another source keeps
// them and reads the rest.
func (h Harness) testScanResume(t *testing.T) {
	leaks(t)
	limits := driver.Limits{}.WithDefaults()
	src, table := h.openDivided(t, limits)
	h.settle(t)
	want := h.now(t, src, table)
	scan := h.startScan(t, src, table, nil)
	var half []driver.Range
	for i, r := range scan.Unread() {
		if i%2 == 0 {
			half = append(half, r)
		}
	}
	landed, err := readRanges(t, scan, table, half, limits)
	if err != nil {
		t.Fatal(err)
	}
	if err := scan.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	other := h.open(t, limits)
	all, err := h.scan(t, other, table, landed, limits)
	if err != nil {
		t.Fatal(err)
	}
	if kept := keptOf(all); kept != len(landed) {
		t.Errorf("%d of %d landed ranges were kept, though nothing changed", kept, len(landed))
	}
	sameRows(t, want, rowsOf(all))
	all, err = h.scan(t, other, table, all, limits)
	if err != nil {
		t.Fatal(err)
	}
	if kept := keptOf(all); kept != len(all) {
		t.Errorf("%d of %d ranges were kept, though all landed and nothing changed", kept, len(all))
	}
	sameRows(t, want, rowsOf(all))
}

// testScanForeign hands in tokens that are none, belong to another table, or
// whose count is not that of the rows: none of them is kept.
func (h Harness) testScanForeign(t *testing.T) {
	leaks(t)
	limits := driver.Limits{}.WithDefaults()
	src, table := h.openDivided(t, limits)
	own, err := h.scan(t, src, table, nil, limits)
	if err != nil {
		t.Fatal(err)
	}
	foreign := []landedRange{{Range: driver.Range{}}, {Range: driver.Range{Token: "{}"}}, {Range: driver.Range{Token: "\xff\x00'; --", Rows: 1}}}
	wrong := own[0]
	wrong.Rows++
	foreign = append(foreign, wrong)
	for _, r := range own[1:] {
		foreign = append(foreign, landedRange{Range: driver.Range{Token: r.Token[:len(r.Token)/2], Rows: r.Rows}}, landedRange{Range: driver.Range{Token: r.Token + "~", Rows: r.Rows}})
	}
	for _, e := range h.Tables {
		if e.Broken != nil || e.Table.String() == h.Divided.Table {
			continue
		}
		some, err := h.scan(t, src, h.discovered(t, src, e.Table.String()), nil, limits)
		if err != nil && !errors.Is(err, driver.ErrUnsupported) {
			t.Fatal(err)
		}
		foreign = append(foreign, some...)
	}
	all, err := h.scan(t, src, table, foreign, limits)
	if err != nil {
		t.Fatal(err)
	}
	if kept := keptOf(all); kept > 0 {
		t.Errorf("%d ranges were kept that this table never had", kept)
	}
	sameRows(t, h.now(t, src, table), rowsOf(all))
	// The same range landed twice, as by two workers, must not be kept twice.
	all, err = h.scan(t, src, table, append(slices.Clone(own), own...), limits)
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, h.now(t, src, table), rowsOf(all))
}

// testScanChange lands the whole table, changes it, and scans again: what is
// kept and what is read again together are the table as it is then.
func (h Harness) testScanChange(t *testing.T, change Change) {
	leaks(t)
	limits := driver.Limits{}.WithDefaults()
	src, table := h.openDivided(t, limits)
	if change.Keep != 0 {
		h.settle(t)
	}
	landed, err := h.scan(t, src, table, nil, limits)
	if err != nil {
		t.Fatal(err)
	}
	if err := change.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := h.scan(t, src, table, landed, limits)
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, h.now(t, src, table), rowsOf(all))
	keep := change.Keep
	if keep == KeepAll {
		keep = len(landed)
	}
	if kept := keptOf(all); kept < keep {
		t.Errorf("%d of %d landed ranges were kept, want at least %d", kept, len(landed), keep)
	}
}
