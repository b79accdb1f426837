package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"headwater/api/auth"
)

const (
	// A neighbour's call may take this many times what it takes alone ...
	fairTimes = 3
	// ... or this long: a process waits for its turn on a processor, and nobody for
	// a place that another has.
	fairFloor = 10 * time.Millisecond
	// With the race detector, and other tests beside it, the same work takes longer.
	// Who waits for a place that another has waits for tens of seconds.
	busyFloor = 8 * time.Second
	// What others do on the machine passes: so often it is tried again.
	fairTries = 5
)

// TestOneOrganizationDoesNotSlowAnother floods a service in one organization's
// name, each time with something else that it may do, and measures the connects,
// syncs and lists of another organization beside it. -v shows the table. The short
// form takes the floods that hold places, and finds whoever waits for one.
func TestOneOrganizationDoesNotSlowAnother(t *testing.T) {
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nbeside\tconnect\talone\tsync\talone\tlist\talone\tanswers of the flood\n")
	var f *fair
	var alone map[string]time.Duration // of one service: its floods are measured by the same
	for _, flood := range floods() {
		rounds, tries, floor := 9, fairTries, fairFloor
		if testing.Short() {
			if rounds, tries, floor = 1, 3, busyFloor; !flood.waits {
				continue
			}
		}
		var beside map[string]time.Duration
		var done string
		for range tries {
			if f == nil || !testing.Short() { // else what is left of one flood is part of the next
				f, alone = startFair(t), nil
			}
			if alone == nil {
				alone = f.measure(rounds + 2)
			}
			f.mute.Store(flood.name == "syncs of silent servers")
			stop := f.flood(flood.name)
			time.Sleep(200 * time.Millisecond) // it has begun; nothing else tells
			beside = f.measure(rounds)
			if done = stop(); !testing.Short() {
				f.process.kill()
			}
			if !slow(beside, alone, floor) {
				break
			}
		}
		fmt.Fprint(w, flood.name)
		for _, call := range []string{"connect", "sync", "list"} {
			fmt.Fprintf(w, "\t%s\t%s", beside[call], alone[call])
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
	mine       *caller     // acme's
	theirs     string      // evil's token
	silent     string      // host:port that takes connections and says nothing
	mute       atomic.Bool // evil's API answers no more
	airports   []byte
	slowly     int // how many workspaces of evil's have a source of that API
	connecting int
}

func startFair(t *testing.T) *fair {
	f := &fair{t: t, dir: filepath.Join(t.TempDir(), "data"), nats: freePort(t)}
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
