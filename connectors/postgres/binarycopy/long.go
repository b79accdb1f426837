package binarycopy

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
)

// LongSize is from where on a row is long. Of such rows the process has one at a
// time, from before it is read until its consumer has released it: whatever the
// number of tables and ranges that are read at once, memory holds a long row's
// copies once.
const LongSize = 8 << 20

// LongBegin is how much is read of a row beyond the limit, to tell which column
// it is.
const LongBegin = 64 << 10

// longRows has a place for one.
var longRows = make(chan struct{}, 1)

// lease is the place of a long row. It is given back when each of its holders
// has let go.
type lease struct {
	mu      sync.Mutex
	holders int
}

// takeLease waits for the place and returns it with one holder.
func takeLease(ctx context.Context) (*lease, error) {
	select {
	case longRows <- struct{}{}:
		return &lease{holders: 1}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *lease) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holders++
}

func (l *lease) free() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holders--; l.holders == 0 {
		<-longRows
	}
}

// leased is the Allocator of a buffer that holds a lease; it allocates nothing.
type leased struct{ *lease }

func (leased) Allocate(int) []byte { panic("a leased buffer does not grow") }

func (leased) Reallocate(int, []byte) []byte { panic("a leased buffer does not grow") }

func (l leased) Free([]byte) { l.free() }

// buffer returns an Arrow buffer of b, which keeps the lease of a long row.
func (l *lease) buffer(b []byte) *memory.Buffer {
	l.hold()
	return memory.NewBufferWithAllocator(b, leased{l})
}

// Announce makes room for a long row: what was decoded before is given away.
func (d *Decoder) Announce(int64) error {
	if d.rows > 0 {
		if err := d.flush(false, false); err != nil {
			return err
		}
	}
	d.Release()
	var err error
	if d.lease, err = takeLease(d.Context); err != nil {
		return driver.E(driver.ErrTimeout, err, "stopped")
	}
	return nil
}

// Release lets go of the place of a long row that is given away or will not be.
func (d *Decoder) Release() {
	if d.lease != nil {
		d.lease.free()
		d.lease = nil
	}
}

// TooLong tells of a row beyond the limit, of which no more than the beginning is
// there, with the column that it is and what helps.
func (d *Decoder) TooLong(size int64, begin []byte) error {
	column := ""
	if at := d.longest(begin); at >= 0 {
		column = ", column " + d.columns[at].name
	}
	mib := (size>>20 + 1)
	return driver.E(driver.ErrLimit, nil, "table %s%s: %s has %d bytes, more than the limit of %d; exclude the column in sync_options.columns, or set connection_config.max_row_mib to %d or more, for which --connector-memory should be at least %d MiB",
		d.Table, column, d.place(begin[min(2, len(begin)):]), size, d.Limits.MaxRowBytes, mib, max(512, 6*mib))
}

// longest returns which field at the beginning of a row has most of its bytes, -1
// if none begins there.
func (d *Decoder) longest(row []byte) int {
	if len(row) < 2 {
		return -1
	}
	row = row[2:]
	most, found := int64(0), -1
	for i := 0; i < len(d.columns) && len(row) >= 4; i++ {
		n := int64(int32(binary.BigEndian.Uint32(row)))
		if n > most {
			most, found = n, i
		}
		row = row[4:]
		if n > int64(len(row)) {
			break
		}
		row = row[max(n, 0):]
	}
	return found
}

var _ memory.Allocator = leased{}
