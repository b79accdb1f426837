package binlog

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"io"
)

// decompress reads what MariaDB compresses of an event (log_bin_compress): a byte
// with 0x80, the way (0 is zlib) and the number of bytes of the length, the length,
// most significant byte first, and the stream. The answer is valid until the next
// call.
func (r *Reader) decompress(p []byte) ([]byte, error) {
	if len(p) == 0 || p[0]&0xf8 != 0x80 {
		return nil, ErrEvent
	}
	length, rest, ok := take(p[1:], uint64(p[0]&7))
	if !ok || len(length) == 0 || len(length) > 4 {
		return nil, ErrEvent
	}
	n := int64(bigEndian(length))
	if n > r.limit() {
		return nil, ErrLimit
	}
	stream, err := zlib.NewReader(bytes.NewReader(rest))
	if err != nil {
		return nil, ErrEvent
	}
	if r.plain, err = inflate(r.plain[:0], stream, n); err != nil {
		return nil, err
	}
	plain := r.plain
	if cap(plain) > 4<<20 { // one huge event must not stay
		r.plain = nil
	}
	return plain, nil
}

// inflate appends exactly n bytes of a stream that has no more.
func inflate(dst []byte, stream io.Reader, n int64) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	if read, err := io.Copy(out, io.LimitReader(stream, n+1)); err != nil || read != n {
		return nil, ErrEvent
	}
	return out.Bytes(), nil
}

// Decompressed returns the value of a column that is declared COMPRESSED: 0 before a
// value that is not, or a byte with the way (8 is zlib), whether its stream is bare,
// and the number of bytes of the length that follows.
func (c Column) Decompressed(raw []byte, limit int64) ([]byte, error) {
	if c.Type != typeBlobCompressed && c.Type != typeVarcharCompressed || len(raw) == 0 {
		return raw, nil
	}
	if raw[0] == 0 {
		return raw[1:], nil
	}
	length, rest, ok := take(raw[1:], uint64(raw[0]&7))
	if raw[0]&0xf0 != 0x80 || !ok || len(length) == 0 {
		return nil, ErrEvent
	}
	n := int64(bigEndian(length))
	if n < 0 || limit > 0 && n > limit {
		return nil, ErrLimit
	}
	var stream io.ReadCloser
	var err error
	if raw[0]&8 != 0 {
		stream = flate.NewReader(bytes.NewReader(rest))
	} else if stream, err = zlib.NewReader(bytes.NewReader(rest)); err != nil {
		return nil, ErrEvent
	}
	return inflate(nil, stream, n)
}
