package landing

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
	"headwater/handlers/landing/keyindex"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/manifest"
	"headwater/handlers/landing/storage"
)

// alwaysIndexed has a lake look up the keys of every merge that it can, and returns
// the folder of the index.
func alwaysIndexed(t testing.TB, l *Lake) string {
	t.Helper()
	dir := t.TempDir()
	index, err := keyindex.Open(dir, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	l.index, l.worth = index, func(int64, int64) bool { return true }
	return dir
}

func runsOf(t testing.TB, dir string) []string {
	t.Helper()
	runs, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

// keyed are tables by keys of all kinds: a few values of each, as JSON.
var keyed = []struct {
	name    string
	columns []driver.Column
	values  []string
}{
	{"int32", []driver.Column{{Type: driver.Of(driver.Int32)}}, []string{`-1`, `0`, `1`, `2147483647`}},
	{"int64", []driver.Column{{Type: driver.Of(driver.Int64)}}, []string{`-9223372036854775808`, `0`, `1`, `9223372036854775807`}},
	{"decimal", []driver.Column{{Type: driver.DecimalOf(10, 2)}}, []string{`"-1.25"`, `"1.25"`, `"0.00"`, `"99999999.99"`}},
	{"large decimal", []driver.Column{{Type: driver.DecimalOf(38, 0)}}, []string{`"-99999999999999999999999999999999999999"`, `"18446744073709551616"`, `"0"`, `"1"`}},
	{"text", []driver.Column{{Type: driver.Of(driver.String)}}, []string{`""`, `"a"`, `"A"`, `"a "`, `"ä"`}},
	{"folded text", []driver.Column{{Type: driver.Of(driver.String), Equality: driver.EqualFolded}}, []string{`"a"`, `"A"`, `"b"`, `"Ä"`, `"ä"`}},
	{"padded text", []driver.Column{{Type: driver.Of(driver.String), Equality: driver.EqualPadded}}, []string{`"a"`, `"a "`, `"b"`, `"b  "`}},
	{"collated text", []driver.Column{{Type: driver.Of(driver.String), Equality: driver.EqualCollated}}, []string{`"a"`, `"b"`, `"b "`, `"ä"`}},
	{"uuid", []driver.Column{{Type: driver.Of(driver.UUID)}}, []string{`"00000000-0000-0000-0000-000000000000"`, `"00000000-0000-0000-0000-000000000001"`, `"ffffffff-ffff-ffff-ffff-ffffffffffff"`}},
	{"float", []driver.Column{{Type: driver.Of(driver.Float64)}}, []string{`0`, `-0.0`, `0.5`, `-0.5`}},
	{"text and number", []driver.Column{{Type: driver.Of(driver.String)}, {Type: driver.Of(driver.Int32)}}, []string{`"a"|1`, `"a"|2`, `"b"|1`, `""|1`}},
	{"two numbers", []driver.Column{{Type: driver.Of(driver.Int64)}, {Type: driver.Of(driver.Int32)}}, []string{`1|2`, `2|1`, `0|0`, `-1|-1`}},
}

// A lake with an index of keys and one without have the same rows, whatever has
// happened to the index in between.
func TestTheIndexFindsWhatTheFilesHold(t *testing.T) {
	checks := "60"
	if testing.Short() {
		checks = "25"
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		of := rapid.SampledFrom(keyed).Draw(rt, "keys")
		tbl := driver.Table{Namespace: "public", Name: "keyed"}
		var key []string
		for i, c := range of.columns {
			c.Name = fmt.Sprint("k", i)
			tbl.Columns, key = append(tbl.Columns, c), append(key, c.Name)
		}
		tbl.Columns = append(tbl.Columns, driver.Column{Name: "version", Type: driver.Of(driver.Int64)}, driver.Column{Name: "gone", Type: driver.Of(driver.Boolean)})
		lakes := []*Lake{openLakeAt(t, t.TempDir(), kvtest.New()), openLakeAt(t, t.TempDir(), kvtest.New())}
		dir := alwaysIndexed(t, lakes[1])
		lakes[1].passKeys = rapid.SampledFrom([]int64{2, passKeys}).Draw(rt, "keys in memory")
		var kept map[string][]byte
		for fence := range uint64(rapid.IntRange(2, 12).Draw(rt, "syncs")) {
			var rows []string
			for i := range rapid.IntRange(0, 6).Draw(rt, "rows") {
				value := strings.Split(rapid.SampledFrom(of.values).Draw(rt, "key"), "|")
				row := fmt.Sprintf(`{"version":%d,"gone":%v`, 100*fence+uint64(i), rapid.IntRange(0, 4).Draw(rt, "gone") == 0)
				for i, v := range value {
					row += fmt.Sprintf(`,"k%d":%s`, i, v)
				}
				rows = append(rows, row+"}")
			}
			reset := rapid.IntRange(0, 9).Draw(rt, "reset") == 0
			upkeep := rapid.IntRange(0, 3).Draw(rt, "maintenance") == 0
			var seen [2]string
			for i, l := range lakes {
				target := Target{Address: home, Table: tbl, SyncID: fmt.Sprint("syn_", fence), Fence: fence + 1, Mode: Incremental, CursorColumn: "version", Merge: true, Key: key, Deleted: "gone", Reset: reset}
				total, err := mergeJSON(t, l, target, rows)
				if err != nil && !errors.Is(err, driver.ErrReplaced) {
					rt.Fatal(err)
				}
				if upkeep {
					maintain(t, l, "keyed", true)
				}
				_, found, err2 := l.Preview(t.Context(), home, "public", "keyed", 100)
				if err2 != nil && !errors.Is(err2, ErrNoTable) {
					rt.Fatal(err2)
				}
				var texts []string
				for _, r := range found {
					texts = append(texts, fmt.Sprint(r))
				}
				slices.Sort(texts)
				seen[i] = fmt.Sprintln(total, err) + strings.Join(texts, "\n")
			}
			if diff := cmp.Diff(seen[0], seen[1]); diff != "" {
				rt.Fatalf("without and with the index: %s", diff)
			}
			kept = harm(t, rt, dir, kept)
		}
		if len(runsOf(t, dir)) == 0 && of.name != "collated text" && kept == nil {
			rt.Log("nothing was indexed")
		}
	})
}

// mergeJSON merges rows and returns how many readers see then.
func mergeJSON(t *testing.T, l *Lake, target Target, rows []string) (int64, error) {
	t.Helper()
	w := begin(t, l, target)
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(target.Table))
	defer b.Release()
	for _, row := range rows {
		if err := b.UnmarshalJSON([]byte(row)); err != nil {
			t.Fatal(err)
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	if err := w.Write(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	c, err := w.Commit(t.Context(), version(int64(target.Fence)), true)
	if err != nil {
		w.Abort(t.Context())
	}
	return c.Total, err
}

// harm does to an index what a crash, a disk or a person may, and returns what its
// files are now, to be there again another time.
func harm(t *testing.T, rt *rapid.T, dir string, before map[string][]byte) map[string][]byte {
	t.Helper()
	runs := runsOf(t, dir)
	now := map[string][]byte{}
	for _, name := range runs {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		now[name] = content
	}
	write := func(name string, content []byte) {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kind := rapid.SampledFrom([]string{"", "", "", "lost", "cut", "changed", "older", "half"}).Draw(rt, "harm")
	if kind == "older" {
		for name, content := range before { // runs that others had taken the place of
			if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				t.Fatal(err)
			}
			write(name, content)
		}
	}
	if len(runs) == 0 {
		return now
	}
	name := rapid.SampledFrom(runs).Draw(rt, "run")
	content := now[name]
	switch kind {
	case "lost":
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	case "cut":
		write(name, content[:rapid.IntRange(0, len(content)).Draw(rt, "at")])
	case "changed":
		at := rapid.IntRange(0, len(content)-1).Draw(rt, "at")
		changed := slices.Clone(content)
		changed[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		write(name, changed)
	case "half":
		write(name+".new", content[:len(content)/2])
	}
	return now
}

// A merge into a table whose keys are indexed reads none of its files, also where its
// keys do not fit into memory at once.
func TestAnIndexedMergeReadsNoKeys(t *testing.T) {
	l := openLake(t, kvtest.New())
	alwaysIndexed(t, l)
	var ids []int64
	for id := range int64(1000) {
		ids = append(ids, id)
	}
	mergeAccounts(t, l, 1, ids...)
	mergeAccounts(t, l, 2, 7, 8)
	at, err := l.catalog.Load(t.Context(), kvcatalog.IdentifierOf(home, "public", "accounts"))
	if err != nil {
		t.Fatal(err)
	}
	live, _, err := manifest.DataFiles(l.files, at.Meta.CurrentSnapshot())
	if err != nil {
		t.Fatal(err)
	}
	first := live[slices.IndexFunc(live, func(f iceberg.DataFile) bool { return f.Count() == 1000 })]
	name, err := storage.LocalPath(first.FilePath())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name, name+".away"); err != nil {
		t.Fatal(err)
	}
	l.passKeys = 1
	if c := mergeAccounts(t, l, 3, 8, 9, 1000); c.Total != 1001 {
		t.Errorf("there are %d rows", c.Total)
	}
	if err := os.Rename(name+".away", name); err != nil {
		t.Fatal(err)
	}
	want := map[int64][]int64{}
	for _, id := range ids {
		want[id] = []int64{1}
	}
	want[7], want[8], want[9], want[1000] = []int64{2}, []int64{3}, []int64{3}, []int64{3}
	wantAccounts(t, l, want)
}

// Few rows are not worth an index, and many are quicker to read than to look up.
func TestWorthAnIndex(t *testing.T) {
	for _, c := range []struct {
		rows, landed int64
		want         bool
	}{{1, 1000, false}, {1, indexedRows, true}, {indexedRows, indexedRows, false}, {1 << 20, 1 << 30, true}, {0, math.MaxInt64, true}} {
		if got := worthIndex(c.rows, c.landed); got != c.want {
			t.Errorf("%d into %d: %v", c.rows, c.landed, got)
		}
	}
}
