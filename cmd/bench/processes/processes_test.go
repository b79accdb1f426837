package processes

import (
	"os"
	"os/exec"
	"testing"
)

// The memory of a process's children counts.
func TestMemoryOfChildren(t *testing.T) {
	if _, err := os.Stat("/proc/self/smaps_rollup"); err != nil {
		t.Skip("only Linux tells")
	}
	alone := WatchMemory(os.Getpid())
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
	m := Held(child.Process.Pid)
	if !found || own == 0 || m["Pss"] == 0 || m["Pss"] > m["Rss"] || m["Pss_Anon"] >= m["Pss"] {
		t.Errorf("child found: %v, it holds %v; this process %d bytes", found, m, own)
	}
}
