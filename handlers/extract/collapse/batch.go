package collapse

import (
	"github.com/apache/arrow-go/v18/arrow"

	"headwater/handlers/landing/content"
	"headwater/handlers/landing/keys"
)

// Batch is the changes between two places, collapsed.
type Batch struct {
	of        *Table // its Config and what follows from that alone
	held      []held
	bytes     int64
	at        map[keys.Key]int32
	entries   []entry
	truncated bool
	rows      int // of a log
}

func newBatch(t *Table) *Batch { return &Batch{of: t, at: map[keys.Key]int32{}} }

func (b *Batch) empty() bool { return len(b.entries) == 0 && !b.truncated && b.rows == 0 }

// add holds a batch of changes, and returns its number.
func (b *Batch) add(rec arrow.RecordBatch) int32 {
	columns := make([]arrow.Array, rec.NumCols())
	for i, c := range rec.Columns() {
		c.Retain()
		columns[i] = c
	}
	b.bytes += sizeOf(rec)
	b.held = append(b.held, held{columns: columns, rows: int(rec.NumRows())})
	return int32(len(b.held) - 1)
}

func (b *Batch) find(k keys.Key) (entry, bool) {
	if i, ok := b.at[k]; ok {
		return b.entries[i], true
	}
	return entry{}, false
}

func (b *Batch) put(k keys.Key, e entry) {
	if p := e.patch; p != nil { // the one before stays until the next collection
		b.bytes += patchBytes + keptBytes*int64(len(p.kept)) + takenBytes*int64(len(p.from))
	}
	if i, ok := b.at[k]; ok {
		b.entries[i] = e
		return
	}
	b.at[k] = int32(len(b.entries))
	b.entries = append(b.entries, e)
}

// truncate forgets what there was: no row of before is left.
func (b *Batch) truncate() {
	b.Release()
	b.held, b.bytes, b.entries, b.truncated = nil, 0, nil, true
	clear(b.at)
}

// hash stands for all values of a row.
func (b *Batch) hash(at place) content.Hash {
	h := &b.held[at.rec]
	if h.hash == nil {
		h.hash = content.RowsOf(h.columns)
	}
	return h.hash.Hash(int(at.row))
}

// Release lets go of a batch that is not to be encoded.
func (b *Batch) Release() {
	for _, h := range b.held {
		h.release()
	}
}
