package btree

import (
	"encoding/binary"
	"io"
)

// Ahead is about how many bytes are read at once while pages follow each other.
const Ahead = 256 << 10

// Layout is what the header of a database file says of its pages.
type Layout struct {
	Size   int    // of a page
	usable int    // of it, without what extensions reserve at its end
	Count  uint32 // of pages in the file
}

// LayoutOf reads the first 100 bytes of a file of so many bytes. They must name a
// page size.
func LayoutOf(header []byte, fileSize int64) Layout {
	l := Layout{Size: int(binary.BigEndian.Uint16(header[16:]))}
	if l.Size == 1 {
		l.Size = 65536
	}
	l.usable = l.Size - int(header[20])
	l.Count = uint32(min(fileSize/int64(l.Size), 1<<32-2))
	return l
}

// pages reads the pages of a file, several at once where they follow each
// other. It is not safe for concurrent use.
type pages struct {
	Layout
	file   io.ReaderAt
	window []byte
	first  uint32 // page in the window, 0 is none
	held   uint32 // pages in the window
	next   uint32 // the page after the one last asked for
}

// page returns page n, counted from 1, valid until the next call.
func (p *pages) page(n uint32) ([]byte, error) {
	if n == 0 || n > p.Count {
		return nil, ErrDamaged
	}
	if p.first == 0 || n < p.first || n >= p.first+p.held {
		want := uint32(1)
		if n == p.next {
			want = min(max(uint32(Ahead/p.Size), 1), p.Count-n+1)
		}
		if len(p.window) < int(want)*p.Size {
			p.window = make([]byte, int(want)*p.Size)
		}
		p.first = 0
		if err := ReadAt(p.file, p.window[:int(want)*p.Size], int64(n-1)*int64(p.Size)); err != nil {
			return nil, err
		}
		p.first, p.held = n, want
	}
	p.next = n + 1
	at := int(n-p.first) * p.Size
	return p.window[at : at+p.usable], nil
}

// overflow appends the rest of a payload to payload, which ends up with total
// bytes. It is in a chain of pages that begins at n.
func (p *pages) overflow(payload []byte, n uint32, total int, scratch []byte) ([]byte, error) {
	for len(payload) < total {
		if n == 0 || n > p.Count {
			return nil, ErrDamaged
		}
		if err := ReadAt(p.file, scratch[:p.Size], int64(n-1)*int64(p.Size)); err != nil {
			return nil, err
		}
		n = binary.BigEndian.Uint32(scratch)
		payload = append(payload, scratch[4:min(p.usable, 4+total-len(payload))]...)
	}
	return payload, nil
}

// ReadAt fills b from a place in the file. An end before that is ErrDamaged.
func ReadAt(file io.ReaderAt, b []byte, at int64) error {
	n, err := file.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = ErrDamaged // it was longer when it was opened
	}
	return err
}
