package progress

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"headwater/cmd/headwater/client/clienttest"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/terminal"
)

// screen is what a terminal shows: of the signs that steer one, those that we
// write.
type screen struct {
	columns, rows int
	lines         []string // all there ever were; the last rows are visible
	row, column   int
}

func (s *screen) visible() []string { return s.lines[max(0, len(s.lines)-s.rows):] }

func (s *screen) write(text string) {
	for len(s.lines) == 0 {
		s.lines = append(s.lines, "")
	}
	signs := []rune(text)
	for i := 0; i < len(signs); i++ {
		switch c := signs[i]; {
		case c == '\r':
			s.column = 0
		case c == '\n':
			s.down()
		case c == '\x1b' && i+1 < len(signs) && signs[i+1] == '[':
			n, j := 0, i+2
			for ; signs[j] >= '0' && signs[j] <= '9'; j++ {
				n = 10*n + int(signs[j]-'0')
			}
			s.steer(signs[j], n)
			i = j
		default:
			if s.column == s.columns {
				s.column = 0
				s.down()
			}
			line := []rune(s.lines[s.row])
			for len(line) <= s.column {
				line = append(line, ' ')
			}
			line[s.column] = c
			s.lines[s.row] = string(line)
			s.column++
		}
	}
}

func (s *screen) down() {
	if s.row++; s.row == len(s.lines) {
		s.lines = append(s.lines, "")
	}
}

func (s *screen) steer(c rune, n int) {
	switch c {
	case 'A': // no further than the top of what is visible
		s.row = max(s.row-max(n, 1), max(0, len(s.lines)-s.rows))
	case 'K':
		s.lines[s.row] = ""
	case 'J':
		s.lines[s.row] = string([]rune(s.lines[s.row])[:min(s.column, len([]rune(s.lines[s.row])))])
		for i := s.row + 1; i < len(s.lines); i++ {
			s.lines[i] = ""
		}
	}
}

// narrower is the terminal after its window was made smaller: what was wider is
// wrapped.
func (s *screen) narrower(columns int) {
	var lines []string
	for i, line := range s.lines {
		if i == s.row {
			s.row = len(lines)
		}
		for signs := []rune(line); ; {
			lines = append(lines, string(signs[:min(columns, len(signs))]))
			if len(signs) <= columns {
				break
			}
			signs = signs[columns:]
		}
	}
	s.lines, s.columns = lines, columns
}

// running is n syncs under way, each with a table and some of it read.
func running(n int, rows int64) []rest.SyncDoc {
	part := float64(rows%100) / 100
	eta := int64(42)
	var all []rest.SyncDoc
	for i := range n {
		name := fmt.Sprintf("orders_of_the_year_%d", 2000+i)
		m := rest.Measure{Fraction: &part, Rows: rows, Rate: 123_456, ETA: &eta}
		all = append(all, rest.SyncDoc{SyncID: fmt.Sprint("syn_", i), SourceName: fmt.Sprint("shop ", i), Status: "running", UpdatedAt: time.Now(),
			Tables:   []rest.TableSync{{Namespace: "public", Name: name, Status: "running"}},
			Progress: &rest.ProgressDoc{Measure: m, TablesTotal: 2, Tables: []rest.TableProgress{{Namespace: "public", Name: name, Status: "running", Measure: m}}}})
	}
	return all
}

// TestNarrowTerminal redraws bars on terminals of all sizes, also one that
// becomes narrower and one with more bars than rows, and finds no line that is
// left over, and none cut off that has room for its numbers.
func TestNarrowTerminal(t *testing.T) {
	for _, c := range []struct {
		columns, rows uint16
		syncs         int
		narrower      uint16
	}{{60, 24, 2, 0}, {60, 24, 30, 0}, {100, 24, 3, 60}, {40, 10, 12, 0}, {120, 5, 4, 0}} {
		master, slave := clienttest.OpenTerminal(t, c.columns, c.rows)
		got := make(chan []byte, 1000)
		go func() {
			for {
				b := make([]byte, 1<<16)
				n, err := master.Read(b)
				if err != nil {
					close(got)
					return
				}
				got <- b[:n]
			}
		}()
		s := &screen{columns: int(c.columns), rows: int(c.rows)}
		p := New(terminal.Streams{Err: slave, Terminal: true})
		settle := func() { // until what was written before the mark is shown
			const mark = '\a'
			if _, err := slave.Write([]byte{mark}); err != nil {
				t.Fatal(err)
			}
			var all []byte
			for !bytes.Contains(all, []byte{mark}) {
				b, ok := <-got
				if !ok {
					t.Fatal("the terminal is closed")
				}
				all = append(all, b...)
			}
			s.write(strings.ReplaceAll(strings.TrimSuffix(string(all), string(mark)), "\r\n", "\n\r"))
		}
		for round := range 3 {
			p.show(running(c.syncs, int64(1_000_042+round)))
			settle()
			if c.narrower != 0 && round == 0 {
				clienttest.Resize(t, slave, c.narrower, c.rows)
				s.narrower(int(c.narrower))
			}
		}
		seen := strings.Join(s.visible(), "\n")
		if strings.Contains(strings.Join(s.lines, "\n"), "1,000,042") || strings.Contains(seen, "1,000,043") {
			t.Errorf("%+v: lines are left over:\n%s", c, strings.Join(s.lines, "\n"))
		}
		if c.columns >= 60 && (!strings.Contains(seen, "1,000,044") || !strings.Contains(seen, "123,456/s") || c.syncs < 4 && !strings.Contains(seen, "42s left")) {
			t.Errorf("%+v: numbers are cut off:\n%s", c, seen)
		}
		p.Close()
		settle()
		if left := strings.TrimSpace(strings.Join(s.lines, "")); left != "" {
			t.Errorf("%+v: what is left at the end: %q", c, left)
		}
		slave.Close()
		master.Close()
	}
}
