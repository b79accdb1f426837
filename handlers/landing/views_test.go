package landing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/manifest"
	"headwater/handlers/landing/views"
)

// stranger is a file system that knows the lake's files by other names alone.
type stranger struct {
	views *views.Views
	lens  map[string]int64
	mu    *sync.Mutex // of lens: a scan opens files at once
}

const strange = "s3://elsewhere"

type strangeFile struct {
	*bytes.Reader
	info fs.FileInfo
}

func (f strangeFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (strangeFile) Close() error                 { return nil }

type strangeInfo struct {
	fs.FileInfo
	size int64
}

func (i strangeInfo) Size() int64 { return i.size }

func (s stranger) Open(name string) (iceio.File, error) {
	key, ok := strings.CutPrefix(name, strange+"/")
	if !ok {
		return nil, fmt.Errorf("the lake's own name is shown: %s", name)
	}
	f, err := s.views.Open(context.Background(), key)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil || int64(len(content)) != f.Size {
		return nil, fmt.Errorf("%s has %d of %d bytes: %w", key, len(content), f.Size, err)
	}
	s.mu.Lock()
	s.lens[name] = f.Size
	s.mu.Unlock()
	return strangeFile{bytes.NewReader(content), strangeInfo{size: f.Size}}, nil
}

func (stranger) Remove(string) error { return errors.ErrUnsupported }

// TestViews reads a table that was merged and deleted from by iceberg-go, by the
// names that its files have in their views, and holds every size that a file says
// of another against that file.
func TestViews(t *testing.T) {
	l := openLake(t, kvtest.New())
	for i := range 6 {
		w := begin(t, l, merging(uint64(i+1), fmt.Sprint("syn_", i)))
		var all []account
		for id := range int64(200) {
			if i == 0 || id%7 == int64(i) {
				all = append(all, account{id: id, version: int64(i)*1000 + id, gone: i > 0 && id%35 == int64(i)})
			}
		}
		put(t, w, all...)
		commit(t, w, version(int64(i)*1000+200), true)
	}
	v := l.Views(strange)
	now, err := l.Metadata(t.Context(), home, "public", "accounts", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	see := stranger{v, map[string]int64{}, &sync.Mutex{}}
	tbl, err := table.NewFromLocation(t.Context(), table.Identifier{"shop", "accounts"}, v.Named(now.Place.Metadata), func(context.Context) (iceio.IO, error) { return see, nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(tbl.Location(), strange+"/acme/") || len(tbl.Metadata().Snapshots()) < 2 {
		t.Errorf("the table lies at %s with %d snapshots", tbl.Location(), len(tbl.Metadata().Snapshots()))
	}
	got, want := idsOf(t, tbl), idsOf(t, ownTable(t, l))
	if len(want) != 170 || !slices.Equal(got, want) {
		t.Errorf("%d rows are shown, want %d of 170", len(got), len(want))
	}
	sized := 0
	for _, s := range tbl.Metadata().Snapshots() {
		manifests, err := s.Manifests(see)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range manifests {
			for e, err := range m.Entries(see, true) {
				if err != nil {
					t.Fatal(err)
				}
				d := e.DataFile()
				if _, err := see.Open(d.FilePath()); err != nil {
					t.Fatal(err)
				}
				if d.FileSizeBytes() != see.lens[d.FilePath()] {
					t.Errorf("%s has %d bytes, its manifest says %d", d.FilePath(), see.lens[d.FilePath()], d.FileSizeBytes())
				}
				if d.ContentType() == iceberg.EntryContentPosDeletes {
					for _, bound := range []map[int][]byte{d.LowerBoundValues(), d.UpperBoundValues()} {
						if name := string(bound[2147483546]); !strings.HasPrefix(name, strange+"/") {
							t.Errorf("the bound of names in %s is %q", d.FilePath(), name)
						}
					}
					sized++
				}
			}
			if m.Length() != see.lens[m.FilePath()] {
				t.Errorf("%s has %d bytes, its list says %d", m.FilePath(), see.lens[m.FilePath()], m.Length())
			}
		}
	}
	if sized == 0 {
		t.Error("no position deletes were read")
	}
	// Made again, a view is the same: what another node has told of it stays true.
	for name := range see.lens {
		first, again := shownBytes(t, v, name), shownBytes(t, l.Views(strange), name)
		if !bytes.Equal(first, again) {
			t.Errorf("%s is shown in two ways", name)
		}
	}
	folder, _ := v.Key(now.Location)
	keys, err := v.List(t.Context(), folder)
	if err != nil || len(keys) < len(see.lens) {
		t.Errorf("%d files are listed, %d were read: %v", len(keys), len(see.lens), err)
	}
	for _, key := range []string{"", "x", folder, folder + "/metadata", "../" + folder + "/data/x.parquet", folder + "/../x.parquet", folder + "/metadata/a.staged.json", folder + "//x.avro", folder + "/%2e%2e/x.avro", folder + "/data/none.parquet"} {
		if _, err := v.Open(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v, want that it is not there", key, err)
		}
	}
}

func shownBytes(t *testing.T, v *views.Views, name string) []byte {
	t.Helper()
	f, err := v.Open(t.Context(), strings.TrimPrefix(name, strange+"/"))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return content
}

func ownTable(t *testing.T, l *Lake) *table.Table {
	t.Helper()
	tbl, err := l.catalog.LoadTable(t.Context(), kvcatalog.IdentifierOf(home, "public", "accounts"))
	if err != nil {
		t.Fatal(err)
	}
	return tbl
}

func idsOf(t *testing.T, tbl *table.Table) (found []int64) {
	t.Helper()
	_, batches, err := tbl.Scan().ToArrowRecords(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for rec, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, rec.Column(rec.Schema().FieldIndices("id")[0]).(*array.Int64).Int64Values()...)
	}
	slices.Sort(found)
	return found
}

// TestViewsOfADamagedLake deletes what files name by hand: what is left tells so,
// and names the file.
func TestViewsOfADamagedLake(t *testing.T) {
	l := openLake(t, kvtest.New())
	for i := range 2 {
		w := begin(t, l, merging(uint64(i+1), fmt.Sprint("syn_", i)))
		put(t, w, account{id: 1, version: int64(i + 1)}, account{id: int64(i + 2), version: int64(i + 1)})
		commit(t, w, version(int64(i+1)), true)
	}
	at := ownTable(t, l)
	_, deletes, err := manifest.DataFiles(l.files, at.CurrentSnapshot())
	if err != nil || len(deletes) != 1 {
		t.Fatalf("%d files of deletes, %v", len(deletes), err)
	}
	if err := l.files.Remove(deletes[0].FilePath()); err != nil {
		t.Fatal(err)
	}
	v := l.Views(strange)
	key, _ := v.Key(at.CurrentSnapshot().ManifestList)
	if _, err := v.Open(t.Context(), key); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(fmt.Sprint(err), "gone from the lake") {
		t.Errorf("a list of manifests whose deletes are gone: %v", err)
	}
	if err := l.files.WriteFile(strings.Replace(deletes[0].FilePath(), "data/", "data/x", 1), []byte("PAR1 no footer PAR1")); err != nil {
		t.Fatal(err)
	}
	key, _ = v.Key(strings.Replace(deletes[0].FilePath(), "data/", "data/x", 1))
	if _, err := v.Open(t.Context(), key); !errors.Is(err, views.ErrDamaged) {
		t.Errorf("a file that is no Parquet: %v", err)
	}
}
