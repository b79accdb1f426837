package parts

import (
	"fmt"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/klauspost/compress/zstd"

	"headwater/connectors/reuse"
)

// page is a compressed data page that waits for the end of its row group.
type page struct {
	data     []byte
	rows     int
	size     int // before compression
	encoding parquet.Encoding
}

// press compresses pages and holds them until their row group ends. It is
// shared by the columns of a file and used by one goroutine.
type press struct {
	zstd   *zstd.Encoder
	raw    []byte // of the page that is made
	packed []byte
	slabs  [][]byte // that hold pages, one behind the other; the last one is being filled
	held   int64    // bytes of pages
}

const (
	slabSize   = 256 << 10
	zstdWindow = 256 << 10
)

// Encoders come and go with the ranges of a table, and several work at once: what
// one has done with is the next one's.
var presses reuse.Pool

// newPress returns a press of its caller's, who gives it up by retire.
func newPress() (*press, error) {
	if p, ok := presses.Get().(*press); ok {
		return p, nil
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true), zstd.WithWindowSize(zstdWindow))
	if err != nil {
		return nil, fmt.Errorf("start compressing: %w", err)
	}
	return &press{zstd: z}, nil
}

// retire gives the press up, and all pages.
func (p *press) retire() {
	p.reset()
	if cap(p.raw) > 2*slabSize || cap(p.packed) > 2*slabSize { // a long value's
		p.raw, p.packed = nil, nil
	}
	presses.Put(p)
}

// compress returns a copy of raw that is valid until reset.
func (p *press) compress(raw []byte) []byte {
	p.packed = p.zstd.EncodeAll(raw, p.packed[:0])
	n := len(p.packed)
	p.held += int64(n)
	if n > slabSize {
		return append(make([]byte, 0, n), p.packed...)
	}
	last := len(p.slabs) - 1
	if last < 0 || cap(p.slabs[last])-len(p.slabs[last]) < n {
		p.slabs = append(p.slabs, reuse.Take[byte](slabSize)[:0])
		last++
	}
	from := len(p.slabs[last])
	p.slabs[last] = append(p.slabs[last], p.packed...)
	return p.slabs[last][from : from+n : from+n]
}

// reset gives up all pages.
func (p *press) reset() {
	for _, s := range p.slabs {
		reuse.GiveUp(s)
	}
	clear(p.slabs)
	p.slabs, p.held = p.slabs[:0], 0
}
