package landing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	iceio "github.com/apache/iceberg-go/io"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/retain"
	"headwater/handlers/landing/storage"
)

// A table that is synced all day does not grow by what nobody reads any more.
func TestOldGenerationsGoAway(t *testing.T) {
	kv := kvtest.New()
	l := openLake(t, kv)
	clock := time.Now()
	l.now = func() time.Time { return clock }
	for i := range 40 {
		// Snapshots carry the real time, so the lake's clock runs ahead of it.
		clock = clock.Add(retain.Grace + time.Minute)
		w := begin(t, l, full(uint64(i+1), fmt.Sprint("syn_", i)))
		write(t, w, 0, 10)
		commit(t, w, nil, true)
	}
	wantIDs(t, l, span(0, 10))
	at, err := l.catalog.Load(t.Context(), kvcatalog.IdentifierOf(home, "public", "orders"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(at.Meta.Snapshots()); n != 2 {
		t.Errorf("%d snapshots, want the current and the one it replaced", n)
	}
	parts, metadata := files(t, l)
	if len(parts) > 3 || len(metadata) > 40 {
		t.Errorf("%d parts, %d metadata files", len(parts), len(metadata))
	}
}

// What a commit replaced is read for a while by who has begun, listed or not.
func TestReplacedGenerationStaysForAWhile(t *testing.T) {
	l := openLake(t, kvtest.New())
	var before []kvcatalog.Loaded
	for i := range 8 {
		w := begin(t, l, full(uint64(i+1), fmt.Sprint("syn_", i)))
		write(t, w, 0, int64(10+i))
		commit(t, w, nil, true)
		if _, _, err := l.sweeper().Sweep(t.Context(), w.ident, 0, nil); err != nil {
			t.Fatal(err)
		}
		before = append(before, w.base)
	}
	if n := len(before[7].Meta.Snapshots()); n > retain.Listed+2 {
		t.Errorf("%d snapshots are listed", n)
	}
	for i, at := range before {
		if n, err := scanned(t.Context(), l, at); err != nil || n != 10+i {
			t.Errorf("who reads generation %d sees %d rows, %v", i, n, err)
		}
	}
	if parts, _ := files(t, l); len(parts) != 8 {
		t.Errorf("%d parts, want 8", len(parts))
	}
	l.now = func() time.Time { return time.Now().Add(retain.Grace + time.Minute) }
	if _, _, err := l.sweeper().Sweep(t.Context(), before[7].Ident, 0, nil); err != nil {
		t.Fatal(err)
	}
	// Those that are listed stay until the next commit.
	if parts, metadata := files(t, l); len(parts) > retain.Listed+2 || len(metadata) > 30 {
		t.Errorf("after the grace %d parts and %d metadata files are left: %v", len(parts), len(metadata), metadata)
	}
}

// scanned reads a table as it was loaded.
func scanned(ctx context.Context, l *Lake, at kvcatalog.Loaded) (n int, err error) {
	_, batches, err := l.catalog.Open(at, l.files).Scan().ToArrowRecords(ctx)
	if err != nil {
		return 0, err
	}
	for rec, err := range batches {
		if err != nil {
			return n, err
		}
		n += int(rec.NumRows())
		rec.Release()
	}
	return n, nil
}

// A commit whose worker stood still between its files and the swap for so long
// that they were swept does not happen.
func TestSweptCommitConflicts(t *testing.T) {
	l := openLake(t, kvtest.New())
	first := begin(t, l, incremental(1, "syn_1"))
	write(t, first, 0, 10)
	stood := false
	l.catalog.Seam = func(step string) {
		if step != "manifests" || stood {
			return
		}
		stood = true
		l.now = func() time.Time { return time.Now().Add(retain.Grace + time.Minute) }
		if _, n, err := l.sweeper().Sweep(t.Context(), first.ident, 0, nil); err != nil || n < 2 {
			t.Errorf("the sweep removed %d files, %v", n, err)
		}
	}
	commit(t, first, behind(9), true)
	if !stood {
		t.Fatal("the commit did not stand still: the test shows nothing")
	}
	wantIDs(t, l, span(0, 10))
}

// A sweep removes what older fences left, and nothing else.
func TestSweepTakesOnlyGarbage(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, incremental(5, "syn_1"))
	write(t, w, 0, 10)
	commit(t, w, behind(9), false)
	folder, err := storage.LocalPath(l.catalog.Place(w.ident))
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * retain.Grace)
	put := func(name string, modified time.Time) {
		t.Helper()
		path := folder + "/" + name
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	put("data/00000000000000000004-syn_0-aaaa-00000.parquet", old)
	put("data/00000000000000000005-syn_1-aaaa-00000.parquet", old)
	put("data/00000000000000000007-syn_2-aaaa-00000.parquet", old)
	put("data/from-elsewhere.parquet", old)
	put("metadata/old.avro", old)
	put("metadata/new.avro", time.Now())
	w = begin(t, l, incremental(6, "syn_1"))
	parts, metadata := files(t, l)
	left := strings.Join(append(parts, metadata...), " ")
	for name, stays := range map[string]bool{
		"00000000000000000004-syn_0-aaaa-00000.parquet": false,
		"00000000000000000005-syn_1-aaaa-00000.parquet": false, // its fence is below 6 now
		"00000000000000000007-syn_2-aaaa-00000.parquet": true,  // of an attempt that comes
		"from-elsewhere.parquet":                        true,
		"old.avro":                                      false,
		"new.avro":                                      true,
	} {
		if strings.Contains(left, name) != stays {
			t.Errorf("%s stays: %v, want %v", name, !stays, stays)
		}
	}
	wantIDs(t, l, span(0, 10))
	write(t, w, 10, 20)
	commit(t, w, behind(19), true)
	wantIDs(t, l, span(0, 20))
}

// fullDisk is a disk on which nothing can be written once it is set.
type fullDisk struct {
	storage.Disk
	set atomic.Bool
}

var errFull = &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}

func (d *fullDisk) Create(name string) (iceio.FileWriter, error) {
	f, err := d.Disk.Create(name)
	if err != nil {
		return nil, err
	}
	return &fullFile{f, d}, nil
}

func (d *fullDisk) WriteFile(name string, content []byte) error {
	if d.set.Load() {
		return errFull
	}
	return d.Disk.WriteFile(name, content)
}

type fullFile struct {
	iceio.FileWriter
	on *fullDisk
}

func (f *fullFile) Write(p []byte) (int, error) {
	if f.on.set.Load() {
		return 0, errFull
	}
	return f.FileWriter.Write(p)
}

func TestDiskFull(t *testing.T) {
	for name, fill := range map[string]func(d *fullDisk, w *encoding){
		"while rows are written": func(d *fullDisk, w *encoding) { d.set.Store(true) },
		"at the commit": func(d *fullDisk, w *encoding) {
			w.lake.catalog.Seam = func(step string) { d.set.Store(step == "parts") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := openLake(t, kvtest.New())
			d := &fullDisk{}
			l.files, l.catalog.Files = d, d
			w := begin(t, l, incremental(1, "syn_1"))
			write(t, w, 0, 100)
			commit(t, w, behind(99), false)
			write(t, w, 100, 200)
			fill(d, w)
			_, err := w.Commit(t.Context(), behind(199), true)
			if !errors.Is(err, ErrStorage) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("a commit on a full disk: %v", err)
			}
			l.catalog.Seam = nil
			if err := w.Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantIDs(t, l, span(0, 100))
			d.set.Store(false)
			w = begin(t, l, incremental(2, "syn_1"))
			write(t, w, 100, 200)
			commit(t, w, behind(199), true)
			wantIDs(t, l, span(0, 200))
		})
	}
}

func TestLakeThatCannotBe(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		file:                            "storage failed",
		"gs://bucket/x":                 "must be a directory, file:// or s3://",
		"s3://":                         "names no bucket",
		"s3://key:secret@bucket":        "no credentials",
		"s3://bucket?secret_key=hunter": "unknown option",
	} {
		_, err := Open(t.Context(), url, kvtest.New(), nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

// On a full disk a maintenance ends with an error, and with nothing of its own left;
// the table is as it was, is read and synced again, and maintained once there is room.
func TestMaintenanceOnAFullDisk(t *testing.T) {
	for _, step := range []string{"", "rewritten", "deletes", "manifests"} {
		t.Run("from "+step, func(t *testing.T) {
			l := openLake(t, kvtest.New())
			d := &fullDisk{}
			l.files, l.catalog.Files = d, d
			want := map[int64][]int64{}
			for fence := uint64(1); fence <= 4; fence++ {
				mergeAccounts(t, l, fence, 1, 2, int64(10+fence))
				want[int64(10+fence)] = []int64{int64(fence)}
			}
			want[1], want[2] = []int64{4}, []int64{4}
			before, _ := filesOf(t, l, "accounts")
			if d.set.Store(step == ""); step != "" {
				l.catalog.Seam = func(at string) { d.set.Store(at == step || d.set.Load()) }
			}
			_, err := l.Maintain(t.Context(), home, "public", "accounts", true)
			if !errors.Is(err, ErrStorage) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("a maintenance on a full disk: %v", err)
			}
			l.catalog.Seam = nil
			wantAccounts(t, l, want)
			d.set.Store(false)
			if after, _ := filesOf(t, l, "accounts"); !slices.Equal(after, before) {
				t.Errorf("it leaves %v of %v", after, before)
			}
			mergeAccounts(t, l, 5, 1)
			want[1] = []int64{5}
			if done := maintain(t, l, "accounts", true); done.FilesAfter != 1 || done.DeletesAfter != 0 {
				t.Errorf("with room again: %+v", done)
			}
			wantAccounts(t, l, want)
			if left, err := orphans(t.Context(), l, "accounts"); err != nil || len(left) > 0 {
				t.Errorf("orphans %v, %v", left, err)
			}
		})
	}
}
