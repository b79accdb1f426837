package rig

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"headwater/cmd/bench/widetable"
)

// The same rows come each time, and what is written has the sums of what was
// made.
func TestGeneratedDataIsTheSame(t *testing.T) {
	b := &Rig{Settings: Settings{Cache: t.TempDir(), Quick: true}, out: testWriter{t}}
	write := func(out *bufio.Writer, g *widetable.Generator) { fmt.Fprintln(out, g.Values, g.Null) }
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
	if string(first) != string(second) || one.Sums.Compare(two.Sums) != nil || one.Sums.Rows != 500 || one.Sums.IDs != 500*501/2 {
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

func TestMedian(t *testing.T) {
	if m := Median([]time.Duration{5, 1, 9}); m != 5 {
		t.Errorf("of three: %d", m)
	}
	if m := Median([]time.Duration{4, 1, 9, 2}); m != 3 {
		t.Errorf("of four: %d", m)
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
