package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// How much a process may allocate before it does anything, for packages alone: the
// client, and every child that a service starts, pay for it. Allocations are
// counted and not time, for they are the same on every machine.
const (
	mostOfPackage = 40_000
	mostOfAll     = 130_000
)

var gcLine = regexp.MustCompile(`(?m)^gc \d+ @`)

var initLine = regexp.MustCompile(`(?m)^init (\S+) @.*, (\d+) allocs$`)

// TestStartIsCheap adds up what the initialisation of every package allocates. A
// library that prepares at its start what only the lake's writer needs is told by
// name: one that did cost 534,000 allocations and two thirds of the start.
func TestStartIsCheap(t *testing.T) {
	cmd := exec.Command(os.Args[0], "--version")
	cmd.Env = programEnv("GODEBUG=inittrace=1,gctrace=1", "GOGC=100")
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("--version: %v", err)
	}
	// The race detector's own memory has the collector work before any package.
	if n := len(gcLine.FindAll(said.Bytes(), -1)); n > 0 && !racing {
		t.Errorf("the collector worked %d times before a client command began: is package collector the first to be initialised?", n)
	}
	all, found := 0, initLine.FindAllStringSubmatch(said.String(), -1)
	for _, line := range found {
		n, err := strconv.Atoi(line[2])
		if err != nil {
			t.Fatal(err)
		}
		if all += n; n > mostOfPackage {
			t.Errorf("%s allocates %d times at the start of every process, %d at most are for one package", line[1], n, mostOfPackage)
		}
	}
	if len(found) < 50 || all > mostOfAll {
		t.Errorf("%d packages allocate %d times at the start of every process, want more than 50 and at most %d", len(found), all, mostOfAll)
	}
}
