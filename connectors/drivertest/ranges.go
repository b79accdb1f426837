package drivertest

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"headwater/connectors/driver"
)

// settle waits as Divided.Settle does.
func (h Harness) settle(t *testing.T) {
	t.Helper()
	if h.Divided.Settle == nil {
		return
	}
	if err := h.Divided.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (h Harness) openDivided(t *testing.T, limits driver.Limits) (driver.Source, driver.Table) {
	t.Helper()
	src := h.open(t, limits)
	return src, h.discovered(t, src, h.Divided.Table)
}

// now returns the rows of the table by a plain Read.
func (h Harness) now(t *testing.T, src driver.Source, table driver.Table) [][]string {
	t.Helper()
	limits := driver.Limits{}.WithDefaults()
	got, err := h.collect(t, src, table, driver.Cursor{}, limits)
	if err != nil {
		t.Fatal(err)
	}
	return got.rows
}

func (h Harness) startScan(t *testing.T, src driver.Source, table driver.Table, landed []driver.Range) driver.Scan {
	t.Helper()
	scan, err := src.(driver.Scanner).Scan(t.Context(), table, landed)
	if err != nil {
		t.Fatalf("Scan: %v", err)
	}
	return scan
}

// landedRange is a range with the rows that were read of it.
type landedRange struct {
	driver.Range
	rows [][]string
	kept bool // by the Scan before, not read in it
}

// scan does what a caller does: it keeps what the Scan keeps of landed, reads
// the rest, several ranges at a time, and returns both.
func (h Harness) scan(t *testing.T, src driver.Source, table driver.Table, landed []landedRange, limits driver.Limits) ([]landedRange, error) {
	t.Helper()
	before := make([]driver.Range, len(landed))
	for i, r := range landed {
		before[i] = r.Range
	}
	scan, err := src.(driver.Scanner).Scan(t.Context(), table, before)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := scan.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	var all []landedRange
	for _, k := range scan.Kept() {
		at := slices.IndexFunc(landed, func(r landedRange) bool { return r.Range == k })
		if at < 0 {
			t.Errorf("range %q is kept, but never landed", k.Token)
			continue
		}
		all = append(all, landedRange{k, landed[at].rows, true})
	}
	unread := scan.Unread()
	for _, r := range unread {
		if r.Token == "" || len(r.Token) > 512 || strings.ToValidUTF8(r.Token, "") != r.Token || r.Rows < -1 {
			t.Errorf("range %+v has no short token or a wrong estimate", r)
		}
	}
	read, err := readRanges(t, scan, table, unread, limits)
	return append(all, read...), err
}

// readRanges reads ranges, several at a time, and returns what landed or the
// first error.
func readRanges(t *testing.T, scan driver.Scan, table driver.Table, ranges []driver.Range, limits driver.Limits) ([]landedRange, error) {
	t.Helper()
	var mu sync.Mutex
	var all []landedRange
	var failed error
	todo := make(chan driver.Range)
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			for r := range todo {
				got, err := drain(t, scan.Read(t.Context(), r), table, false, limits)
				if len(got.resumes) > 0 {
					t.Error("a range has places to resume by a cursor")
				}
				mu.Lock()
				if err != nil && failed == nil {
					failed = err
				}
				all = append(all, landedRange{Range: driver.Range{Token: r.Token, Rows: int64(len(got.rows))}, rows: got.rows})
				mu.Unlock()
			}
		})
	}
	for _, r := range ranges {
		todo <- r
	}
	close(todo)
	wg.Wait()
	return all, failed
}

func rowsOf(ranges []landedRange) [][]string {
	var rows [][]string
	for _, r := range ranges {
		rows = append(rows, r.rows...)
	}
	return rows
}

func keptOf(ranges []landedRange) int {
	n := 0
	for _, r := range ranges {
		if r.kept {
			n++
		}
	}
	return n
}
