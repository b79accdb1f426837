package extract_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/handlers/extract"
)

// opened opens a source and returns it with its child.
func opened(t *testing.T, p *extract.Pool, of string) (extract.Session, int) {
	t.Helper()
	s, err := p.Open(t.Context(), of, "plain", nil, nil, driver.Limits{BatchRows: 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	tables, err := s.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(tables[0].Columns[0].Comment, &pid); err != nil {
		t.Fatal(err)
	}
	return s, pid
}

// nicesOf returns how much the threads of a process give way to others.
func nicesOf(t *testing.T, pid int) map[string]int {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("the threads of %d: %v, %v", pid, threads, err)
	}
	nices := map[string]int{}
	for _, thread := range threads {
		b, err := os.ReadFile(thread)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(b), ") ") // behind the name: state is the third field, nice the nineteenth
		if fields := strings.Fields(rest); len(fields) > 16 {
			nices[fields[16]]++
		}
	}
	return nices
}

// The more an organization has open at once, the less each of its children weighs on
// the processors, with all of its threads; those of others weigh what they did.
func TestChildrenGiveWay(t *testing.T) {
	p := pool(t, 256<<20)
	ours := 0 // of this process
	for nice := range nicesOf(t, os.Getpid()) {
		if _, err := fmt.Sscan(nice, &ours); err != nil {
			t.Fatal(err)
		}
	}
	value := func(more int) string { return fmt.Sprint(min(ours+more, 19)) }
	var sessions []extract.Session
	for i, more := range []int{0, 5, 10, 10} {
		want := value(more)
		s, pid := opened(t, p, fmt.Sprintf("acme.w._.%d", i))
		if nices := nicesOf(t, pid); len(nices) != 1 || nices[want] == 0 {
			t.Errorf("the threads of child %d have the nice values %v, want %s alone", i, nices, want)
		}
		sessions = append(sessions, s)
	}
	if _, pid := opened(t, p, "other.w._.0"); nicesOf(t, pid)[value(0)] == 0 {
		t.Errorf("the first child of another organization has the nice values %v", nicesOf(t, pid))
	}
	for _, s := range sessions {
		s.Close()
	}
	for i := 3; i >= 0; i-- { // the last of these was kept with a value of its own
		s, pid := opened(t, p, fmt.Sprintf("acme.w._.%d", i))
		if nices := nicesOf(t, pid); len(nices) != 1 || nices[value(0)] == 0 {
			t.Errorf("the only child of source %d has the nice values %v", i, nices)
		}
		s.Close()
	}
}

// The child that waits ready is for whoever has none at its beginning.
func TestSpareIsLeftToOthers(t *testing.T) {
	p := pool(t, 256<<20)
	spare := func() (pid int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); pid == 0; pid = p.Spare() {
			if time.Now().After(deadline) {
				t.Fatal("no child waits")
			}
			time.Sleep(time.Millisecond)
		}
		return pid
	}
	waits := spare()
	first, pid := opened(t, p, "acme.w._.1")
	if pid != waits {
		t.Errorf("the first source got %d, %d waited", pid, waits)
	}
	waits = spare()
	second, pid := opened(t, p, "acme.w._.2")
	if pid == waits {
		t.Error("one organization took the child that waited twice")
	}
	if _, pid := opened(t, p, "other.w._.1"); pid != waits {
		t.Errorf("another organization got %d, %d waited", pid, waits)
	}
	second.Close()
	waits = spare()
	for _, err := range first.Extract(t.Context(), request(), &folder{dir: t.TempDir()}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, pid := opened(t, p, "acme.w._.3"); pid != waits {
		t.Errorf("a source beside one that is read got %d, %d waited", pid, waits)
	}
}
