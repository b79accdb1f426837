package parquet

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/parquet/compress"
)

// The library's codecs but for what files of old have: LZ4 as Hadoop frames it,
// and pages without a byte that say they are compressed.
var _ = func() bool {
	snappy, _ := compress.GetCodec(compress.Codecs.Snappy)
	gzip, _ := compress.GetCodec(compress.Codecs.Gzip)
	raw, _ := compress.GetCodec(compress.Codecs.Lz4Raw)
	compress.RegisterCodec(compress.Codecs.Snappy, nothing{snappy, snappy.(compress.StreamingCodec)})
	compress.RegisterCodec(compress.Codecs.Gzip, nothing{gzip, gzip.(compress.StreamingCodec)})
	compress.RegisterCodec(compress.Codecs.Lz4, hadoop{raw})
	return true
}()

// nothing is a codec that takes nothing for nothing.
type nothing struct {
	compress.Codec
	compress.StreamingCodec
}

func (c nothing) DecodeWithError(dst, src []byte) ([]byte, error) {
	if len(src) == 0 {
		return dst[:0], nil
	}
	return compress.Decode(c.Codec, dst, src)
}

// hadoop reads the compression LZ4 of Parquet, which was never defined: most
// have written blocks as Hadoop does, each after its size decompressed and
// compressed, and some a block alone. The format has LZ4_RAW in its place.
type hadoop struct{ compress.Codec }

func (c hadoop) DecodeWithError(dst, src []byte) ([]byte, error) {
	if out, ok := c.blocks(dst, src); ok {
		return out, nil
	}
	return compress.Decode(c.Codec, dst, src)
}

// blocks decodes what Hadoop writes, or returns false where it is something else.
func (c hadoop) blocks(dst, src []byte) ([]byte, bool) {
	done := 0
	for len(src) > 0 {
		if len(src) < 8 {
			return nil, false
		}
		size, packed := uint64(binary.BigEndian.Uint32(src)), uint64(binary.BigEndian.Uint32(src[4:]))
		if src = src[8:]; packed > uint64(len(src)) || size > uint64(len(dst)-done) {
			return nil, false
		}
		part, err := compress.Decode(c.Codec, dst[done:done+int(size)], src[:packed])
		if err != nil || uint64(len(part)) != size {
			return nil, false
		}
		copy(dst[done:], part)
		done += len(part)
		src = src[packed:]
	}
	return dst[:done], true
}
