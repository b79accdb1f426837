package ports

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
)

const claimVariable = "PORTS_TEST_CLAIM"

func TestMain(m *testing.M) {
	var port int
	if _, err := fmt.Sscan(os.Getenv(claimVariable), &port); err != nil {
		os.Exit(m.Run())
	}
	if _, err := claimed(port); err != nil {
		fmt.Println("refused")
	}
}

func TestEveryPortIsTakenOnce(t *testing.T) {
	var mu sync.Mutex
	had := map[int]bool{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 40 {
				port, err := Take()
				if err != nil {
					t.Error(err)
					return
				}
				l, err := net.Listen("tcp", Address(port))
				if err != nil {
					t.Error(err)
					return
				}
				l.Close()
				mu.Lock()
				if had[port] {
					t.Errorf("port %d twice", port)
				}
				had[port] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

func TestAPortIsKeptFromOtherProcesses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a way")
	}
	port, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command(os.Args[0])
	other.Env = []string{fmt.Sprint(claimVariable, "=", port)}
	out, err := other.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("refused")) {
		t.Errorf("another process has it, too: %v %s", err, strings.TrimSpace(string(out)))
	}
}
