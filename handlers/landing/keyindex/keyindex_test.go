package keyindex

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func open(t testing.TB, dir string) *Index {
	t.Helper()
	x, err := Open(dir, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func openTable(t testing.TB, x *Index, d Definition, live []File) *Table {
	t.Helper()
	table, ok := x.Table(d, live)
	if !ok {
		t.Fatal("the table cannot be opened")
	}
	t.Cleanup(table.Close)
	return table
}

var orders = Definition{Table: "orders", Kind: "keys", Keys: "id", Narrow: true}

// keyOf returns the key of a number: a few rows have the same.
func keyOf(n uint64, narrow bool) (k Key) {
	binary.LittleEndian.PutUint64(k[:], n)
	if !narrow {
		binary.LittleEndian.PutUint64(k[8:], n%3)
	}
	return k
}

// add indexes files of which row r has the key f(name, r), and every seventh none.
func add(t testing.TB, table *Table, files []File, key func(file string, row int64) Key) {
	t.Helper()
	rows := int64(0)
	for _, f := range files {
		rows += f.Rows
	}
	b, err := table.Build(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b.File(f)
		for row := range f.Rows {
			if row%7 != 6 {
				b.Add(key(f.Name, row), row)
			}
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func found(t testing.TB, table *Table, keys []Key) []string {
	t.Helper()
	places, err := table.Find(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, p := range places {
		all = append(all, fmt.Sprint(p.Key, p.File, p.Row))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Of random files, some of which come and go, every key is found at all of its places
// in those that are there, and nowhere else: while runs are few, and merged.
func TestFind(t *testing.T) {
	for _, narrow := range []bool{true, false} {
		t.Run(fmt.Sprint(narrow), func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			d := orders
			d.Narrow = narrow
			x := open(t, t.TempDir())
			var live []File
			key := func(file string, row int64) Key {
				return keyOf(uint64(len(file))*1000+uint64(row)%900, narrow)
			}
			for step := range 60 {
				var fresh []File
				for i := range 1 + random.IntN(3) {
					fresh = append(fresh, File{fmt.Sprintf("%0*d-%d-%d", 5+random.IntN(5), 0, step, i), random.Int64N(3000), random.Int64()})
				}
				if live = append(live, fresh...); random.IntN(3) == 0 {
					live = slices.Delete(live, 0, 1+random.IntN(len(live)-1))
				}
				table := openTable(t, x, d, live)
				var unread []File
				for _, f := range live {
					if !table.Covers(f) {
						unread = append(unread, f)
					}
				}
				if len(unread) > len(fresh) {
					t.Fatalf("%d files are not indexed, %d came", len(unread), len(fresh))
				}
				add(t, table, unread, key)
				for _, f := range live {
					if !table.Covers(f) || table.Covers(File{f.Name, f.Rows + 1, f.Size}) || table.Covers(File{f.Name, f.Rows, f.Size + 1}) {
						t.Fatalf("%v is indexed as another", f)
					}
				}
				keys := []Key{}
				for range random.IntN(3000) {
					keys = append(keys, keyOf(uint64(5000+random.IntN(12_000)), narrow))
				}
				want := []string{}
				numbers := map[Key][]int{}
				for i, k := range keys {
					numbers[k] = append(numbers[k], i)
				}
				for _, f := range live {
					for row := range f.Rows {
						if row%7 != 6 {
							for _, i := range numbers[key(f.Name, row)] {
								want = append(want, fmt.Sprint(i, f.Name, row))
							}
						}
					}
				}
				slices.Sort(want)
				if got := found(t, table, keys); !slices.Equal(got, want) {
					t.Fatalf("step %d: found %d places, want %d", step, len(got), len(want))
				}
				if err := table.Tidy(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := found(t, table, keys); !slices.Equal(got, want) || len(table.runs) > 12 {
					t.Fatalf("step %d: once merged, found %d places in %d runs, want %d", step, len(got), len(table.runs), len(want))
				}
				table.Close()
			}
		})
	}
}

// A file of more rows than are in memory at a time is indexed in several runs, and
// wholly or not at all.
func TestALargeFile(t *testing.T) {
	const rows = 2*batch + 1000
	x := open(t, t.TempDir())
	f := File{"large", rows, 1}
	table := openTable(t, x, orders, []File{f})
	key := func(_ string, row int64) Key { return keyOf(uint64(row), true) }
	add(t, table, []File{f, {"another", 10, 1}}, key)
	if !table.Covers(f) || len(table.runs) < 2 {
		t.Fatalf("it is indexed: %v, in %d runs", table.Covers(f), len(table.runs))
	}
	keys := []Key{keyOf(0, true), keyOf(batch-1, true), keyOf(batch+3, true), keyOf(rows-1, true), keyOf(rows, true), keyOf(6, true)}
	want := found(t, table, keys)
	if len(want) != 4 && len(want) != 5 {
		t.Errorf("found %v", want)
	}
	if err := table.Tidy(t.Context()); err != nil || len(table.runs) > 2 {
		t.Fatalf("%d runs, %v", len(table.runs), err)
	}
	if got := found(t, table, keys); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	first := table.runs[0].path
	table.Close()
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	if table = openTable(t, x, orders, []File{f}); table.Covers(f) {
		t.Error("half of its rows count as all")
	}
}

// Whatever is changed in a run, what it says is right or it is refused.
func TestDamage(t *testing.T) {
	files := []File{{"a", 900, 1}, {"b", 0, 2}, {"c", 1100, 3}}
	key := func(file string, row int64) Key { return keyOf(uint64(row), true) }
	dir := t.TempDir()
	table := openTable(t, open(t, dir), orders, files)
	add(t, table, files, key)
	var keys []Key
	for n := range uint64(1200) {
		keys = append(keys, keyOf(n, true))
	}
	want := found(t, table, keys)
	path := table.runs[0].path
	table.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	look := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		table := openTable(t, open(t, dir), orders, files)
		defer table.Close()
		if len(table.runs) == 0 {
			if table.Covers(files[0]) || table.Covers(files[1]) {
				t.Error("nothing is there, and covers a file")
			}
			return
		}
		places, err := table.Find(t.Context(), keys)
		if errors.Is(err, ErrDamaged) {
			return
		}
		all := []string{}
		for _, p := range places {
			all = append(all, fmt.Sprint(p.Key, p.File, p.Row))
		}
		slices.Sort(all)
		if err != nil || !slices.Equal(all, want) {
			t.Errorf("found %d places, %v; want %d", len(all), err, len(want))
		}
	}
	for range 300 {
		changed := slices.Clone(whole)
		changed[random.IntN(len(changed))] ^= 1 << random.IntN(8)
		look(changed)
		look(whole[:random.IntN(len(whole))])
	}
	look(slices.Concat(whole[blockSize:2*blockSize], whole[:blockSize], whole[2*blockSize:])) // blocks in each other's place
	look(whole)
}

// Other columns make other keys: what was indexed by the former ones goes away.
func TestAnotherDefinition(t *testing.T) {
	x := open(t, t.TempDir())
	f := File{"a", 10, 1}
	table := openTable(t, x, orders, []File{f})
	add(t, table, []File{f}, func(_ string, row int64) Key { return keyOf(uint64(row), true) })
	if other, ok := x.Table(orders, nil); ok {
		other.Close()
		t.Error("two have the table open")
	}
	table.Close()
	d := orders
	d.Keys = "another"
	table = openTable(t, x, d, []File{f})
	if table.Covers(f) {
		t.Error("keys of other columns cover it")
	}
	table.Close()
	if names, err := filepath.Glob(filepath.Join(table.dir, "*")); err != nil || len(names) > 0 {
		t.Errorf("left are %v, %v", names, err)
	}
}

// What an index takes of the disk is bounded: tables that were asked for the longest
// time ago go first, and one that does not fit is not begun.
func TestRoom(t *testing.T) {
	dir := t.TempDir()
	x, err := Open(dir, 100<<10)
	if err != nil {
		t.Fatal(err)
	}
	x.free = func(string) int64 { return 1 << 40 }
	key := func(_ string, row int64) Key { return keyOf(uint64(row), true) }
	definition := func(i int) Definition { return Definition{Table: fmt.Sprint(i), Kind: "keys", Narrow: true} }
	f := File{"a", 1500, 1}
	for i := range 8 {
		table := openTable(t, x, definition(i), []File{f})
		add(t, table, []File{f}, key)
		table.Close()
		if i == 3 {
			first := openTable(t, x, definition(0), []File{f})
			first.Close()
		}
	}
	left := ""
	for i := range 8 {
		table := openTable(t, x, definition(i), []File{f})
		if table.Covers(f) {
			left += fmt.Sprint(i)
		}
		table.Close()
	}
	if left != "567" && left != "4567" && left != "0567" {
		t.Errorf("of eight tables %s are left", left)
	}
	if size := sizeOf(filepath.Join(dir, definition(7).folder())); size < 1280*12 {
		t.Errorf("a table takes %d bytes", size)
	}
	table := openTable(t, x, definition(9), nil)
	if _, err := table.Build(t.Context(), 1<<20); !errors.Is(err, ErrRoom) {
		t.Errorf("a table that does not fit: %v", err)
	}
	table.Close()
	x.free = func(string) int64 { return 0 }
	table = openTable(t, x, definition(9), nil)
	if _, err := table.Build(t.Context(), 1000); !errors.Is(err, ErrRoom) {
		t.Errorf("on a full disk: %v", err)
	}
	table.Close()
	x.Keep([]string{"5", "7", "8"}, "gone", "keys")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 2 {
		t.Errorf("of tables that are not kept there are %v, %v", entries, err)
	}
	x.Drop("7", "keys")
	if _, err := os.Stat(filepath.Join(dir, definition(7).folder())); !os.IsNotExist(err) {
		t.Errorf("a table that was dropped is there: %v", err)
	}
}

// What nobody asked for in a month, or does not belong here, is away after a start.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	x := open(t, dir)
	f := File{"a", 10, 1}
	for _, name := range []string{"old", "new"} {
		table := openTable(t, x, Definition{Table: name, Narrow: true}, []File{f})
		add(t, table, []File{f}, func(_ string, row int64) Key { return keyOf(uint64(row), true) })
		table.Close()
	}
	ago := time.Now().Add(-unusedFor - time.Hour)
	if err := os.Chtimes(filepath.Join(dir, Definition{Table: "old"}.folder()), ago, ago); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "stray"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	x = open(t, dir)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != (Definition{Table: "new"}).folder() {
		t.Errorf("there are %v, %v", entries, err)
	}
	table := openTable(t, x, Definition{Table: "new", Narrow: true}, []File{f})
	if !table.Covers(f) {
		t.Error("what is new is not there")
	}
	table.Discard()
	table.Close()
	if table = openTable(t, x, Definition{Table: "new", Narrow: true}, []File{f}); table.Covers(f) {
		t.Error("what was discarded is there")
	}
}

// Keys that differ stay different, and equal ones equal.
func TestEntriesAreKeys(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	seen := map[entry]Key{}
	for range 100_000 {
		var k Key
		for _, at := range []int{0, 8} { // small numbers, as keys are
			binary.LittleEndian.PutUint64(k[at:], random.Uint64N(1<<random.IntN(20)))
		}
		e := entryOf(k, false, 0)
		if other, ok := seen[e]; ok && other != k {
			t.Fatalf("%x and %x are one", k, other)
		}
		seen[e] = k
	}
	for _, n := range []int{0, 1, 63, 64, 65, 5000} {
		entries := make([]entry, n)
		for i := range entries {
			entries[i] = entry{hi: random.Uint64() >> (random.IntN(2) * 40), lo: random.Uint64N(3)}
		}
		want := slices.SortedFunc(slices.Values(entries), compare)
		if got := sortEntries(entries, make([]entry, n)); !slices.EqualFunc(got, want, func(a, b entry) bool { return compare(a, b) == 0 }) {
			t.Errorf("%d entries are not in order", n)
		}
	}
}

// No bytes that are taken for a run do harm.
func FuzzRun(f *testing.F) {
	dir := f.TempDir()
	table := openTable(f, open(f, dir), orders, []File{{"a", 700, 1}})
	b, err := table.Build(context.Background(), 700)
	if err != nil {
		f.Fatal(err)
	}
	b.File(File{"a", 700, 1})
	for row := range int64(700) {
		b.Add(keyOf(uint64(row), true), row)
	}
	if err := b.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(table.runs[0].path)
	table.Close()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[len(whole)-trailerSize:])
	f.Add(bytes.Repeat([]byte{0xff}, 200))
	path := filepath.Join(f.TempDir(), "1"+runSuffix)
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := openRun(path, orders.mark(), true)
		if err != nil {
			return
		}
		defer r.close()
		r.judge(map[string]File{"a": {"a", 700, 1}})
		s := search{buf: make([]byte, mostBlocks*blockSize)}
		var keys []entry
		for n := range uint64(50) {
			keys = append(keys, entryOf(keyOf(n*13, true), true, uint32(n)))
		}
		keys = sortEntries(keys, make([]entry, len(keys)))
		if err := s.in(r, keys); err != nil {
			return
		}
		for _, p := range s.found {
			if p.Row != int64(p.Key)*13 {
				t.Fatalf("key %d is found at %v", p.Key, p)
			}
		}
	})
}
