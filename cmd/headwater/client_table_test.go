package main

import (
	"strings"
	"testing"
)

// Columns stand under each other by what a terminal shows: wide letters take two
// places, marks above a letter none, and characters that drive a terminal are
// taken out.
func TestGrid(t *testing.T) {
	g := newGrid("NAME", "#ROWS", "LAST")
	g.add("shop", "1,204", "completed")
	g.add("顧客", "7", "e\u0301t\u00e9")
	g.add("a\x1b[2Jb\nc", "12", "")
	var out strings.Builder
	if err := g.print(&out, "none"); err != nil {
		t.Fatal(err)
	}
	same(t, "grid", out.String(), strings.TrimPrefix(`
NAME       ROWS  LAST
shop      1,204  completed
顧客          7  e`+"\u0301"+`té
a�[2Jb c     12
`, "\n"))
	out.Reset()
	if err := newGrid("NAME").print(&out, "no sources"); err != nil || out.String() != "no sources\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
