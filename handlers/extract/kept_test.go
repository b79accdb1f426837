package extract_test

import (
	"encoding/json"
	"strconv"
	"syscall"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/handlers/extract"
)

// pidOf discovers a source that is opened with a secret, closes it, and returns
// its child.
func pidOf(t *testing.T, p *extract.Pool, of, secret string, spoil func(extract.Session)) int {
	t.Helper()
	s, err := p.Open(t.Context(), of, "plain", nil, json.RawMessage(secret), driver.Limits{BatchRows: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tables, err := s.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(tables[0].Columns[0].Comment)
	if err != nil {
		t.Fatal(err)
	}
	if spoil != nil {
		spoil(s)
	}
	return pid
}

// A child waits for its own source, for no other one, and not after a failure.
func TestKeptChild(t *testing.T) {
	p := pool(t, 256<<20)
	first := pidOf(t, p, "acme/a", `"a"`, nil)
	if other := pidOf(t, p, "acme/b", `"a"`, nil); other == first {
		t.Error("another source with the same settings got the child of the first")
	}
	if again := pidOf(t, p, "acme/a", `"a"`, nil); again != first {
		t.Errorf("child %d was not kept, %d came", first, again)
	}
	second := pidOf(t, p, "acme/a", `"b"`, nil)
	if second == first {
		t.Error("the child was kept for other secrets")
	}
	gone(t, first)
	p.Forget("acme/a")
	gone(t, second)
	spoils := map[string]func(extract.Session){
		"being forgotten while it was open": func(extract.Session) { p.Forget("acme/a") },
		"a failed call":                     func(s extract.Session) { _, _ = s.Check(t.Context()) },
		"a call left early": func(s extract.Session) {
			for range s.Extract(t.Context(), request(), &folder{dir: t.TempDir()}) {
				break
			}
		},
	}
	for name, spoil := range spoils {
		spoiled := pidOf(t, p, "acme/a", `"a"`, spoil)
		if after := pidOf(t, p, "acme/a", `"a"`, nil); after == spoiled {
			t.Errorf("after %s the child was kept", name)
		}
		gone(t, spoiled)
	}
}

// A kept child that dies is not offered, and none outlives its pool.
func TestKeptChildEnds(t *testing.T) {
	p := pool(t, 256<<20)
	first := pidOf(t, p, "acme/a", `"a"`, nil)
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := pidOf(t, p, "acme/a", `"a"`, nil)
	if second == first {
		t.Error("a dead child was kept")
	}
	s, err := p.Open(t.Context(), "acme/b", "plain", nil, nil, driver.Limits{BatchRows: 10})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	s.Close() // after its pool
	if _, err := s.Discover(t.Context()); err == nil {
		t.Error("a closed source answers")
	}
	gone(t, second)
}

// More sources than may wait end the one that waits longest.
func TestKeptChildren(t *testing.T) {
	p := pool(t, 256<<20)
	var pids []int
	for n := range 5 {
		pids = append(pids, pidOf(t, p, strconv.Itoa(n), "0", nil))
	}
	gone(t, pids[0])
	for n := 1; n < 5; n++ {
		if pid := pidOf(t, p, strconv.Itoa(n), "0", nil); pid != pids[n] {
			t.Errorf("source %d: child %d was not kept, %d came", n, pids[n], pid)
		}
	}
}

// What a source has let go of is given back when it is closed: its child is small
// enough to be kept.
func TestKeptChildGivesBack(t *testing.T) {
	if extract.Racing {
		t.Skip("the race detector's own memory stays")
	}
	p := pool(t, 512<<20)
	var pids [2]string
	for i := range pids {
		s, err := p.Open(t.Context(), "acme/a", "hoards", nil, nil, driver.Limits{BatchRows: 10})
		if err != nil {
			t.Fatal(err)
		}
		tables, err := s.Discover(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pids[i] = tables[0].Columns[0].Comment
		s.Close()
	}
	if pids[0] != pids[1] {
		t.Errorf("child %s was not kept, %s came", pids[0], pids[1])
	}
}

// gone waits until there is no such process.
func gone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("child %d is still there", pid)
		}
	}
}
