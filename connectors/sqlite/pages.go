package sqlite

import (
	"encoding/binary"
	"io"
)

// ahead is about how many bytes are read at once while pages follow each other.
const ahead = 256 << 10

// layout is what the header of a database file says of its pages.
type layout struct {
	size   int    // of a page
	usable int    // of it, without what extensions reserve at its end
	count  uint32 // of pages in the file
}

func layoutOf(header []byte, fileSize int64) layout {
	l := layout{size: int(binary.BigEndian.Uint16(header[16:]))}
	if l.size == 1 {
		l.size = 65536
	}
	l.usable = l.size - int(header[20])
	l.count = uint32(min(fileSize/int64(l.size), 1<<32-2))
	return l
}

// pages reads the pages of a file, several at once where they follow each
// other. It is not safe for concurrent use.
type pages struct {
	layout
	file   io.ReaderAt
	window []byte
	first  uint32 // page in the window, 0 is none
	held   uint32 // pages in the window
	next   uint32 // the page after the one last asked for
}

// page returns page n, counted from 1, valid until the next call.
func (p *pages) page(n uint32) ([]byte, error) {
	if n == 0 || n > p.count {
		return nil, errDamaged
	}
	if p.first == 0 || n < p.first || n >= p.first+p.held {
		want := uint32(1)
		if n == p.next {
			want = min(max(uint32(ahead/p.size), 1), p.count-n+1)
		}
		if len(p.window) < int(want)*p.size {
			p.window = make([]byte, int(want)*p.size)
		}
		p.first = 0
		if err := readAt(p.file, p.window[:int(want)*p.size], int64(n-1)*int64(p.size)); err != nil {
			return nil, err
		}
		p.first, p.held = n, want
	}
	p.next = n + 1
	at := int(n-p.first) * p.size
	return p.window[at : at+p.usable], nil
}

// overflow appends the rest of a payload to payload, which ends up with total
// bytes. It is in a chain of pages that begins at n.
func (p *pages) overflow(payload []byte, n uint32, total int, scratch []byte) ([]byte, error) {
	for len(payload) < total {
		if n == 0 || n > p.count {
			return nil, errDamaged
		}
		if err := readAt(p.file, scratch[:p.size], int64(n-1)*int64(p.size)); err != nil {
			return nil, err
		}
		n = binary.BigEndian.Uint32(scratch)
		payload = append(payload, scratch[4:min(p.usable, 4+total-len(payload))]...)
	}
	return payload, nil
}

func readAt(file io.ReaderAt, b []byte, at int64) error {
	n, err := file.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = errDamaged // it was longer when it was opened
	}
	return err
}
