package landing

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/datafiles"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/manifest"
	"headwater/handlers/landing/ownership"
	"headwater/handlers/landing/storage"
)

// fillLake lands two tables: one that was merged into, so that it has position
// deletes, and one of plain rows.
func fillLake(t *testing.T, l *Lake) {
	t.Helper()
	w := begin(t, l, merging(1, "syn_1"))
	put(t, w, account{1, 1, false}, account{2, 1, false}, account{3, 1, false})
	commit(t, w, version(1), true)
	w = begin(t, l, merging(2, "syn_2"))
	put(t, w, account{2, 2, false}, account{3, 2, true}, account{4, 2, false})
	commit(t, w, version(2), true)
	wantAccounts(t, l, map[int64][]int64{1: {1}, 2: {2}, 4: {2}})
	o := begin(t, l, incremental(1, "syn_1"))
	write(t, o, 0, 10)
	commit(t, o, behind(9), true)
}

func owned(t *testing.T, l *Lake, home string) {
	t.Helper()
	if err := l.Own(t.Context(), home); err != nil {
		t.Fatal(err)
	}
}

func wantForeign(t *testing.T, err error, words ...string) {
	t.Helper()
	var foreign *ForeignLakeError
	if !errors.As(err, &foreign) {
		t.Fatalf("%v, want a foreign lake", err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

// A folder that was moved is not written until its files say where they lie now;
// then any reader reads it there, and syncs go on.
func TestRelocateAMovedFolder(t *testing.T) {
	dir, kv := t.TempDir(), kvtest.New()
	l := openLakeAt(t, filepath.Join(dir, "old"), kv)
	owned(t, l, "/data")
	fillLake(t, l)
	if err := os.Rename(filepath.Join(dir, "old"), filepath.Join(dir, "new")); err != nil {
		t.Fatal(err)
	}
	moved := openLakeAt(t, filepath.Join(dir, "new"), kv)
	wantForeign(t, moved.Own(t.Context(), "/data"), "old", "new", "headwater relocate")

	done, err := moved.Relocate(t.Context(), "/data", "")
	if want := (ownership.Relocated{Tables: 2}); err != nil || done != want {
		t.Fatalf("%+v, %v; want %+v", done, err, want)
	}
	owned(t, moved, "/data")
	wantAllBelow(t, moved)
	wantAccounts(t, moved, map[int64][]int64{1: {1}, 2: {2}, 4: {2}})
	wantIDs(t, moved, span(0, 10))
	w := begin(t, moved, merging(3, "syn_3"))
	if at := w.Cursor(); at.Value == nil || *at.Value != "2" {
		t.Errorf("the cursor after the move is %+v", at)
	}
	put(t, w, account{1, 3, true}, account{2, 3, false})
	commit(t, w, version(3), true)
	wantAccounts(t, moved, map[int64][]int64{2: {3}, 4: {2}})

	again, err := moved.Relocate(t.Context(), "/data", "")
	if want := (ownership.Relocated{Already: 2}); err != nil || again != want {
		t.Errorf("a second time: %+v, %v; want %+v", again, err, want)
	}
}

// wantAllBelow fails when anything that a table's metadata names is not in the
// lake.
func wantAllBelow(t *testing.T, l *Lake) {
	t.Helper()
	idents, err := l.catalog.Identifiers(t.Context(), "table.", nil)
	if err != nil || len(idents) == 0 {
		t.Fatalf("%d tables, %v", len(idents), err)
	}
	for _, ident := range idents {
		at, err := l.catalog.Load(t.Context(), ident)
		if err != nil {
			t.Fatal(err)
		}
		names := []string{at.Pointer.Location, at.Meta.Location()}
		for _, s := range at.Meta.Snapshots() {
			names = append(names, s.ManifestList)
			rows, deletes, err := manifest.DataFiles(l.files, &s)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range slices.Concat(rows, deletes) {
				names = append(names, f.FilePath())
			}
			gone, err := datafiles.GoneRows(t.Context(), l.files, deletes)
			if err != nil {
				t.Fatal(err)
			}
			for name := range gone {
				names = append(names, name)
			}
		}
		for _, name := range names {
			if !storage.Below(name, l.root) {
				t.Errorf("%s is named by %v and does not lie in %s", name, ident, l.root)
			}
		}
	}
}

func namesIn(t *testing.T, dir, suffix string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, suffix) {
			return err
		}
		content, err := os.ReadFile(name)
		found[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A new place that has none of the files gets copies, and the former one stays
// as it is.
func TestRelocateCopies(t *testing.T) {
	dir, kv := t.TempDir(), kvtest.New()
	l := openLakeAt(t, filepath.Join(dir, "old"), kv)
	owned(t, l, "")
	fillLake(t, l)
	before := namesIn(t, filepath.Join(dir, "old"), "")
	elsewhere := openLakeAt(t, filepath.Join(dir, "new"), kv)
	done, err := elsewhere.Relocate(t.Context(), "", "")
	if err != nil || done.Tables != 2 || done.Copied == 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	if diff := cmp.Diff(before, namesIn(t, filepath.Join(dir, "old"), "")); diff != "" {
		t.Errorf("the former lake changed: %s", diff)
	}
	if err := os.RemoveAll(filepath.Join(dir, "old")); err != nil {
		t.Fatal(err)
	}
	wantAccounts(t, elsewhere, map[int64][]int64{1: {1}, 2: {2}, 4: {2}})
	wantIDs(t, elsewhere, span(0, 10))

	// Files that are nowhere are named, and nothing is lost by it.
	lost := openLakeAt(t, filepath.Join(dir, "third"), kv)
	for name := range namesIn(t, filepath.Join(dir, "new"), ".parquet") {
		if strings.Contains(name, "orders") {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err = lost.Relocate(t.Context(), "", "")
	wantForeign(t, err, "orders", "is neither there nor at")
}

// A table that was refreshed whole has a manifest of nothing but files that went
// away. It moves as others do, with the tables after it, and is refreshed again.
func TestRelocateARefreshedTable(t *testing.T) {
	dir, kv := t.TempDir(), kvtest.New()
	l := openLakeAt(t, filepath.Join(dir, "old"), kv)
	refresh := func(l *Lake, fence uint64, to int64) {
		t.Helper()
		w := begin(t, l, full(fence, fmt.Sprint("syn_", fence)))
		write(t, w, 0, to)
		commit(t, w, nil, true)
	}
	refresh(l, 1, 10)
	refresh(l, 2, 20)
	if err := os.Rename(filepath.Join(dir, "old"), filepath.Join(dir, "new")); err != nil {
		t.Fatal(err)
	}
	moved := openLakeAt(t, filepath.Join(dir, "new"), kv)
	if done, err := moved.Relocate(t.Context(), "/data", ""); err != nil || done.Tables != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	wantAllBelow(t, moved)
	wantIDs(t, moved, span(0, 20))
	refresh(moved, 3, 5)
	wantIDs(t, moved, span(0, 5))
}

// A data directory that was copied does not write to its original's lake, and
// once it has a lake of its own, neither touches the other's.
func TestACopyLeavesItsOriginalAlone(t *testing.T) {
	dir, kv := t.TempDir(), kvtest.New()
	original := openLakeAt(t, filepath.Join(dir, "lake"), kv)
	owned(t, original, "/data")
	fillLake(t, original)
	copied := openLakeAt(t, filepath.Join(dir, "lake"), kv.Clone())
	wantForeign(t, copied.Own(t.Context(), "/copy"), "/data", "/copy", "moved or copied")

	if err := os.CopyFS(filepath.Join(dir, "lake2"), os.DirFS(filepath.Join(dir, "lake"))); err != nil {
		t.Fatal(err)
	}
	own := openLakeAt(t, filepath.Join(dir, "lake2"), copied.kv)
	if _, err := own.Relocate(t.Context(), "/copy", ""); err != nil {
		t.Fatal(err)
	}
	owned(t, own, "/copy")
	w := begin(t, own, merging(3, "syn_3"))
	put(t, w, account{1, 3, true})
	commit(t, w, version(3), true)
	wantAccounts(t, own, map[int64][]int64{2: {2}, 4: {2}})
	wantAccounts(t, original, map[int64][]int64{1: {1}, 2: {2}, 4: {2}})
	owned(t, original, "/data")

	// Taken over in its own place, the lake is no more the original's.
	if _, err := copied.Relocate(t.Context(), "/copy", ""); err != nil {
		t.Fatal(err)
	}
	wantForeign(t, original.Own(t.Context(), "/data"), "another instance", "/copy")
	wantForeign(t, original.Owned(t.Context()), "another instance")
	if _, _, err := original.sweeper().Sweep(t.Context(), kvcatalog.IdentifierOf(home, "public", "orders"), 0, nil); err == nil {
		t.Error("a lake of another instance was swept")
	}
	_, err := original.Drop(t.Context(), home)
	wantForeign(t, err, "another instance")
	wantIDs(t, copied, span(0, 10))
}

// Two instances that start on one empty place: one has it, the other is told.
func TestOneOwner(t *testing.T) {
	dir := t.TempDir()
	first, second := openLakeAt(t, dir, kvtest.New()), openLakeAt(t, dir, kvtest.New())
	owned(t, first, "/one")
	owned(t, first, "/one")
	wantForeign(t, second.Own(t.Context(), "/two"), "/one", "--lake")

	// A lake that lost its marker gets it again; one that lost its tables is not
	// taken for an empty one.
	fillLake(t, first)
	if err := os.Remove(filepath.Join(dir, ownership.MarkerName)); err != nil {
		t.Fatal(err)
	}
	owned(t, first, "/one")
	found, err := os.ReadDir(dir)
	if err != nil || !slices.ContainsFunc(found, func(e os.DirEntry) bool { return e.Name() == ownership.MarkerName }) {
		t.Fatalf("no marker in %v, %v", found, err)
	}
	for _, e := range found {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	wantForeign(t, first.Own(t.Context(), "/one"), "none of the 2 tables", "mount")
}

// BenchmarkRelocate moves a table of two snapshots a time.
func BenchmarkRelocate(b *testing.B) {
	dir, kv := b.TempDir(), kvtest.New()
	l, err := Open(b.Context(), filepath.Join(dir, "old"), kv, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for i := range b.N {
		for fence := range uint64(2) {
			target := full(fence+1, fmt.Sprint("syn_", fence))
			target.Table.Name = fmt.Sprint("orders_", i)
			w, err := l.Begin(b.Context(), target)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := w.Commit(b.Context(), nil, true); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := os.Rename(filepath.Join(dir, "old"), filepath.Join(dir, "new")); err != nil {
		b.Fatal(err)
	}
	moved, err := Open(b.Context(), filepath.Join(dir, "new"), kv, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer moved.Close()
	b.ResetTimer()
	if done, err := moved.Relocate(b.Context(), "", ""); err != nil || done.Tables != b.N {
		b.Fatalf("%+v, %v", done, err)
	}
}
