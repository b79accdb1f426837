package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTableIsWrittenBetweenItsMarks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	begin, end := marks(TableSync)
	table := Render(TableSync, []Row{Ratio("work", "limit", 1000, 2*time.Second, time.Second, 1.1)}, "2 cores", 5, false)
	if !strings.Contains(table, "| work | 2.00 s | 1.00 s `limit` | 2.00 | at most 1.10 | 0 krows/s | MISSED |") {
		t.Errorf("the table:\n%s", table)
	}
	if err := os.WriteFile(path, []byte("before\n"+begin+"\nold\n"+end+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := WriteBetween(path, TableSync, table); err != nil {
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
	if err := WriteBetween(path, TableSync, table); err == nil {
		t.Error("a file without marks was written")
	}
}
