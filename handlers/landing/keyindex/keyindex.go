// Package keyindex keeps, on the disk of one node, where the keys of a table's rows
// are: in which immutable file, in which row of it. What it keeps is derived from
// those files alone, so it cannot disagree with the table; whatever of it is missing
// or damaged is made again.
package keyindex

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// unusedFor is how long what nobody asks for is kept.
const unusedFor = 30 * 24 * time.Hour

var (
	// ErrRoom means that there is no room for an index.
	ErrRoom = errors.New("no room for an index of keys")
	// ErrDamaged means that an index does not hold what was written. It is away then.
	ErrDamaged = errors.New("an index of keys is damaged")
)

// Index is a folder of tables. It is safe for concurrent use; a folder belongs to
// one process.
type Index struct {
	dir   string
	limit int64
	free  func(dir string) int64 // bytes, what others may take

	mu     sync.Mutex
	tables map[string]*held // by the names of their folders
}

// held is what is known of a table that nobody has open, or of one that is.
type held struct {
	size int64
	used time.Time
	open bool
}

// Open opens the index in a folder, which it makes. It takes at most limit bytes of
// the disk, and at most a quarter of what nothing else takes. Tables that nobody
// asked for in a month go away. It returns an error when the folder cannot be read.
func Open(dir string, limit int64) (*Index, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the index of keys: %w", err)
	}
	x := &Index{dir: dir, limit: limit, free: freeOf, tables: map[string]*held{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("the index of keys: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue
		}
		if path := filepath.Join(dir, e.Name()); !e.IsDir() || time.Since(info.ModTime()) > unusedFor {
			os.RemoveAll(path) // what stays is listed the next time
			continue
		}
		x.tables[e.Name()] = &held{size: sizeOf(filepath.Join(dir, e.Name())), used: info.ModTime()}
	}
	return x, nil
}

func sizeOf(dir string) (size int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			size += info.Size()
		}
	}
	return size
}

// Definition says what the keys of a table are. What was indexed by another one is
// made again.
type Definition struct {
	Table  string // its name, which is that of no other table at the same time
	Kind   string // of keys: a table may have several
	Keys   string // how keys are made of values, and of which table of that name
	Narrow bool   // the second half of every key is zero
}

func (d Definition) folder() string {
	sum := sha256.Sum256([]byte(d.Table + "\x00" + d.Kind))
	return hex.EncodeToString(sum[:12])
}

func (d Definition) mark() (mark [16]byte) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s\x00%v", version, d.Keys, d.Narrow))
	copy(mark[:], sum[:])
	return mark
}

// Table opens what is kept of a table. live are all the files that the table has
// now: runs of others alone go away. It returns false when somebody else has the
// table open, or when it cannot be read. The caller closes it.
func (x *Index) Table(d Definition, live []File) (*Table, bool) {
	name := d.folder()
	x.mu.Lock()
	h := x.tables[name]
	if h == nil {
		h = &held{}
		x.tables[name] = h
	}
	if h.open {
		x.mu.Unlock()
		return nil, false
	}
	h.open, h.used = true, time.Now()
	x.mu.Unlock()
	t := &Table{index: x, held: h, dir: filepath.Join(x.dir, name), def: d}
	err := os.MkdirAll(t.dir, 0o700)
	if err == nil {
		_ = os.Chtimes(t.dir, h.used, h.used) // or it goes away earlier
		err = t.load(live)
	}
	if err != nil {
		t.Close()
		return nil, false
	}
	return t, true
}

// Drop removes what is kept of a table. One that is open is left alone.
func (x *Index) Drop(table string, kinds ...string) {
	for _, kind := range kinds {
		x.drop(Definition{Table: table, Kind: kind}.folder())
	}
}

// Keep removes what is kept of other tables than these. One that is open is left
// alone.
func (x *Index) Keep(tables []string, kinds ...string) {
	known := make(map[string]bool, len(tables)*len(kinds))
	for _, table := range tables {
		for _, kind := range kinds {
			known[Definition{Table: table, Kind: kind}.folder()] = true
		}
	}
	x.mu.Lock()
	names := slices.Collect(maps.Keys(x.tables))
	x.mu.Unlock()
	for _, name := range names {
		if !known[name] {
			x.drop(name)
		}
	}
}

func (x *Index) drop(name string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.tables[name]
	if h == nil || h.open {
		return false
	}
	delete(x.tables, name)
	return os.RemoveAll(filepath.Join(x.dir, name)) == nil
}

// reserve makes room for so many bytes of a table, in the place of tables that
// were asked for the longest time ago. It returns ErrRoom when there is not enough.
func (x *Index) reserve(need int64) error {
	for {
		x.mu.Lock()
		used, oldest := int64(0), ""
		for name, h := range x.tables {
			if used += h.size; !h.open && h.size > 0 && (oldest == "" || cmp.Compare(h.used.UnixNano(), x.tables[oldest].used.UnixNano()) < 0) {
				oldest = name
			}
		}
		x.mu.Unlock()
		if free := x.free(x.dir); used+need <= min(x.limit, (used+free)/4) {
			return nil
		}
		if oldest == "" || !x.drop(oldest) {
			return ErrRoom
		}
	}
}

// File is an immutable file of a table. Name, rows and size together are those of
// no other file.
type File struct {
	Name string
	Rows int64
	Size int64
}

// Table is what is kept of one table. It is not safe for concurrent use.
type Table struct {
	index *Index
	held  *held
	dir   string
	def   Definition
	live  map[string]File
	runs  []*run // the oldest first
}

// load opens the runs that there are.
func (t *Table) load(live []File) error {
	t.live = make(map[string]File, len(live))
	for _, f := range live {
		t.live[f.Name] = f
	}
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return err
	}
	size, replaced := int64(0), map[string]bool{}
	for _, e := range slices.Backward(entries) { // the newest first
		path := filepath.Join(t.dir, e.Name())
		r, err := openRun(path, t.def.mark(), t.def.Narrow)
		if err == nil {
			r.judge(t.live)
			if replaced[e.Name()] || r.lives == 0 {
				r.close()
				err = ErrDamaged
			}
		}
		if err != nil {
			os.Remove(path) // or the next one does
			continue
		}
		for _, name := range r.head.Replaces {
			replaced[name] = true
		}
		size += r.size
		t.runs = append([]*run{r}, t.runs...)
	}
	t.setSize(size)
	return nil
}

func (t *Table) setSize(size int64) {
	t.index.mu.Lock()
	defer t.index.mu.Unlock()
	t.held.size = size
}

// Covers reports whether every row of a live file is in the index.
func (t *Table) Covers(f File) bool {
	var spans []span
	for _, r := range t.runs {
		for i, s := range r.head.Spans {
			if r.live[i] && s.File == f {
				spans = append(spans, s)
			}
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.From, b.From) })
	upTo := int64(0)
	for _, s := range spans {
		if s.From > upTo {
			return false
		}
		upTo = max(upTo, s.To)
	}
	return upTo == f.Rows && (f.Rows > 0 || len(spans) > 0)
}

// Discard removes all that is kept of the table, and closes it.
func (t *Table) Discard() {
	t.close()
	os.RemoveAll(t.dir) // what stays is judged again
	t.setSize(0)
	t.release()
}

// Close lets go of the table. It is safe to call twice.
func (t *Table) Close() {
	t.close()
	t.release()
}

func (t *Table) close() {
	for _, r := range t.runs {
		r.close()
	}
	t.runs = nil
}

func (t *Table) release() {
	if t.held == nil {
		return
	}
	t.index.mu.Lock()
	t.held.open = false
	t.index.mu.Unlock()
	t.held = nil
}

// remove takes runs away.
func (t *Table) remove(gone []*run) {
	for _, r := range gone {
		r.close()
		if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue // it is replaced, or judged again
		}
	}
	t.runs = slices.DeleteFunc(t.runs, func(r *run) bool { return slices.Contains(gone, r) })
	t.measure()
}

func (t *Table) measure() {
	size := int64(0)
	for _, r := range t.runs {
		size += r.size
	}
	t.setSize(size)
}
