package views

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/avro/ocf"
)

// plainBytes is how much content of an Avro file is not compressed in its view:
// it is read at once, and by the simplest reader.
const plainBytes = 1 << 20

// Iceberg's id of the column of a position delete file that names files.
const deletedFileID = 2147483546

// The content of a file or manifest that holds position deletes.
const (
	contentPositionDeletes = 1
	statusDeleted          = 2
)

var errShort = errors.New("it ends too early")

// avro returns the view of a manifest list or manifest. Records are copied as
// they are, but for the names in them and the sizes of files that have a view.
func (v *Views) avro(ctx context.Context, name string, content []byte) ([]byte, error) {
	in := &source{rest: content}
	header, err := readHeader(in)
	if err != nil {
		return nil, err
	}
	s, err := parseSchema(header.meta["avro.schema"])
	if err != nil {
		return nil, err
	}
	w := &walk{views: v, ctx: ctx}
	records := 0
	for len(in.rest) > 0 {
		count, block, err := in.block(header)
		if err != nil {
			return nil, err
		}
		from := &source{rest: block}
		for range count {
			if err := w.copy(s, from, 0); err != nil {
				return nil, err
			}
		}
		if len(from.rest) > 0 {
			return nil, errors.New("a block is longer than its records")
		}
		records += int(count)
	}
	return header.write(name, records, w.out)
}

// header is what an Avro file begins with.
type header struct {
	keys []string // in their order
	meta map[string][]byte
	sync []byte
}

func readHeader(in *source) (h header, err error) {
	h.meta = map[string][]byte{}
	magic, err := in.take(4)
	if err != nil || !bytes.Equal(magic, []byte("Obj\x01")) {
		return h, errors.New("it is no Avro file")
	}
	for {
		n, err := in.long()
		if err != nil {
			return h, err
		}
		if n == 0 {
			break
		}
		if n < 0 { // with the size of the block behind it
			if _, err := in.long(); err != nil {
				return h, err
			}
			n = -n
		}
		for ; n > 0; n-- {
			key, err := in.bytes()
			if err != nil {
				return h, err
			}
			value, err := in.bytes()
			if err != nil {
				return h, err
			}
			h.keys = append(h.keys, string(key))
			h.meta[string(key)] = value
		}
	}
	h.sync, err = in.take(16)
	return h, err
}

// write returns an Avro file of those records.
func (h header) write(name string, records int, content []byte) ([]byte, error) {
	codec := "null"
	if len(content) > plainBytes {
		codec = "deflate"
		packed, err := ocf.DeflateCodec(1).Compress(content)
		if err != nil {
			return nil, err
		}
		content = packed
	}
	out := []byte("Obj\x01")
	keys := 0
	var meta []byte
	for _, key := range h.keys {
		if key == "avro.codec" {
			continue
		}
		meta = appendBytes(appendBytes(meta, []byte(key)), h.meta[key])
		keys++
	}
	meta = appendBytes(appendBytes(meta, []byte("avro.codec")), []byte(codec))
	out = append(appendLong(out, int64(keys+1)), meta...)
	out = appendLong(out, 0)
	// Of the name, so that a view is the same wherever it is made.
	mark := sha256.Sum256([]byte(name))
	out = append(out, mark[:16]...)
	if records > 0 {
		out = appendBytes(appendLong(out, int64(records)), content)
		out = append(out, mark[:16]...)
	}
	return out, nil
}

// block returns the next records, unpacked, and how many there are.
func (in *source) block(h header) (count int64, content []byte, err error) {
	if count, err = in.long(); err != nil {
		return 0, nil, err
	}
	if content, err = in.bytes(); err != nil {
		return 0, nil, err
	}
	mark, err := in.take(16)
	if err != nil {
		return 0, nil, err
	}
	if !bytes.Equal(mark, h.sync) || count < 0 {
		return 0, nil, errors.New("a block does not end where it says")
	}
	content, err = unpack(string(h.meta["avro.codec"]), content)
	if err == nil && count > int64(len(content)) {
		err = errors.New("a block has more records than bytes")
	}
	return count, content, err
}

func unpack(codec string, content []byte) ([]byte, error) {
	var by ocf.Codec
	switch codec {
	case "", "null":
		return content, nil
	case "deflate":
		by = ocf.DeflateCodec(1)
	case "snappy":
		by = ocf.SnappyCodec()
	case "zstandard":
		var err error
		if by, err = ocf.ZstdCodec(nil, nil); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("it is packed by %.20q", codec)
	}
	defer by.Close()
	if bounded, ok := by.(ocf.BoundedDecompressor); ok {
		return bounded.DecompressBounded(content, mostOfView)
	}
	return by.Decompress(content)
}

// source is what is still to be read of an Avro file or block.
type source struct{ rest []byte }

func (in *source) take(n int) ([]byte, error) {
	if n < 0 || n > len(in.rest) {
		return nil, errShort
	}
	taken := in.rest[:n:n]
	in.rest = in.rest[n:]
	return taken, nil
}

func (in *source) long() (int64, error) {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		b, err := in.take(1)
		if err != nil {
			return 0, err
		}
		n |= uint64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return int64(n>>1) ^ -int64(n&1), nil
		}
	}
	return 0, errors.New("a number is too long")
}

func (in *source) bytes() ([]byte, error) {
	n, err := in.long()
	if err != nil {
		return nil, err
	}
	if n < 0 || n > int64(len(in.rest)) {
		return nil, errShort
	}
	return in.take(int(n))
}

func appendLong(out []byte, n int64) []byte {
	for z := uint64(n<<1) ^ uint64(n>>63); ; z >>= 7 {
		if z < 0x80 {
			return append(out, byte(z))
		}
		out = append(out, byte(z)|0x80)
	}
}

func appendBytes(out, content []byte) []byte {
	return append(appendLong(out, int64(len(content))), content...)
}

// isParquet reports whether a manifest's word for a format is Parquet's.
func isParquet(format string) bool { return strings.EqualFold(format, "parquet") }
