package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/cmd/headwater/terminal"
)

// process is the program in a process of its own, for tests that kill it.
type process struct {
	cmd  *exec.Cmd
	base string
	log  *lockedBuffer
}

// startProcess runs `headwater serve` over dir and waits until it answers.
func startProcess(t *testing.T, dir, listen string, flags ...string) *process {
	t.Helper()
	return startProcessOf(t, "", dir, listen, flags...)
}

// startProcessOf is startProcess of a program that was built, or of this test's
// own for "".
func startProcessOf(t *testing.T, program, dir, listen string, flags ...string) *process {
	t.Helper()
	p := &process{base: "http://" + listen + "/api/v1", log: new(lockedBuffer)}
	if program == "" {
		program = os.Args[0]
	}
	p.cmd = exec.Command(program, append([]string{"serve", "--data-dir", dir, "--listen", listen, "--nats-listen", "off", "--metrics-listen", "off", "--files-of", "acme"}, flags...)...)
	p.cmd.Env = programEnv()
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	serves := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(io.TeeReader(stderr, p.log))
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "headwater serves at") {
				close(serves)
			}
		}
	}()
	select {
	case <-serves:
	case <-time.After(2 * testLimit):
		p.kill()
		t.Fatalf("the service did not start:\n%s", p.log.Bytes())
	}
	return p
}

// kill ends the process as a power cut would, by its own id.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// promise is what the service told a client before it was killed.
type promise struct {
	name, id string // a source that was answered as connected
	gone     bool   // or, later, as removed
}

// TestKilledAtAnyMoment kills the service with SIGKILL again and again while
// clients connect, sync and remove sources. What was answered with a 2xx must be
// there after the restart, and every accepted operation must end.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel() // it waits more than it computes
	rounds := 6
	if testing.Short() {
		rounds = 3
	}
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(filepath.Join(dir, "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	const rows = 3_000
	var csv bytes.Buffer
	csv.WriteString("id,name,amount\n")
	for i := range rows {
		fmt.Fprintf(&csv, "%d,name %d,%d.25\n", i, i, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "files", "rows.csv"), csv.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	token := new(bytes.Buffer)
	if _, err := auth.LoadOrCreateKey(filepath.Join(dir, "keys", "jwt.key")); err != nil {
		t.Fatal(err)
	}
	tokens := &TokenCmd{Org: "acme", User: "ada", Role: "editor", TTL: time.Hour, DataDir: dir}
	if err := tokens.Run(t.Context(), terminal.Streams{Out: token, Err: io.Discard}); err != nil {
		t.Fatal(err)
	}

	var (
		mu         sync.Mutex
		promised   = map[string]*promise{}
		operations []string
	)
	listen := freePort(t)
	for round := range rounds {
		p := startProcess(t, dir, listen)
		c := &caller{t: t, base: p.base, token: strings.TrimSpace(token.String())}
		checkPromises(t, c, promised, operations, rows)
		if t.Failed() {
			p.kill()
			t.Fatalf("round %d; the service said:\n%s", round, p.log.Bytes())
		}

		ctx, stop := context.WithCancel(t.Context())
		before := len(operations)
		var clients sync.WaitGroup
		for client := range 3 {
			clients.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					name := fmt.Sprintf("r%d-c%d-%d", round, client, i)
					a, err := c.try("POST", "/data/w/connect", object{"sources": []object{{
						"type": "file", "name": name, "connection_config": object{"path": "rows.csv"}}}})
					if err != nil || a.Code != 200 {
						continue
					}
					var connected struct {
						Sources []struct{ ID string } `json:"connected_sources"`
					}
					if json.Unmarshal(a.Data, &connected) != nil || len(connected.Sources) != 1 {
						t.Errorf("connect answered %s", a.Body)
						return
					}
					id := connected.Sources[0].ID
					mu.Lock()
					promised[name] = &promise{name: name, id: id}
					mu.Unlock()
					a, err = c.try("POST", "/data/w/sync", object{"source_ids": []string{id}}, "Prefer", "respond-async")
					var accepted struct {
						ID string `json:"operation_id"`
					}
					if err == nil && a.Code == 202 && json.Unmarshal(a.Data, &accepted) == nil {
						mu.Lock()
						operations = append(operations, accepted.ID)
						mu.Unlock()
					}
					if i%4 == 3 {
						a, err = c.try("POST", "/data/w/cleanup", object{"source_ids": []string{id}})
						mu.Lock()
						if err == nil && a.Code == 200 {
							promised[name].gone = true
						} else {
							delete(promised, name) // unknown: removed or not
						}
						mu.Unlock()
					}
				}
			})
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			mu.Lock()
			some := len(operations) > before
			mu.Unlock()
			if some || time.Now().After(deadline) {
				break
			}
		}
		time.Sleep(rand.N(1200 * time.Millisecond)) // the moment is the point
		p.kill()
		stop()
		clients.Wait()
	}

	p := startProcess(t, dir, listen)
	defer p.kill()
	c := &caller{t: t, base: p.base, token: strings.TrimSpace(token.String())}
	checkPromises(t, c, promised, operations, rows)
	t.Logf("%d kills, %d answered sources, %d accepted syncs", rounds, len(promised), len(operations))
	if len(promised) == 0 || len(operations) == 0 {
		t.Error("the clients got nothing done: nothing was tested")
	}
	if t.Failed() {
		t.Logf("the service said:\n%s", p.log.Bytes())
	}
	// SIGTERM drains and ends by itself.
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("SIGTERM: %v\n%s", err, p.log.Bytes())
		}
	case <-time.After(drainLimit + busy):
		t.Errorf("SIGTERM did not end the service within %s", drainLimit+busy)
	}
}

// checkPromises waits until every accepted operation has ended, and compares
// what is there with what was answered.
func checkPromises(t *testing.T, c *caller, promised map[string]*promise, operations []string, rows int64) {
	t.Helper()
	deadline := time.Now().Add(2 * testLimit)
	for _, id := range operations {
		for {
			a := c.get("/data/w/operations/" + id)
			var o struct{ Status string }
			a.into(t, &o)
			if a.Code == 200 && o.Status != "running" {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("operation %s has not ended: %d %s", id, a.Code, a.Body)
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	var listed []struct {
		ID, Name, Status string
		Records          int64
		LastSync         *struct{ Status string } `json:"last_sync"`
	}
	c.get("/data/w/list").into(t, &listed)
	found := map[string]bool{}
	for _, s := range listed {
		if found[s.Name] {
			t.Errorf("%s is listed twice", s.Name)
		}
		found[s.Name] = true
		if p := promised[s.Name]; p != nil && !p.gone && p.id != s.ID {
			t.Errorf("%s was answered with id %s and has id %s", s.Name, p.id, s.ID)
		}
		if s.LastSync != nil && s.LastSync.Status == "completed" && s.Records != rows {
			t.Errorf("%s landed %d records, the source has %d", s.Name, s.Records, rows)
		}
	}
	for name, p := range promised {
		if found[name] == p.gone {
			t.Errorf("%s: answered as removed: %v, listed: %v", name, p.gone, found[name])
		}
	}
}
