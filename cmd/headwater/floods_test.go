package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// floodVariable makes a flooder of this test's program: it holds one as JSON.
const floodVariable = "HEADWATER_TEST_FLOOD"

// flood is something that one organization does as often as it can: each does it
// once, and is called by many again and again, or holds something until ctx ends.
type flood struct {
	name  string
	waits bool // it holds places rather than work; the others are left to the long suite
	holds bool // each of them holds something, and it has begun when all do
	many  int
	each  func(ctx context.Context, worker, time int)
}

// flooder is a process that floods in evil's name. It is a process of its own, and
// one that gives way to all others, because those who flood a service do not work on
// its processors: what its neighbours feel is to be the service's doing.
type flooder struct {
	Name, Base, NATS, Token string
	Silent                  string // host:port that takes connections and says nothing
	Slowly                  int    // how many workspaces have a source of an API
	Most                    int    // of those that flood at once, 0 for as many as there are

	client  *http.Client
	holding sync.WaitGroup // for those that hold nothing yet
	mu      sync.Mutex
	answers map[int]int
}

// floods returns what evil does, to be looked at.
func floods() []flood { return new(flooder).all() }

// flood begins one, and returns what ends it and tells of its answers.
func (f *fair) flood(name string) (stop func() string) {
	f.t.Helper()
	of := flooder{Name: name, Base: f.process.base, NATS: f.nats, Token: f.theirs, Silent: f.silent, Slowly: f.slowly}
	if testing.Short() {
		of.Most = 40 // more than there are places
	}
	told, err := json.Marshal(&of)
	if err != nil {
		f.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{floodVariable + "=" + string(told), raceSettings}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Stderr = os.Stderr
	hold, err := cmd.StdinPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	if err := syscall.Setpriority(syscall.PRIO_PGRP, cmd.Process.Pid, 15); err != nil {
		f.t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		f.t.Fatalf("the flood of %s did not begin: %v", name, err)
	}
	return func() string {
		hold.Close()
		answers, err := io.ReadAll(lines)
		if err := errors.Join(err, cmd.Wait()); err != nil {
			f.t.Errorf("the flood of %s ended: %v", name, err)
		}
		return string(answers)
	}
}

// runFlood floods until its standard input ends, and writes how it was answered.
func runFlood(told string) {
	f := &flooder{answers: map[int]int{}, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	if err := json.Unmarshal([]byte(told), f); err != nil {
		panic(err)
	}
	all := f.all()
	of := all[slices.IndexFunc(all, func(one flood) bool { return one.name == f.Name })]
	if f.Most > 0 {
		of.many = min(of.many, f.Most)
	}
	if of.holds {
		f.holding.Add(of.many)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	for worker := range of.many {
		working.Go(func() {
			for time := 0; ctx.Err() == nil; time++ {
				of.each(ctx, worker, time)
			}
		})
	}
	begun := make(chan struct{})
	go func() {
		defer close(begun)
		f.holding.Wait()
	}()
	select {
	case <-begun:
		fmt.Println("begun")
	case <-time.After(time.Minute): // it ends without having begun
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	cancel()
	working.Wait()
	var lines []string
	for code, n := range f.answers {
		lines = append(lines, fmt.Sprintf("%d x %d", n, code))
	}
	slices.Sort(lines)
	fmt.Print(strings.Join(lines, ", "))
}

// ask makes one call in evil's name and forgets the answer.
func (f *flooder) ask(ctx context.Context, method, path string, body any, header ...string) {
	var in io.Reader
	if body != nil {
		encoded, _ := json.Marshal(body)
		in = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, f.Base+path, in)
	if err != nil {
		return
	}
	request.Header.Set("Authorization", "Bearer "+f.Token)
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := f.client.Do(request)
	if err != nil {
		return
	}
	f.count(answer.StatusCode)
	_, _ = io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	if answer.StatusCode == http.StatusTooManyRequests {
		pause(ctx, 100*time.Millisecond) // less than it was told
	}
}

func (f *flooder) count(code int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[code]++
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// hold opens a connection, writes a request and reads nothing until ctx ends.
func (f *flooder) hold(ctx context.Context, request string) {
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(f.Base, "http://"), "/api/v1"))
	if err != nil {
		pause(ctx, 50*time.Millisecond)
		return
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprint(conn, request)
	<-ctx.Done()
}

// floods are what evil does.
func (f *flooder) all() []flood {
	silent, _, _ := net.SplitHostPort(f.Silent)
	_, port, _ := net.SplitHostPort(f.Silent)
	database := object{"host": silent, "port": json.Number(port), "database": "d", "username": "u", "password": "p", "sslmode": "disable"}
	head := "Host: x\r\nAuthorization: Bearer " + f.Token + "\r\n"
	large := strings.Repeat("x", 900<<10)
	return []flood{
		{"tests of a silent server", true, false, 64, func(ctx context.Context, _, _ int) {
			f.ask(ctx, "POST", "/data/w1/test-connection", object{"source_config": object{"type": "postgresql", "connection_config": database}})
		}},
		{"connects of a silent server", true, false, 64, func(ctx context.Context, worker, time int) {
			f.ask(ctx, "POST", fmt.Sprintf("/data/w%d/connect", worker), object{"sources": []object{{"type": "postgresql", "name": fmt.Sprint("n", time), "connection_config": database}}})
		}},
		{"connects of files", false, false, 16, func(ctx context.Context, worker, time int) {
			f.ask(ctx, "POST", fmt.Sprintf("/data/w%d/connect", worker), object{"sources": []object{fileSource(fmt.Sprint("n", time))}})
		}},
		{"syncs", true, false, 16, func(ctx context.Context, _, _ int) { f.ask(ctx, "POST", "/data/w1/sync", object{}) }},
		{"syncs of silent servers", true, false, 32, func(ctx context.Context, worker, _ int) {
			f.ask(ctx, "POST", fmt.Sprintf("/data/s%d/sync", worker%f.Slowly), object{"sync_options": object{"timeout": "20s"}})
		}},
		{"lists", false, false, 16, func(ctx context.Context, _, _ int) { f.ask(ctx, "GET", "/data/w1/list", nil) }},
		{"pages of events", false, false, 16, func(ctx context.Context, _, _ int) { f.ask(ctx, "GET", "/data/w1/events?limit=1000", nil) }},
		{"event streams", true, false, 200, func(ctx context.Context, worker, _ int) {
			f.ask(ctx, "GET", fmt.Sprintf("/data/w%d/events", worker), nil, "Accept", "text/event-stream")
		}},
		{"webhooks of a silent receiver", true, false, 8, func(ctx context.Context, worker, _ int) {
			f.ask(ctx, "POST", fmt.Sprintf("/data/w%d/webhooks", worker), object{"url": "http://" + f.Silent + "/", "after": 0})
		}},
		{"subscriptions over NATS", true, true, 60, func(ctx context.Context, _, _ int) {
			nc, err := nats.Connect("nats://"+f.NATS, nats.UserInfo("any", f.Token), nats.NoReconnect())
			if err != nil {
				f.count(0)
				pause(ctx, 100*time.Millisecond)
				return
			}
			defer nc.Close()
			for range 1000 {
				_, _ = nc.Subscribe("headwater.events.evil.*._.>", func(*nats.Msg) {})
			}
			if err := nc.FlushTimeout(time.Minute); err != nil {
				f.count(0)
				return
			}
			f.count(1000)
			f.holding.Done()
			<-ctx.Done()
		}},
		{"answers that nobody reads", true, false, 200, func(ctx context.Context, _, _ int) {
			f.hold(ctx, "GET /api/v1/data/w1/events?limit=1000 HTTP/1.1\r\n"+head+"\r\n")
		}},
		{"bodies that never come", true, false, 200, func(ctx context.Context, _, _ int) {
			f.hold(ctx, "POST /api/v1/data/w1/connect HTTP/1.1\r\n"+head+"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
		}},
		{"huge bodies", false, false, 16, func(ctx context.Context, _, _ int) {
			f.ask(ctx, "POST", "/data/w1/connect", object{"sources": []object{{"type": "api", "name": "n", "connection_config": object{"base_url": "http://127.0.0.1:1/", "api_key": large}}}})
		}},
	}
}
