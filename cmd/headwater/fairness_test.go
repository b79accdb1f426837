package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"

	"headwater/api/auth"
)

const (
	// A neighbour's call may take this many times what it takes alone ...
	fairTimes = 3
	// ... or this long: what takes less is work on two processors that others use
	// as well. Who waits for a place that another has waits for tens of seconds.
	fairFloor = 2 * time.Second
	// With the race detector, and other tests beside it, that work takes longer.
	busyFloor = 8 * time.Second
)

// TestOneOrganizationDoesNotSlowAnother floods a service in one organization's
// name, each time with something else that it may do, and measures the connects,
// syncs and lists of another organization beside it. -v shows the table.
func TestOneOrganizationDoesNotSlowAnother(t *testing.T) {
	f := startFair(t)
	rounds, floor := 9, fairFloor
	if testing.Short() {
		rounds = 1
	}
	if racing {
		floor = busyFloor
	}
	alone := f.measure(rounds + 2)
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nbeside\tconnect\tsync\tlist\tanswers of the flood\nnothing\t%s\t%s\t%s\t\n", alone["connect"], alone["sync"], alone["list"])
	for _, flood := range f.floods() {
		if testing.Short() {
			if !flood.waits {
				continue
			}
			flood.many = min(flood.many, 40) // more than there are places
		}
		stop := f.flood(flood)
		time.Sleep(200 * time.Millisecond) // it has begun; nothing else tells
		beside := f.measure(rounds)
		for range 2 { // what others do on the machine passes, a place that is taken does not
			if !slow(beside, alone, floor) {
				break
			}
			for call, took := range f.measure(rounds) {
				beside[call] = min(beside[call], took)
			}
		}
		done := stop()
		fmt.Fprint(w, flood.name)
		for _, call := range []string{"connect", "sync", "list"} {
			fmt.Fprintf(w, "\t%s", beside[call])
			if slower(beside[call], alone[call], floor) {
				t.Errorf("beside %s a %s takes %s, alone %s", flood.name, call, beside[call], alone[call])
			}
		}
		fmt.Fprintf(w, "\t%s\n", done)
	}
	w.Flush()
	t.Log(table.String())
}

// slower reports whether a call is slowed by more than the work of others.
func slower(beside, alone, floor time.Duration) bool { return beside > max(fairTimes*alone, floor) }

// slow is slower of any call.
func slow(beside, alone map[string]time.Duration, floor time.Duration) bool {
	for call, took := range beside {
		if slower(took, alone[call], floor) {
			return true
		}
	}
	return false
}

// fair is a service with two organizations.
type fair struct {
	t          *testing.T
	process    *process
	dir, nats  string
	key        []byte
	mine       *caller // acme's
	theirs     string  // evil's token
	client     *http.Client
	silent     string      // host:port that takes connections and says nothing
	mute       atomic.Bool // evil's API answers no more
	airports   []byte
	slowly     int // how many workspaces of evil's have a source of that API
	mu         sync.Mutex
	answers    map[int]int
	connecting int
}

func startFair(t *testing.T) *fair {
	f := &fair{t: t, dir: filepath.Join(t.TempDir(), "data"), nats: freePort(t), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	t.Cleanup(f.client.CloseIdleConnections)
	listen := freePort(t)
	f.process = startProcess(t, f.dir, listen, "--files-of", "each", "--nats-listen", f.nats, "--egress-allow", "127.0.0.0/8")
	t.Cleanup(f.process.kill)
	var err error
	if f.key, err = auth.LoadOrCreateKey(filepath.Join(f.dir, "keys", "jwt.key")); err != nil {
		t.Fatal(err)
	}
	if f.airports, err = os.ReadFile("demodata/airports.csv"); err != nil {
		t.Fatal(err)
	}
	for _, organization := range []string{"acme", "evil"} {
		if err := os.MkdirAll(filepath.Join(f.dir, "files", organization), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(f.dir, "files", organization, "airports.csv"), f.airports, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f.silent = l.Addr().String()
	f.mine = &caller{t: t, base: f.process.base, token: f.token("acme", "ada")}
	f.connect(f.mine, "first")
	f.theirs = f.token("evil", "eve")
	evil := &caller{t: t, base: f.process.base, token: f.theirs}
	big := 20
	if f.slowly = 8; testing.Short() {
		big, f.slowly = 4, 4
	}
	for i := range big {
		f.connect(evil, fmt.Sprint("big", i))
	}
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.mute.Load() {
			<-r.Context().Done()
			return
		}
		fmt.Fprint(w, `[{"id":1},{"id":2},{"id":3}]`)
	}))
	t.Cleanup(func() { slow.CloseClientConnections(); slow.Close() })
	for i := range f.slowly {
		a := evil.post(fmt.Sprintf("/data/s%d/connect", i), object{"sources": []object{{"type": "api", "name": "slow",
			"connection_config": object{"base_url": slow.URL, "paths": []string{"rows"}}}}})
		if a.Code != http.StatusOK {
			t.Fatalf("connect: %d %s", a.Code, a.Body)
		}
	}
	return f
}

func (f *fair) token(organization, user string) string {
	f.t.Helper()
	tokens, err := auth.New(f.t.Context(), auth.Config{Key: f.key})
	if err != nil {
		f.t.Fatal(err)
	}
	token, err := tokens.Issue(auth.Claims{Organization: organization, Username: user, Role: auth.RoleEditor}, time.Hour)
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

func fileSource(name string) object {
	return object{"type": "file", "name": name, "connection_config": object{"path": "airports.csv"}}
}

func (f *fair) connect(c *caller, name string) {
	f.t.Helper()
	if a := c.post("/data/w1/connect", object{"sources": []object{fileSource(name)}}); a.Code != http.StatusOK {
		f.t.Fatalf("connect: %d %s", a.Code, a.Body)
	}
}

// measure returns the medians of acme's calls.
func (f *fair) measure(rounds int) map[string]time.Duration {
	f.t.Helper()
	all := map[string][]time.Duration{}
	timed := func(call string, do func()) {
		began := time.Now()
		do()
		all[call] = append(all[call], time.Since(began))
	}
	for range rounds {
		f.connecting++
		timed("connect", func() { // which goes on behind a 202
			a := f.mine.post("/data/w1/connect", object{"sources": []object{fileSource(fmt.Sprint("s", f.connecting))}})
			if a.Code != http.StatusOK && a.Code != http.StatusAccepted {
				f.t.Errorf("connect: %d %s", a.Code, a.Body)
			}
		})
		timed("sync", func() {
			if a := f.mine.post("/data/w1/sync", object{"source_ids": f.first()}); a.Code != http.StatusOK && a.Code != http.StatusAccepted {
				f.t.Errorf("sync: %d %s", a.Code, a.Body)
			}
		})
		for range 5 {
			timed("list", func() {
				if a := f.mine.get("/data/w1/list"); a.Code != http.StatusOK {
					f.t.Errorf("list: %d %s", a.Code, a.Body)
				}
			})
		}
	}
	medians := map[string]time.Duration{}
	for call, took := range all {
		slices.Sort(took)
		medians[call] = took[len(took)/2].Round(100 * time.Microsecond)
	}
	return medians
}

// first returns the id of acme's first source.
func (f *fair) first() []string {
	f.t.Helper()
	var sources []struct{ ID, Name string }
	f.mine.get("/data/w1/list?name=first").into(f.t, &sources)
	if len(sources) != 1 {
		f.t.Fatalf("listed %v", sources)
	}
	return []string{sources[0].ID}
}

// flood is something that one organization does as often as it can: each does it
// once, and is called by many again and again, or holds something until ctx ends.
type flood struct {
	name  string
	waits bool // it holds places rather than work; the others are left to the long suite
	many  int
	each  func(ctx context.Context, worker, time int)
}

// flood begins one, and returns what ends it and tells of its answers.
func (f *fair) flood(of flood) (stop func() string) {
	f.answers = map[int]int{}
	ctx, cancel := context.WithCancel(f.t.Context())
	var working sync.WaitGroup
	for worker := range of.many {
		working.Go(func() {
			for time := 0; ctx.Err() == nil; time++ {
				of.each(ctx, worker, time)
			}
		})
	}
	return func() string {
		cancel()
		working.Wait()
		var told []string
		for code, n := range f.answers {
			told = append(told, fmt.Sprintf("%d x %d", n, code))
		}
		slices.Sort(told)
		return strings.Join(told, ", ")
	}
}

// ask makes one call in evil's name and forgets the answer.
func (f *fair) ask(ctx context.Context, method, path string, body any, header ...string) {
	var in io.Reader
	if body != nil {
		encoded, _ := json.Marshal(body)
		in = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, f.process.base+path, in)
	if err != nil {
		return
	}
	request.Header.Set("Authorization", "Bearer "+f.theirs)
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

func (f *fair) count(code int) {
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
func (f *fair) hold(ctx context.Context, request string) {
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(f.process.base, "http://"), "/api/v1"))
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
func (f *fair) floods() []flood {
	silent, _, _ := net.SplitHostPort(f.silent)
	_, port, _ := net.SplitHostPort(f.silent)
	database := object{"host": silent, "port": json.Number(port), "database": "d", "username": "u", "password": "p", "sslmode": "disable"}
	head := "Host: x\r\nAuthorization: Bearer " + f.theirs + "\r\n"
	large := strings.Repeat("x", 900<<10)
	return []flood{
		{"tests of a silent server", true, 64, func(ctx context.Context, _, _ int) {
			f.ask(ctx, "POST", "/data/w1/test-connection", object{"source_config": object{"type": "postgresql", "connection_config": database}})
		}},
		{"connects of a silent server", true, 64, func(ctx context.Context, worker, time int) {
			f.ask(ctx, "POST", fmt.Sprintf("/data/w%d/connect", worker), object{"sources": []object{{"type": "postgresql", "name": fmt.Sprint("n", time), "connection_config": database}}})
		}},
		{"connects of files", false, 16, func(ctx context.Context, worker, time int) {
			f.ask(ctx, "POST", fmt.Sprintf("/data/w%d/connect", worker), object{"sources": []object{fileSource(fmt.Sprint("n", time))}})
		}},
		{"syncs", true, 16, func(ctx context.Context, _, _ int) { f.ask(ctx, "POST", "/data/w1/sync", object{}) }},
		{"syncs of silent servers", true, 32, func(ctx context.Context, worker, _ int) {
			f.mute.Store(true)
			f.ask(ctx, "POST", fmt.Sprintf("/data/s%d/sync", worker%f.slowly), object{"sync_options": object{"timeout": "20s"}})
		}},
		{"lists", false, 16, func(ctx context.Context, _, _ int) { f.ask(ctx, "GET", "/data/w1/list", nil) }},
		{"pages of events", false, 16, func(ctx context.Context, _, _ int) { f.ask(ctx, "GET", "/data/w1/events?limit=1000", nil) }},
		{"event streams", true, 200, func(ctx context.Context, worker, _ int) {
			f.ask(ctx, "GET", fmt.Sprintf("/data/w%d/events", worker), nil, "Accept", "text/event-stream")
		}},
		{"webhooks of a silent receiver", true, 8, func(ctx context.Context, worker, _ int) {
			f.ask(ctx, "POST", fmt.Sprintf("/data/w%d/webhooks", worker), object{"url": "http://" + f.silent + "/", "after": 0})
		}},
		{"subscriptions over NATS", true, 60, func(ctx context.Context, _, _ int) {
			nc, err := nats.Connect("nats://"+f.nats, nats.UserInfo("any", f.theirs), nats.NoReconnect())
			if err != nil {
				f.count(0)
				pause(ctx, 100*time.Millisecond)
				return
			}
			defer nc.Close()
			for range 1000 {
				_, _ = nc.Subscribe("headwater.events.evil.*._.>", func(*nats.Msg) {})
			}
			f.count(1000)
			<-ctx.Done()
		}},
		{"answers that nobody reads", true, 200, func(ctx context.Context, _, _ int) {
			f.hold(ctx, "GET /api/v1/data/w1/events?limit=1000 HTTP/1.1\r\n"+head+"\r\n")
		}},
		{"bodies that never come", true, 200, func(ctx context.Context, _, _ int) {
			f.hold(ctx, "POST /api/v1/data/w1/connect HTTP/1.1\r\n"+head+"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
		}},
		{"huge bodies", false, 16, func(ctx context.Context, _, _ int) {
			f.ask(ctx, "POST", "/data/w1/connect", object{"sources": []object{{"type": "api", "name": "n", "connection_config": object{"base_url": "http://127.0.0.1:1/", "api_key": large}}}})
		}},
	}
}
