package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"

	"headwater/connectors/mysql/lenenc"
)

// Payload is the events of a transaction that MySQL wrote to its log compressed
// (binlog_transaction_compression). Call Close.
type Payload struct {
	stream io.Reader
	zstd   *zstd.Decoder
	limit  int64
	buf    []byte
}

// Fields of a payload event, and how it may be compressed
// (https://dev.mysql.com/doc/dev/mysql-server, Transaction_payload_event).
const (
	payloadEnd  = 0
	payloadWay  = 2
	payloadZstd = 0
	payloadNone = 255
)

// payloadWindow bounds the memory of a decoder: the window of the highest level, 22. Up to
// level 19 it is at most 8 MiB.
const payloadWindow = 128 << 20

// Payload opens a PayloadEvent, whose body must stay valid until Close. It is ErrEvent if
// the event is malformed or compressed in a way that is not known.
func (r *Reader) Payload(e Event) (*Payload, error) {
	p, way := e.Body, uint64(payloadZstd)
	for {
		field, rest, ok := lenenc.Int(p)
		if !ok {
			return nil, ErrEvent
		}
		if p = rest; field == payloadEnd {
			break
		}
		value, rest, ok := lenenc.String(p)
		if !ok {
			return nil, ErrEvent
		}
		if p = rest; field != payloadWay {
			continue
		}
		if way, _, ok = lenenc.Int(value); !ok {
			return nil, ErrEvent
		}
	}
	out := &Payload{stream: bytes.NewReader(p), limit: r.limit()}
	switch way {
	case payloadNone:
	case payloadZstd:
		decoder, err := zstd.NewReader(out.stream, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(payloadWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, ErrEvent
		}
		out.stream, out.zstd = decoder, decoder
	default:
		return nil, ErrEvent
	}
	return out, nil
}

// Next returns the next event, valid until the next call, and io.EOF behind the last. An
// event that is longer than the limit is Cut to cutLen bytes.
func (p *Payload) Next() (Event, error) {
	var header [headerLen]byte
	if _, err := io.ReadFull(p.stream, header[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return Event{}, io.EOF
		}
		return Event{}, ErrEvent
	}
	length := int64(binary.LittleEndian.Uint32(header[9:]))
	if length < headerLen {
		return Event{}, ErrEvent
	}
	rest := length - headerLen
	cut := length > p.limit
	if cut {
		rest = min(rest, cutLen)
	}
	if int64(cap(p.buf)) < headerLen+rest || cap(p.buf) > 4<<20 { // one huge event must not stay
		p.buf = make([]byte, 0, headerLen+rest)
	}
	p.buf = append(p.buf[:0], header[:]...)[:headerLen+rest]
	if _, err := io.ReadFull(p.stream, p.buf[headerLen:]); err != nil {
		return Event{}, ErrEvent
	}
	if cut {
		if _, err := io.CopyN(io.Discard, p.stream, length-headerLen-rest); err != nil {
			return Event{}, ErrEvent
		}
	}
	e := eventOf(p.buf)
	e.Cut = cut
	return e, nil
}

// cutLen is how much of the body of a cut event is kept: what names its table.
const cutLen = 64

// Close frees the decoder.
func (p *Payload) Close() {
	if p.zstd != nil {
		p.zstd.Close()
	}
}
