package landing

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/storage"
	"headwater/handlers/landing/tableschema"
)

// No folder of a table looks like a partition, whatever the names are, and no
// two tables share one.
func TestFoldersAreNoPartitions(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"id.v2", "id=2Ev2", "id~2Ev2", "year=2024", "a.b", "a", "", "_", "~", "=", strings.Repeat("ü", 300), "ns.x"} {
		for _, namespace := range []string{"", "public", "n=1", "~", strings.Repeat("ü", 300)} {
			a := home
			a.Organization, a.Workspace, a.Owner, a.Source = "acme.org", "w=1", "ada@example.org", "src.1"
			at := kvcatalog.Folders(kvcatalog.IdentifierOf(a, namespace, name))
			if likePartition(at) {
				t.Errorf("%q of %q lies in %s", name, namespace, at)
			}
			if other, taken := seen[at]; taken {
				t.Errorf("%q of %q and %s share %s", name, namespace, other, at)
			}
			seen[at] = name
		}
	}
}

// likePartition reports whether readers take a folder of the path for a column
// and its value.
func likePartition(path string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(part string) bool { return strings.Count(part, "=") == 1 })
}

// A table that an earlier version has made stays in its folder, grows there, is
// swept there, and goes with its source.
func TestFoldersOfEarlierVersions(t *testing.T) {
	l := openLake(t, kvtest.New())
	target := incremental(2, "syn_2")
	target.Address.Owner = "ada@example"
	ident := kvcatalog.IdentifierOf(target.Address, target.Table.Namespace, target.Table.Name)
	if err := l.catalog.CreateNamespace(t.Context(), catalog.NamespaceFromIdent(ident), nil); err != nil {
		t.Fatal(err)
	}
	former := l.root + "/" + kvcatalog.FormerFolders(ident)
	meta, err := table.NewMetadata(tableschema.Fresh(target.Table), iceberg.UnpartitionedSpec, table.UnsortedSortOrder, former, iceberg.Properties{"format-version": "2"})
	if err != nil {
		t.Fatal(err)
	}
	p := kvcatalog.Pointer{Fence: 1, UUID: meta.TableUUID().String()}
	if p.Location, err = l.catalog.WriteMetadata(l.files, meta, ""); err != nil {
		t.Fatal(err)
	}
	value, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.kv.Create(t.Context(), kvcatalog.TableKey(ident), value, 0); err != nil {
		t.Fatal(err)
	}

	abandoned, err := l.Begin(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	left := rows(0, 3)
	defer left.Release()
	if _, err := made(t.Context(), abandoned, left); err != nil { // and its worker dies
		t.Fatal(err)
	}
	target.Fence = 3
	w := begin(t, l, target)
	write(t, w, 0, 5)
	commit(t, w, behind(4), true)
	other := target
	other.Table.Name = "returns"
	v := begin(t, l, other)
	write(t, v, 0, 7)
	commit(t, v, behind(6), true)

	parts := 0
	found, err := storage.List(l.files, l.root)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if inFormer := strings.HasPrefix(f.Name, former+"/"); inFormer != strings.Contains(f.Name, "orders") || !inFormer && likePartition(f.Name) {
			t.Errorf("%s is not where it belongs", f.Name)
		} else if inFormer && strings.HasSuffix(f.Name, ".parquet") {
			parts++
		}
	}
	if parts != 1 {
		t.Errorf("%d parts are left in the table's folder", parts)
	}
	for name, want := range map[string]int64{"orders": 5, "returns": 7} {
		if n, err := l.Count(t.Context(), target.Address, "public", name); n != want || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if _, err := l.Drop(t.Context(), target.Address); err != nil {
		t.Fatal(err)
	}
	if found, err := storage.List(l.files, l.root); err != nil || len(found) != 0 {
		t.Errorf("after the drop: %v, %v", found, err)
	}
}
