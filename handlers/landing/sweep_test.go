package landing

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	iceio "github.com/apache/iceberg-go/io"

	"headwater/bus/kv/kvtest"
)

// A table that is synced all day does not grow by what nobody reads any more.
func TestOldGenerationsGoAway(t *testing.T) {
	kv := kvtest.New()
	l := openLake(t, kv)
	clock := time.Now()
	l.now = func() time.Time { return clock }
	for i := range 40 {
		// Snapshots carry the real time, so the lake's clock runs ahead of it.
		clock = clock.Add(retention + time.Minute)
		w := begin(t, l, full(uint64(i+1), fmt.Sprint("syn_", i)))
		write(t, w, 0, 10)
		commit(t, w, nil, true)
	}
	wantIDs(t, l, span(0, 10))
	at, err := l.current(t.Context(), home, "public", "orders")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(at.meta.Snapshots()); n != 2 {
		t.Errorf("%d snapshots, want the current and the one it replaced", n)
	}
	parts, metadata := files(t, l)
	if len(parts) > 3 || len(metadata) > 40 {
		t.Errorf("%d parts, %d metadata files", len(parts), len(metadata))
	}
}

func TestReplacedGenerationStaysForAWhile(t *testing.T) {
	l := openLake(t, kvtest.New())
	for i := range 5 {
		w := begin(t, l, full(uint64(i+1), fmt.Sprint("syn_", i)))
		write(t, w, 0, 10)
		commit(t, w, nil, true)
	}
	at, err := l.current(t.Context(), home, "public", "orders")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(at.meta.Snapshots()); n != 5 {
		t.Errorf("%d snapshots of the last minute, want 5", n)
	}
	if parts, _ := files(t, l); len(parts) != 5 {
		t.Errorf("%d parts, want 5", len(parts))
	}
}

// A sweep removes what older fences left, and nothing else.
func TestSweepTakesOnlyGarbage(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, incremental(5, "syn_1"))
	write(t, w, 0, 10)
	commit(t, w, behind(9), false)
	folder, err := localPath(l.catalog.location(w.ident))
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * metadataGrace)
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
	disk
	set atomic.Bool
}

var errFull = &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}

func (d *fullDisk) Create(name string) (iceio.FileWriter, error) {
	f, err := d.disk.Create(name)
	if err != nil {
		return nil, err
	}
	return &fullFile{f, d}, nil
}

func (d *fullDisk) WriteFile(name string, content []byte) error {
	if d.set.Load() {
		return errFull
	}
	return d.disk.WriteFile(name, content)
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
			w.lake.catalog.seam = func(step string) { d.set.Store(step == "parts") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := openLake(t, kvtest.New())
			d := &fullDisk{}
			l.files, l.catalog.files = d, d
			w := begin(t, l, incremental(1, "syn_1"))
			write(t, w, 0, 100)
			commit(t, w, behind(99), false)
			write(t, w, 100, 200)
			fill(d, w)
			_, err := w.Commit(t.Context(), behind(199), true)
			if !errors.Is(err, ErrStorage) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("a commit on a full disk: %v", err)
			}
			l.catalog.seam = nil
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
