package keyindex

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
)

// A run is a file:
//
//	blocks   of 4 KiB: entries in the order of their keys, and a checksum
//	head     JSON: which rows of which files these are
//	fences   the first half of the first key of each block, 8 bytes each
//	trailer  lengths, what the keys are, a checksum of it all but the blocks
//
// It is written to another name and renamed. A loss of power may leave anything
// of it: the checksums tell.
const (
	version     = 1
	blockSize   = 4 << 10
	blockData   = blockSize - 4
	trailerSize = 64
	// mostHead bounds what is believed of a head's length.
	mostHead = 64 << 20
)

var (
	magic      = []byte("HWKEYS01")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func widthOf(narrow bool) int {
	if narrow {
		return 12
	}
	return 20
}

// span is some rows of a file that are in a run.
type span struct {
	File
	From, To int64
}

type head struct {
	Spans    []span
	Replaces []string // runs that it was made of
}

// run is one that is open for reading.
type run struct {
	path   string
	file   *os.File
	size   int64
	id     uint32
	narrow bool
	width  int
	count  int64 // entries
	head   head
	fences []byte
	bases  []int64 // of the spans: the place of their first row
	live   []bool  // spans
	lives  int64   // rows of those
	rows   int64   // of all spans
}

// trailer is the end of a run.
func trailer(id uint32, mark [16]byte, count int64, headLen, fencesLen int) []byte {
	b := make([]byte, 0, trailerSize)
	b = append(b, magic...)
	b = append(b, mark[:]...)
	b = binary.LittleEndian.AppendUint32(b, id)
	b = binary.LittleEndian.AppendUint64(b, uint64(count))
	b = binary.LittleEndian.AppendUint64(b, uint64(headLen))
	b = binary.LittleEndian.AppendUint64(b, uint64(fencesLen))
	return b[:trailerSize-4]
}

// openRun opens a run of keys that are made as mark says. It returns ErrDamaged for
// a file that is none.
func openRun(path string, mark [16]byte, narrow bool) (r *run, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	r = &run{path: path, file: f, size: info.Size(), narrow: narrow, width: widthOf(narrow)}
	end := make([]byte, trailerSize)
	if r.size < trailerSize || filepath.Ext(path) != runSuffix {
		return nil, ErrDamaged
	}
	if _, err := f.ReadAt(end, r.size-trailerSize); err != nil {
		return nil, err
	}
	if !bytes.Equal(end[:8], magic) || !bytes.Equal(end[8:24], mark[:]) {
		return nil, ErrDamaged
	}
	r.id = binary.LittleEndian.Uint32(end[24:])
	count, headLen, fencesLen := binary.LittleEndian.Uint64(end[28:]), binary.LittleEndian.Uint64(end[36:]), binary.LittleEndian.Uint64(end[44:])
	perBlock := uint64(blockData / r.width)
	blocks := (count + perBlock - 1) / perBlock
	if count > 1<<32 || headLen > mostHead || fencesLen != 8*blocks || blocks*blockSize+headLen+fencesLen+trailerSize != uint64(r.size) {
		return nil, ErrDamaged
	}
	tail := make([]byte, headLen+fencesLen)
	if _, err := f.ReadAt(tail, int64(blocks*blockSize)); err != nil {
		return nil, err
	}
	sum := crc32.Update(crc32.Checksum(tail, castagnoli), castagnoli, end[:trailerSize-4])
	if sum != binary.LittleEndian.Uint32(end[trailerSize-4:]) || json.Unmarshal(tail[:headLen], &r.head) != nil {
		return nil, ErrDamaged
	}
	r.count, r.fences = int64(count), tail[headLen:]
	for _, s := range r.head.Spans {
		if s.From < 0 || s.To < s.From || s.To > s.Rows {
			return nil, ErrDamaged
		}
		r.bases = append(r.bases, r.rows)
		r.rows += s.To - s.From
	}
	if r.rows > 1<<32 {
		return nil, ErrDamaged
	}
	return r, nil
}

// judge tells which of the run's spans are of live files.
func (r *run) judge(live map[string]File) {
	r.live, r.lives = make([]bool, len(r.head.Spans)), 0
	for i, s := range r.head.Spans {
		if f, ok := live[s.Name]; ok && f == s.File {
			r.live[i] = true
			r.lives += max(1, s.To-s.From) // a span of no rows covers a file, too
		}
	}
}

// at returns the span and the row of a place. It is not ok for none.
func (r *run) at(place uint32) (of int, row int64, ok bool) {
	of, found := slices.BinarySearch(r.bases, int64(place))
	if !found {
		of--
	}
	for of >= 0 && of+1 < len(r.bases) && r.bases[of+1] == int64(place) { // those before are empty
		of++
	}
	if of < 0 {
		return 0, 0, false
	}
	s := r.head.Spans[of]
	row = s.From + int64(place) - r.bases[of]
	return of, row, row < s.To
}

func (r *run) blocks() int { return len(r.fences) / 8 }

func (r *run) fence(block int) uint64 { return binary.BigEndian.Uint64(r.fences[8*block:]) }

// entries returns how many a block has.
func (r *run) entries(block int) int {
	per := blockData / r.width
	return min(per, int(r.count)-block*per)
}

// entry decodes one of a block.
func (r *run) entry(block []byte, i int) (e entry) {
	b := block[i*r.width:]
	e.hi = binary.BigEndian.Uint64(b)
	if b = b[8:]; !r.narrow {
		e.lo = binary.BigEndian.Uint64(b)
		b = b[8:]
	}
	e.place = binary.LittleEndian.Uint32(b)
	return e
}

// read reads blocks from one on, as many as fit in buf.
func (r *run) read(block int, buf []byte) error {
	_, err := r.file.ReadAt(buf, int64(block)*blockSize)
	return err
}

// check tells whether a block is what was written. A block of another run, or of
// another place in it, is not.
func (r *run) check(number int, block []byte) error {
	if checksum(r.id, number, block[:blockData]) != binary.LittleEndian.Uint32(block[blockData:]) {
		return ErrDamaged
	}
	return nil
}

func checksum(id uint32, number int, data []byte) uint32 {
	return crc32.Update(id^uint32(number)*0x9e3779b1, castagnoli, data)
}

func (r *run) close() { r.file.Close() }
