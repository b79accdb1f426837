package sqlite

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// walOf is a log of pages of 512 bytes, each content given, committed together.
func walOf(magic uint32, contents ...byte) []byte {
	b := make([]byte, walHeader)
	binary.BigEndian.PutUint32(b, magic)
	binary.BigEndian.PutUint32(b[4:], walVersion)
	binary.BigEndian.PutUint32(b[8:], 512)
	w := &wal{order: binary.LittleEndian}
	if magic&1 == 1 {
		w.order = binary.BigEndian
	}
	sum := w.add([2]uint32{}, b[:24])
	binary.BigEndian.PutUint32(b[24:], sum[0])
	binary.BigEndian.PutUint32(b[28:], sum[1])
	for i, content := range contents {
		frame := make([]byte, frameHeader, frameHeader+512)
		binary.BigEndian.PutUint32(frame, uint32(i+1))
		if i == len(contents)-1 {
			binary.BigEndian.PutUint32(frame[4:], uint32(len(contents)))
		}
		page := bytes.Repeat([]byte{content}, 512)
		sum = w.add(w.add(sum, frame[:8]), page)
		binary.BigEndian.PutUint32(frame[16:], sum[0])
		binary.BigEndian.PutUint32(frame[20:], sum[1])
		b = append(append(b, frame...), page...)
	}
	return b
}

// FuzzWAL decodes any bytes as a log: what it names lies within them, and what was
// read first is what is read when more has come.
func FuzzWAL(f *testing.F) {
	for _, magic := range []uint32{walMagic, walMagic | 1} {
		f.Add(walOf(magic, 'a', 'b', 'c'), 600)
	}
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		whole, err := readWAL(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		for page, at := range whole.at {
			if page == 0 || at < walHeader+frameHeader || at+int64(whole.size) > int64(len(b)) {
				t.Fatalf("page %d at %d of %d bytes", page, at, len(b))
			}
		}
		if !whole.stands() {
			t.Fatal("a log that nobody touched does not stand")
		}
		part, err := readWAL(bytes.NewReader(b[:min(max(cut, 0), len(b))]))
		if err != nil || part.frames > whole.frames {
			t.Fatalf("%d frames of a part, %d of the whole, %v", part.frames, whole.frames, err)
		}
	})
}

// FuzzJournal decodes any bytes as a rollback journal.
func FuzzJournal(f *testing.F) {
	head := make([]byte, 512)
	copy(head, journalMagic)
	binary.BigEndian.PutUint32(head[8:], 1)
	binary.BigEndian.PutUint32(head[16:], 3)
	binary.BigEndian.PutUint32(head[20:], 512)
	binary.BigEndian.PutUint32(head[24:], 512)
	record := make([]byte, 520)
	binary.BigEndian.PutUint32(record, 2)
	f.Add(append(bytes.Clone(head), record...))
	binary.BigEndian.PutUint32(head[8:], 1<<32-1)
	f.Add(append(head, record...))
	f.Fuzz(func(t *testing.T, b []byte) {
		super(bytes.NewReader(b), int64(len(b)))
		j, err := readJournal(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for page, at := range j.at {
			if page == 0 || page > j.pages || at < 0 || at+int64(j.size) > int64(len(b)) {
				t.Fatalf("page %d of %d at %d of %d bytes", page, j.pages, at, len(b))
			}
		}
	})
}

func TestLogsAreDecoded(t *testing.T) {
	w, err := readWAL(bytes.NewReader(append(walOf(walMagic|1, 'a', 'b'), walOf(walMagic, 'c')[walHeader:]...)))
	if err != nil || w.frames != 2 || w.pages != 2 || w.size != 512 || w.at[2] != walHeader+frameHeader+536 {
		t.Errorf("%+v, %v", w, err)
	}
}
