package keyindex

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	runSuffix   = ".run"
	writeBuffer = 32 * blockSize
)

// runWriter writes a run of entries that come in order.
type runWriter struct {
	path   string // as it is called once it is whole
	file   *os.File
	id     uint32
	def    Definition
	width  int
	buf    []byte
	fill   int // of the open block
	blocks int
	count  int64
	fences []byte
	size   int64
}

// create begins the newest run of a table.
func (t *Table) create() (*runWriter, error) {
	next := uint64(1)
	if n := len(t.runs); n > 0 {
		digits := strings.TrimSuffix(filepath.Base(t.runs[n-1].path), runSuffix)
		last, err := strconv.ParseUint(digits, 16, 64)
		if err != nil {
			return nil, fmt.Errorf("the index of keys: %w", err)
		}
		next = last + 1
	}
	path := filepath.Join(t.dir, fmt.Sprintf("%016x%s", next, runSuffix))
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the index of keys: %w", err)
	}
	return &runWriter{path: path, file: f, id: rand.Uint32(), def: t.def, width: widthOf(t.def.Narrow), buf: make([]byte, 0, writeBuffer)}, nil
}

func (w *runWriter) add(e entry) error {
	if w.fill == 0 {
		w.fences = binary.BigEndian.AppendUint64(w.fences, e.hi)
	}
	w.buf = binary.BigEndian.AppendUint64(w.buf, e.hi)
	if !w.def.Narrow {
		w.buf = binary.BigEndian.AppendUint64(w.buf, e.lo)
	}
	w.buf = binary.LittleEndian.AppendUint32(w.buf, e.place)
	w.count++
	if w.fill += w.width; w.fill+w.width > blockData {
		return w.endBlock()
	}
	return nil
}

func (w *runWriter) endBlock() error {
	w.buf = append(w.buf, make([]byte, blockData-w.fill)...)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, checksum(w.id, w.blocks, w.buf[len(w.buf)-blockData:]))
	w.blocks, w.fill = w.blocks+1, 0
	if len(w.buf) == cap(w.buf) {
		return w.flush()
	}
	return nil
}

func (w *runWriter) flush() error {
	n, err := w.file.Write(w.buf)
	w.size += int64(n)
	w.buf = w.buf[:0]
	return err
}

// finish makes the run what its name says.
func (w *runWriter) finish(h head) error {
	if w.fill > 0 {
		if err := w.endBlock(); err != nil {
			return err
		}
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	end := trailer(w.id, w.def.mark(), w.count, len(text), len(w.fences))
	sum := crc32.Update(crc32.Update(crc32.Checksum(text, castagnoli), castagnoli, w.fences), castagnoli, end)
	for _, part := range [][]byte{text, w.fences, binary.LittleEndian.AppendUint32(end, sum)} {
		if _, err := w.file.Write(part); err != nil {
			return err
		}
	}
	if err := w.file.Close(); err != nil {
		return err
	}
	return os.Rename(w.path+".new", w.path)
}

// abandon removes what is written of a run.
func (w *runWriter) abandon() {
	w.file.Close()
	os.Remove(w.path + ".new") // or the next one to open the table does
}

// ended makes a written run one of the table's, in the place of others. An error
// leaves the table as it was.
func (t *Table) ended(w *runWriter, h head, others []*run, err error) error {
	for _, r := range others {
		h.Replaces = append(h.Replaces, filepath.Base(r.path))
	}
	if err == nil {
		err = w.finish(h)
	}
	if err != nil {
		w.abandon()
		return fmt.Errorf("the index of keys: %w", err)
	}
	made, err := openRun(w.path, t.def.mark(), t.def.Narrow)
	if err != nil {
		return fmt.Errorf("the index of keys: %w", err)
	}
	made.judge(t.live)
	t.runs = append(t.runs, made)
	t.remove(others)
	return nil
}
