package terminal

import (
	"strings"
	"testing"
)

// Columns stand under each other by what a terminal shows: wide letters take two
// places, marks above a letter none, and characters that drive a terminal are
// taken out.
func TestGrid(t *testing.T) {
	g := NewGrid("NAME", "#ROWS", "LAST")
	g.Add("shop", "1,204", "completed")
	g.Add("顧客", "7", "e\u0301t\u00e9")
	g.Add("a\x1b[2Jb\nc", "12", "")
	var out strings.Builder
	if err := g.Print(&out, "none"); err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimPrefix(`
NAME       ROWS  LAST
shop      1,204  completed
顧客          7  e`+"\u0301"+`té
a�[2Jb c     12
`, "\n"); out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	if err := NewGrid("NAME").Print(&out, "no sources"); err != nil || out.String() != "no sources\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
