package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMistakesSayWhatToDo reads the messages of what people get wrong first.
func TestMistakesSayWhatToDo(t *testing.T) {
	t.Parallel() // it waits more than it computes
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "data")
	for name, c := range map[string]struct{ args, want []string }{
		"no command":      {nil, []string{"'headwater --help'"}},
		"a flag too many": {[]string{"sync", "--foo"}, []string{"--foo", "'headwater sync --help'"}},
		"no such command": {[]string{"lst"}, []string{"lst", "list", "'headwater --help'"}},
		"a missing flag":  {[]string{"connect", "--type", "file"}, []string{"--name", "'headwater connect --help'"}},
		"no such choice":  {[]string{"schedule", "set", "shop", "--missed", "all"}, []string{`--missed must be one of "once","skip" but got "all"`, "'headwater schedule set --help'"}},
		"a token where no service was": {[]string{"token", "--org", "a", "--user", "b", "--data-dir", elsewhere},
			[]string{filepath.Join(elsewhere, "keys", "jwt.key"), "headwater serve", "--data-dir"}},
		"a busy port": {[]string{"serve", "--data-dir", dir, "--nats-listen", "off", "--metrics-listen", "off", "--listen", taken.Addr().String()},
			[]string{taken.Addr().String(), "in use", "choose another address with --listen"}},
	} {
		err := run(t.Context(), c.args, nil, io.Discard, io.Discard)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want it to say %s", name, err, want)
			}
		}
	}
	if _, err := os.Stat(elsewhere); err == nil {
		t.Error("headwater token made a key that no service knows")
	}
}

// TestServedTwice starts a second service over the folder of the first.
func TestServedTwice(t *testing.T) {
	t.Parallel() // it waits more than it computes
	n := startTestNode(t, testConfig(t))
	err := run(t.Context(), []string{"serve", "--data-dir", n.cfg.DataDir, "--listen", "127.0.0.1:0", "--nats-listen", "off", "--metrics-listen", "off"}, nil, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "another process uses it; stop that one first") {
		t.Errorf("got %v", err)
	}
}

func TestProgramAsItWasCalled(t *testing.T) {
	for called, want := range map[string]string{
		"headwater":                "headwater",
		"./headwater":              "./headwater",
		"/usr/local/bin/headwater": "/usr/local/bin/headwater",
		filepath.Join(os.TempDir(), "go-build1", "b001", "exe", "headwater"): "headwater",
	} {
		if got := program(called); got != want {
			t.Errorf("program(%s) = %s, want %s", called, got, want)
		}
	}
}

// TestClosedTerminal expects a hang-up to drain like a SIGTERM.
func TestClosedTerminal(t *testing.T) {
	// Whom nohup told to ignore it passes that on, but not while it listens.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	p := startProcess(t, filepath.Join(t.TempDir(), "data"), freePort(t))
	signal.Stop(caught)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	said := func() bool { return bytes.Contains(p.log.Bytes(), []byte("draining")) }
	for deadline := time.Now().Add(testLimit); !said() && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if !said() {
		p.kill()
		t.Fatalf("a hang-up did not drain the service:\n%s", p.log.Bytes())
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}
