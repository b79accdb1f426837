package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func TestChoose(t *testing.T) {
	all, err := choose("")
	if err != nil || len(all) != len(works) {
		t.Errorf("%d works, %v", len(all), err)
	}
	some, err := choose("postgres,csv")
	if err != nil || len(some) != 3 || some[2].name != "csv" {
		t.Errorf("%v, %v", some, err)
	}
	if _, err := choose("oracle"); err == nil || !strings.Contains(err.Error(), "postgres-wide") {
		t.Errorf("an unknown work: %v", err)
	}
}

// The same rows come each time, and what is written has the sums of what was
// made.
func TestGeneratedDataIsTheSame(t *testing.T) {
	b := &bench{settings: settings{cache: t.TempDir(), quick: true}, out: testWriter{t}}
	write := func(out *bufio.Writer, g *generator) { fmt.Fprintln(out, g.values, g.null) }
	one, err := b.generate("one", 500, "", write)
	if err != nil {
		t.Fatal(err)
	}
	two, err := b.generate("two", 500, "", write)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := os.ReadFile(one.Path)
	second, _ := os.ReadFile(two.Path)
	if string(first) != string(second) || one.Sums.compare(two.Sums) != nil || one.Sums.Rows != 500 || one.Sums.IDs != 500*501/2 {
		t.Errorf("%+v and %+v", one.Sums, two.Sums)
	}
	// It is used again, not made again.
	if err := os.WriteFile(one.Path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	again, err := b.generate("one", 500, "", write)
	if info, _ := os.Stat(one.Path); err != nil || info.Size() != 0 || again.Sums != one.Sums {
		t.Errorf("made again: %v", err)
	}
}

// Every type that a source may have for a column is compared by its value, and
// one wrong value is found.
func TestContentIsCompared(t *testing.T) {
	const rows = 200
	for _, wrong := range []int{-1, 5, 8, 12, 14} {
		g, buffer := newGenerator(), []byte(nil)
		var want sums
		fields := make([]arrow.Field, len(wide))
		for i, c := range wide {
			fields[i] = arrow.Field{Name: c.name, Type: arrow.BinaryTypes.String, Nullable: true}
			switch c.kind {
			case whole:
				fields[i].Type = arrow.PrimitiveTypes.Int64
			case money:
				fields[i].Type = &arrow.Decimal128Type{Precision: 15, Scale: 2}
			case yesNo:
				fields[i].Type = arrow.FixedWidthTypes.Boolean
			}
		}
		build := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
		defer build.Release()
		for range rows {
			g.next()
			want.addRow(g, buffer)
			for i := range wide {
				value, field := g.values[i], build.Field(i)
				if i == wrong && g.id == 77 {
					g.null[i] = !g.null[i] // a value for NULL, or NULL for a value
				}
				if g.null[i] {
					field.AppendNull()
					continue
				}
				switch f := field.(type) {
				case *array.Decimal128Builder:
					n, err := decimal128.FromString(value, 15, 2)
					if err != nil {
						t.Fatal(err)
					}
					f.Append(n)
				default:
					if err := f.AppendValueFromString(value); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		rec := build.NewRecordBatch()
		defer rec.Release()
		var got sums
		if err := got.addBatch(rec, buffer); err != nil {
			t.Fatal(err)
		}
		err := got.compare(want)
		if (err != nil) != (wrong >= 0) || wrong >= 0 && !strings.Contains(err.Error(), wide[wrong].name) {
			t.Errorf("column %d wrong: %v", wrong, err)
		}
	}
}

func TestCanonicalText(t *testing.T) {
	for _, c := range []struct {
		kind       kind
		text, want string
	}{
		{instant, "2024-01-01T00:00:01.234567Z", "2024-01-01 00:00:01.234567"},
		{instant, "2024-01-01 00:00:01.234567+00", "2024-01-01 00:00:01.234567"},
		{money, "12", "12.00"}, {money, "12.5", "12.50"}, {money, "12.34", "12.34"},
		{yesNo, "1", "true"}, {text, "AIR       ", "AIR"},
	} {
		if got := canonicalText(c.kind, c.text); got != c.want {
			t.Errorf("%q is %q, want %q", c.text, got, c.want)
		}
	}
}

func TestMedian(t *testing.T) {
	if m := median([]time.Duration{5, 1, 9}); m != 5 {
		t.Errorf("of three: %d", m)
	}
	if m := median([]time.Duration{4, 1, 9, 2}); m != 3 {
		t.Errorf("of four: %d", m)
	}
}

// The memory of a process's children counts.
func TestMemoryOfChildren(t *testing.T) {
	if _, err := os.Stat("/proc/self/smaps_rollup"); err != nil {
		t.Skip("only Linux tells")
	}
	alone := watchMemory(os.Getpid())
	own, _ := alone()
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	found := false
	for _, p := range family(os.Getpid()) {
		found = found || p == child.Process.Pid
	}
	m := held(child.Process.Pid)
	if !found || own == 0 || m["Pss"] == 0 || m["Pss"] > m["Rss"] || m["Pss_Anon"] >= m["Pss"] {
		t.Errorf("child found: %v, it holds %v; this process %d bytes", found, m, own)
	}
}

func TestTableIsWrittenBetweenItsMarks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	begin, end := marks(tableSync)
	table := render(tableSync, []result{ratio("work", "limit", 1000, 2*time.Second, time.Second, 1.1)}, "2 cores", settings{runs: 5})
	if !strings.Contains(table, "| work | 2.00 s | 1.00 s `limit` | 2.00 | at most 1.10 | 0 krows/s | MISSED |") {
		t.Errorf("the table:\n%s", table)
	}
	if err := os.WriteFile(path, []byte("before\n"+begin+"\nold\n"+end+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := writeBetween(path, tableSync, table); err != nil {
			t.Fatal(err)
		}
	}
	text, _ := os.ReadFile(path)
	if want := "before\n" + begin + "\n" + table + end + "\nafter\n"; string(text) != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
	if err := os.WriteFile(path, []byte("no marks"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeBetween(path, tableSync, table); err == nil {
		t.Error("a file without marks was written")
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func TestScaleLine(t *testing.T) {
	name, metrics, found := benchmarkLine("BenchmarkScale/schema_page-2  \t    1000\t    123456 ns/op\t        52.00 small-µs\t         1.310 x-small(limit<=2)", "BenchmarkScale/")
	if !found || name != "schema page" || metrics["small-µs"] != 52 || metrics["x-small(limit<=2)"] != 1.31 {
		t.Errorf("%q, %v, %v", name, metrics, found)
	}
	if _, _, found := benchmarkLine("goos: linux", "BenchmarkScale/"); found {
		t.Error("a line of no benchmark was found")
	}
}
