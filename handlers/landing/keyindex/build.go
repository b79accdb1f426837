package keyindex

import (
	"context"
	"fmt"
)

const (
	// batch is how many keys are in memory while an index is built.
	batch = 256 << 10
	// mostRows is how many rows the files of a run have.
	mostRows = 1 << 31
	// openRuns is how many there are before they are merged, also amid a build.
	openRuns = 2 * mostRuns
)

// Builder adds files to the index of a table. It is not safe for concurrent use.
type Builder struct {
	ctx            context.Context
	table          *Table
	entries, other []entry
	spans          []span
	rows           int64 // of the spans
	failed         error
}

// Build begins to add files of so many rows, with room of their own. It returns
// ErrRoom when there is not enough for them.
func (t *Table) Build(ctx context.Context, rows int64) (*Builder, error) {
	// Runs are merged into others, which are there for a moment beside them.
	if err := t.index.reserve(rows * int64(widthOf(t.def.Narrow)) * 5 / 2); err != nil {
		return nil, err
	}
	return &Builder{ctx: ctx, table: t, entries: make([]entry, 0, min(max(0, rows), batch))}, nil
}

// File begins a file, whose rows follow in their order. The one before is complete.
func (b *Builder) File(f File) {
	b.end()
	b.spans = append(b.spans, span{File: f})
	if b.rows+f.Rows > mostRows && f.Rows <= mostRows {
		b.spans = b.spans[:len(b.spans)-1]
		b.flush()
		b.spans, b.rows = []span{{File: f}}, 0
	}
	if f.Rows > mostRows {
		b.fail(fmt.Errorf("%w: a file of %d rows", ErrRoom, f.Rows))
	}
}

// end closes the open span: rows behind the last key have none.
func (b *Builder) end() {
	if n := len(b.spans); n > 0 {
		last := &b.spans[n-1]
		b.rows += last.Rows - last.To
		last.To = last.Rows
	}
}

// Add adds a row of the file. Rows without a key are left out.
func (b *Builder) Add(k Key, row int64) {
	last := &b.spans[len(b.spans)-1]
	if row < last.To || row >= last.Rows {
		b.fail(fmt.Errorf("row %d of %s comes after row %d of %d", row, last.Name, last.To-1, last.Rows))
		return
	}
	b.rows += row + 1 - last.To
	last.To = row + 1
	b.entries = append(b.entries, entryOf(k, b.table.def.Narrow, uint32(b.rows-1)))
	if len(b.entries) == batch {
		b.flush()
		b.spans, b.rows = []span{{File: last.File, From: row + 1, To: row + 1}}, 0
	}
}

func (b *Builder) fail(err error) {
	if b.failed == nil {
		b.failed = fmt.Errorf("the index of keys: %w", err)
	}
}

func (b *Builder) flush() {
	if b.failed == nil && len(b.spans) > 0 {
		if len(b.other) < len(b.entries) {
			b.other = make([]entry, cap(b.entries))
		}
		sorted := sortEntries(b.entries, b.other)
		w, err := b.table.create()
		if err == nil {
			for _, e := range sorted {
				if err = w.add(e); err != nil {
					break
				}
			}
			err = b.table.ended(w, head{Spans: b.spans}, nil, err)
		}
		if err == nil && len(b.table.runs) > openRuns {
			err = b.table.Tidy(b.ctx)
		}
		b.failed = err
	}
	b.entries = b.entries[:0]
}

// Close ends the last file. It returns what kept the files from being added; some
// may be all the same.
func (b *Builder) Close() error {
	b.end()
	b.flush()
	b.entries, b.other = nil, nil
	return b.failed
}
