package csv

import (
	"context"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
)

// skips counts the rows of a block that cannot be read and are left out.
type skips struct {
	rows  int64
	first int64 // row
	why   string

	repeats int64 // rows that are the header once more
}

// add counts a row.
func (s *skips) add(row int64, why string) { s.merge(skips{rows: 1, first: row, why: why}, 0) }

// merge counts the rows of a block that so many rows came before.
func (s *skips) merge(other skips, before int64) {
	if other.rows == 0 {
		return
	}
	if s.rows += other.rows; s.why == "" || other.first+before < s.first {
		s.first, s.why = other.first+before, other.why
	}
}

// allSkips are those of a whole file. It is safe for concurrent use.
type allSkips struct {
	mu    sync.Mutex
	skips skips
}

func (a *allSkips) merge(s skips, before int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.skips.merge(s, before)
}

func (a *allSkips) add(row int64, why string) { a.merge(skips{rows: 1, first: row, why: why}, 0) }

// note says for people how many rows were left out, or is empty.
func (a *allSkips) note(name string) string {
	if a == nil || a.skips.rows == 0 {
		return ""
	}
	if a.skips.rows == 1 {
		return fmt.Sprintf("%s: 1 row that cannot be read was skipped, row %d: %s.", name, a.skips.first, a.skips.why)
	}
	return fmt.Sprintf("%s: %s that cannot be read were skipped, the first of them row %d: %s.", name, driver.Count(a.skips.rows, "row"), a.skips.first, a.skips.why)
}

// without takes rows out of a batch.
func without(ctx context.Context, b *driver.Batch, rows []int64) error {
	if len(rows) == 0 {
		return nil
	}
	mask := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer mask.Release()
	for i := range b.Record.NumRows() {
		keep := len(rows) == 0 || rows[0] != i
		if !keep {
			rows = rows[1:]
		}
		mask.Append(keep)
	}
	kept := mask.NewBooleanArray()
	defer kept.Release()
	record, err := compute.FilterRecordBatch(ctx, b.Record, kept, compute.DefaultFilterOptions())
	b.Record.Release()
	b.Record = record
	return err
}
