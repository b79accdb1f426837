package landing

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	iceio "github.com/apache/iceberg-go/io"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/manifest"
	"headwater/handlers/landing/ownership"
	"headwater/handlers/landing/parts"
	"headwater/handlers/landing/retain"
	"headwater/handlers/landing/sweep"
	"headwater/handlers/landing/upkeep"
)

// memoryStore is a lake in memory whose files are as old as the clock says.
type memoryStore struct {
	mu    sync.Mutex
	files map[string]*memoryFile
}

type memoryFile struct {
	content  []byte
	modified time.Time
}

func (m *memoryStore) Open(name string) (iceio.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	opened, err := fstest.MapFS{path.Base(name): {Data: f.content}}.Open(path.Base(name))
	if err != nil {
		return nil, err
	}
	return opened.(iceio.File), nil
}

func (m *memoryStore) WriteFile(name string, content []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] != nil {
		return &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	m.files[name] = &memoryFile{bytes.Clone(content), time.Now()}
	return nil
}

type memoryWriter struct {
	bytes.Buffer
	close func([]byte) error
}

func (w *memoryWriter) Close() error { return w.close(w.Bytes()) }

func (m *memoryStore) Create(name string) (iceio.FileWriter, error) {
	return &memoryWriter{close: func(content []byte) error { return m.WriteFile(name, content) }}, nil
}

func (m *memoryStore) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] == nil {
		return fs.ErrNotExist
	}
	delete(m.files, name)
	return nil
}

func (m *memoryStore) WalkDir(root string, fn fs.WalkDirFunc) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var failed []error
	for name, f := range m.files {
		if strings.HasPrefix(name, root+"/") {
			failed = append(failed, fn(name, memoryEntry{name, f}, nil))
		}
	}
	return errors.Join(failed...)
}

type memoryEntry struct {
	name string
	f    *memoryFile
}

func (e memoryEntry) Name() string               { return path.Base(e.name) }
func (e memoryEntry) IsDir() bool                { return false }
func (e memoryEntry) Type() fs.FileMode          { return 0 }
func (e memoryEntry) Info() (fs.FileInfo, error) { return e, nil }
func (e memoryEntry) Size() int64                { return int64(len(e.f.content)) }
func (e memoryEntry) Mode() fs.FileMode          { return 0 }
func (e memoryEntry) ModTime() time.Time         { return e.f.modified }
func (e memoryEntry) Sys() any                   { return nil }

// weigh returns how many bytes of metadata there are, and how many files.
func (m *memoryStore) weigh() (size int64, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, f := range m.files {
		if sweep.IsMetadata(path.Base(name)) {
			size, n = size+int64(len(f.content)), n+1
		}
	}
	return size, n
}

func memoryLake() (*Lake, *memoryStore) {
	files, keys, log := &memoryStore{files: map[string]*memoryFile{}}, kvtest.New(), slog.New(slog.DiscardHandler)
	catalog := kvcatalog.New(keys, files, "mem://lake")
	return &Lake{
		Owner: ownership.New(keys, catalog, "mem://lake", nil, log), catalog: catalog, kv: keys, files: files, root: "mem://lake",
		log: log, now: time.Now, passKeys: passKeys, patience: upkeep.Patience,
		close: func() error { return nil },
	}, files
}

// An hour of a commit a second: the metadata stays small, each commit costs what
// the first ones did, and who began to read comes to the end within the grace.
func TestCommitsCostTheSame(t *testing.T) {
	commits, every := 3600, time.Second
	if testing.Short() {
		commits, every = 220, 5*time.Second // a little longer than what is kept
	}
	content, p := onePart(t)
	synctest.Test(t, func(t *testing.T) {
		l, store := memoryLake()
		type readBy struct {
			kvcatalog.Loaded
			rows int
			at   time.Time
		}
		var readers []readBy
		var spent []int64
		for i := range commits {
			time.Sleep(every)
			before := allocated()
			w := begin(t, l, incremental(uint64(i+1), fmt.Sprint("syn_", i)))
			p.Name = w.NextName()
			if err := errors.Join(store.WriteFile(p.Name, content), w.Add(p)); err != nil {
				t.Fatal(err)
			}
			commit(t, w, behind(int64(i)), true)
			spent = append(spent, allocated()-before)
			rows := (i + 1) * int(p.Rows)
			if size, n := store.weigh(); size > 20e6/int64(every/time.Second) {
				t.Fatalf("after %d commits %d bytes of metadata in %d files", i, size, n)
			}
			if n := len(w.base.Meta.Snapshots()); n > retain.Listed {
				t.Fatalf("%d snapshots are listed", n)
			}
			if i%20 == 10 {
				readers = append(readers, readBy{w.base, rows, time.Now()})
			}
			for len(readers) > 0 && time.Since(readers[0].at) >= retain.Grace-every {
				r := readers[0]
				if files, _, err := manifest.DataFiles(l.files, r.Meta.CurrentSnapshot()); err != nil || len(files)*int(p.Rows) != r.rows {
					t.Fatalf("who began %s ago sees %d files, want %d rows: %v", time.Since(r.at), len(files), r.rows, err)
				}
				then, err := l.Metadata(t.Context(), home, "public", "orders", r.at)
				if err != nil || then.Metadata != r.Pointer.Location {
					t.Fatalf("as of %s ago it was %s, want %s: %v", time.Since(r.at), then.Metadata, r.Pointer.Location, err)
				}
				readers = readers[1:]
			}
		}
		if n, err := l.Count(t.Context(), home, "public", "orders"); err != nil || n != int64(commits)*p.Rows {
			t.Errorf("%d rows, want %d: %v", n, int64(commits)*p.Rows, err)
		}
		if _, err := l.Metadata(t.Context(), home, "public", "orders", time.Now().Add(-retain.Grace-2*every)); !errors.Is(err, ErrExpired) {
			t.Errorf("as of before the grace: %v", err)
		}
		early, last := slices.Sorted(slices.Values(spent[20:70]))[25], slices.Sorted(slices.Values(spent[commits-50:]))[25]
		size, n := store.weigh()
		t.Logf("%d commits: %d bytes of metadata in %d files; a commit allocates %d bytes, the first ones %d", commits, size, n, last, early)
		if last > early*3/2 {
			t.Errorf("a commit allocates %d bytes, and the first ones %d", last, early)
		}
	})
}

// onePart returns a file of rows and what is said of it.
func onePart(t testing.TB) ([]byte, parts.Part) {
	t.Helper()
	l, store := memoryLake()
	w, err := l.Begin(t.Context(), incremental(1, "syn_0"))
	if err != nil {
		t.Fatal(err)
	}
	rec := rows(0, 10)
	defer rec.Release()
	done, err := made(t.Context(), w, rec)
	if err != nil {
		t.Fatal(err)
	}
	return store.files[done[0].Name].content, done[0]
}

// What a merge leaves for the grace is little, too: it has deletes besides.
func TestMergesLeaveLittleMetadata(t *testing.T) {
	l, store := memoryLake()
	const merges = 60
	for i := range int64(merges) {
		w := begin(t, l, mergedOrders(uint64(i+1), fmt.Sprint("syn_", i)))
		write(t, w, 8*i, 8*i+10)
		commit(t, w, behind(8*i+9), true)
	}
	wantIDs(t, l, span(0, 8*merges+2))
	size, n := store.weigh()
	t.Logf("%d merges: %d bytes of metadata in %d files", merges, size, n)
	if kept := int64((retain.Grace + retain.Every) / time.Second); size/merges*kept > 20e6 {
		t.Errorf("a merge leaves %d bytes of metadata, which at one a second are %d", size/merges, size/merges*kept)
	}
}

func allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}
