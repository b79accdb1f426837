package sqlite

import (
	"encoding/binary"
	"io"

	"headwater/connectors/sqlite/btree"
)

const (
	walHeader   = 32
	frameHeader = 24
	walMagic    = 0x377f0682 // and the bit for big-endian sums
	walVersion  = 3007000
)

// wal is the write-ahead log, as far as its transactions are complete. A frame is a page
// with a checksum over everything before it; the last frame of a transaction has the
// size of the database. advance goes on reading where the last call ended. It is not
// safe for concurrent use.
type wal struct {
	file   io.ReaderAt
	header [walHeader]byte
	size   int // of a page, 0 for a log that holds nothing
	order  binary.ByteOrder
	frames int64            // that are committed
	pages  uint32           // of the database after them
	at     map[uint32]int64 // where the newest content of a page begins
	sum    [2]uint32        // of those frames
	last   [frameHeader]byte
	// begun is the header of the first frame of the last transaction: whoever
	// gave that up after all writes there next.
	begun   [frameHeader]byte
	begunAt int64
}

// readWAL returns what is committed in a log. A file that is not a log of this database
// has nothing, as for SQLite itself.
func readWAL(file io.ReaderAt) (*wal, error) {
	w := &wal{file: file, at: map[uint32]int64{}}
	n, err := file.ReadAt(w.header[:], 0)
	if n < walHeader {
		if err == io.EOF {
			err = nil
		}
		return w, err
	}
	be := binary.BigEndian
	magic, size := be.Uint32(w.header[:]), int(be.Uint32(w.header[8:]))
	w.order = binary.LittleEndian
	if magic&1 == 1 {
		w.order = binary.BigEndian
	}
	if magic&^1 != walMagic || be.Uint32(w.header[4:]) != walVersion || size < 512 || size > 65536 || size&(size-1) != 0 {
		return w, nil
	}
	if w.sum = w.add([2]uint32{}, w.header[:24]); w.sum != [2]uint32{be.Uint32(w.header[24:]), be.Uint32(w.header[28:])} {
		return w, nil
	}
	w.size = size
	return w, w.advance()
}

// add adds bytes, a multiple of eight, to the checksum.
func (w *wal) add(sum [2]uint32, b []byte) [2]uint32 {
	s0, s1 := sum[0], sum[1]
	if w.order == binary.BigEndian {
		for ; len(b) >= 8; b = b[8:] {
			s0 += binary.BigEndian.Uint32(b) + s1
			s1 += binary.BigEndian.Uint32(b[4:]) + s0
		}
	} else {
		for ; len(b) >= 8; b = b[8:] {
			s0 += binary.LittleEndian.Uint32(b) + s1
			s1 += binary.LittleEndian.Uint32(b[4:]) + s0
		}
	}
	return [2]uint32{s0, s1}
}

// advance reads the transactions that were committed since the last call.
func (w *wal) advance() error {
	if w.size == 0 {
		return nil
	}
	type change struct {
		page uint32
		at   int64
	}
	var open []change
	var begun [frameHeader]byte
	length := int64(frameHeader + w.size)
	sum, n := w.sum, w.frames
	window := make([]byte, max(1, btree.Ahead/length)*length)
	for {
		got, err := w.file.ReadAt(window, walHeader+n*length)
		if err != nil && err != io.EOF {
			return err
		}
		for b := window[:got]; ; b = b[length:] {
			if int64(len(b)) < length {
				if int64(got) == int64(len(window)) {
					break // more may follow
				}
				return nil
			}
			page := binary.BigEndian.Uint32(b)
			if page == 0 || string(b[8:16]) != string(w.header[16:24]) {
				return nil
			}
			sum = w.add(w.add(sum, b[:8]), b[frameHeader:length])
			if sum != [2]uint32{binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:])} {
				return nil
			}
			if len(open) == 0 {
				copy(begun[:], b)
			}
			open = append(open, change{page, walHeader + n*length + frameHeader})
			n++
			pages := binary.BigEndian.Uint32(b[4:])
			if pages == 0 {
				continue
			}
			for _, c := range open {
				w.at[c.page] = c.at
			}
			w.begun, w.begunAt = begun, open[0].at-frameHeader
			w.frames, w.pages, w.sum = n, pages, sum
			copy(w.last[:], b)
			open = open[:0]
		}
	}
}

// stands reports whether the log still has what was read of it: it was not started
// again, and its last transaction was not given up.
func (w *wal) stands() bool {
	var header [walHeader]byte
	if n, _ := w.file.ReadAt(header[:], 0); n < walHeader {
		return w.frames == 0 && w.size == 0
	}
	if header != w.header {
		return false
	}
	if w.frames == 0 {
		return true
	}
	var first, last [frameHeader]byte
	_, err := w.file.ReadAt(first[:], w.begunAt)
	_, err2 := w.file.ReadAt(last[:], walHeader+(w.frames-1)*int64(frameHeader+w.size))
	return err == nil && err2 == nil && first == w.begun && last == w.last
}
