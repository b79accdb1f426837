package parts

import (
	"fmt"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/klauspost/compress/zstd"
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
	slabs  [][]byte // that hold pages; the last one is being filled
	spare  [][]byte
	held   int64 // bytes of pages
}

const (
	slabSize   = 256 << 10
	zstdWindow = 256 << 10
)

func newPress() (*press, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true), zstd.WithWindowSize(zstdWindow))
	if err != nil {
		return nil, fmt.Errorf("start compressing: %w", err)
	}
	return &press{zstd: z}, nil
}

// compress returns a copy of raw that is valid until reset.
func (p *press) compress(raw []byte) []byte {
	p.packed = p.zstd.EncodeAll(raw, p.packed[:0])
	n := len(p.packed)
	p.held += int64(n)
	last := len(p.slabs) - 1
	if last < 0 || cap(p.slabs[last])-len(p.slabs[last]) < n {
		p.slabs = append(p.slabs, p.slab(n))
		last++
	}
	start := len(p.slabs[last])
	p.slabs[last] = append(p.slabs[last], p.packed...)
	return p.slabs[last][start : start+n : start+n]
}

func (p *press) slab(n int) []byte {
	if last := len(p.spare) - 1; n <= slabSize && last >= 0 {
		s := p.spare[last]
		p.spare = p.spare[:last]
		return s
	}
	return make([]byte, 0, max(n, slabSize))
}

// reset gives up all pages.
func (p *press) reset() {
	for _, s := range p.slabs {
		if cap(s) == slabSize {
			p.spare = append(p.spare, s[:0])
		}
	}
	clear(p.slabs)
	p.slabs, p.held = p.slabs[:0], 0
}
