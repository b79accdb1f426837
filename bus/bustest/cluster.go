// Package bustest runs a cluster of real NATS servers, each in its own process,
// for tests that kill them.
package bustest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/connectors/drivertest/ports"
)

// limit is how long a server may take to start, and a cluster to agree.
const limit = time.Minute

// Cluster is a set of NATS servers that form a cluster. Its methods are safe for
// concurrent use, except for the same server.
type Cluster struct {
	URL     string // of all servers, separated by commas
	routes  string
	config  string // file with further settings of every server
	servers []*process
	network *network // nil: servers and clients connect directly
}

// process is one server; cmd is nil while it is not running.
type process struct {
	name, dir, url string
	client, route  string
	monitor        string
	mu             sync.Mutex
	cmd            *exec.Cmd
	leash          io.Closer
	log            buffer
}

// New prepares a cluster of n servers on free loopback ports, with storage in
// the test's folder. It starts none. Servers still running at the end of the
// test are killed. The test binary must call Main first.
func New(t testing.TB, n int) *Cluster {
	t.Helper()
	c := &Cluster{}
	var urls, routes []string
	ports := freePorts(t, 3*n)
	for i := range n {
		s := &process{name: fmt.Sprintf("n%d", i+1), dir: filepath.Join(t.TempDir(), "nats"), client: ports[3*i], route: ports[3*i+1], monitor: ports[3*i+2]}
		s.url = "nats://" + s.client
		c.servers = append(c.servers, s)
		urls, routes = append(urls, s.url), append(routes, "nats://"+s.route)
	}
	c.URL, c.routes = strings.Join(urls, ","), strings.Join(routes, ",")
	t.Cleanup(func() {
		for i, s := range c.servers {
			c.Kill(i)
			if t.Failed() {
				t.Logf("%s said:\n%s", s.name, s.log.tail(4<<10))
			}
		}
	})
	return c
}

// Start runs a cluster of n servers and returns when it can store messages with
// n copies.
func Start(t testing.TB, n int) *Cluster {
	t.Helper()
	c := New(t, n)
	for i := range n {
		c.Start(t, i)
	}
	c.WaitFormed(t)
	return c
}

// StartParted is Start with links between the servers, and between them and
// clients that use URL. CutPeers and CutOff interrupt the links.
func StartParted(t testing.TB, n int) *Cluster {
	t.Helper()
	c := New(t, n)
	var clients, routes, urls []string
	for _, s := range c.servers {
		clients, routes = append(clients, s.client), append(routes, s.route)
	}
	c.network = newNetwork(t, clients, routes)
	for _, l := range c.network.clients {
		urls = append(urls, "nats://"+l.address)
	}
	c.URL = strings.Join(urls, ",")
	for i := range n {
		c.Start(t, i)
	}
	c.WaitFormed(t)
	return c
}

// StartConfigured is Start with a configuration file for all servers, in which
// login is a user who may store messages.
func StartConfigured(t testing.TB, n int, config string, login *url.Userinfo) *Cluster {
	t.Helper()
	c := New(t, n)
	c.config = config
	c.URL = strings.ReplaceAll(c.URL, "nats://", "nats://"+login.String()+"@")
	for i := range n {
		c.Start(t, i)
	}
	c.WaitFormed(t)
	return c
}

// Address returns the host:port at which server i accepts clients.
func (c *Cluster) Address(i int) string { return c.servers[i].client }

// Start runs server i, counted from 0, which must not be running, and returns
// when it accepts clients.
func (c *Cluster) Start(t testing.TB, i int) {
	t.Helper()
	s := c.servers[i]
	given := settings{Name: s.name, Dir: s.dir, Client: s.client, Route: s.route, Monitor: s.monitor, Routes: c.routes, Config: c.config}
	if c.network != nil {
		// Servers tell each other their addresses. Routes outside the links must
		// lead nowhere, or a cut could be bypassed.
		given.Routes = c.network.from(i)
		given.AdvertisedClient, given.AdvertisedRoute = c.network.clients[i].address, c.network.nowhere
	}
	told, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], mainArgument, string(told))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	// The server exits when its input closes, so it ends with the test in any
	// case.
	leash, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.cmd, s.leash = cmd, leash
	s.mu.Unlock()
	eventually(t, s.name+" takes clients", func() error {
		conn, err := net.DialTimeout("tcp", s.client, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Kill ends server i with SIGKILL, if it is running, and waits for its end.
func (c *Cluster) Kill(i int) {
	s := c.servers[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	_ = s.leash.Close()
	s.cmd = nil
}

// Leader returns the index of the server that leads the stream. It waits until
// one does.
func (c *Cluster) Leader(t testing.TB, stream string) (leader int) {
	t.Helper()
	c.ask(t, "a leader of "+stream, func(ctx context.Context, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		if cluster := s.CachedInfo().Cluster; cluster != nil {
			for i, s := range c.servers {
				if s.name == cluster.Leader {
					leader = i
					return nil
				}
			}
		}
		return errors.New("no leader")
	})
	return leader
}

// WaitCurrent waits until every copy of every stream and durable consumer exists
// and is up to date.
func (c *Cluster) WaitCurrent(t testing.TB) {
	t.Helper()
	c.ask(t, "every copy is current", func(ctx context.Context, js jetstream.JetStream) error {
		streams := js.ListStreams(ctx)
		for info := range streams.Info() {
			if info.Cluster == nil || info.Cluster.Leader == "" {
				return fmt.Errorf("%s has no leader", info.Config.Name)
			}
			if len(info.Cluster.Replicas)+1 < info.Config.Replicas {
				return fmt.Errorf("%s has %d copies", info.Config.Name, len(info.Cluster.Replicas)+1)
			}
			for _, r := range info.Cluster.Replicas {
				if !r.Current || r.Offline {
					return fmt.Errorf("%s on %s is behind", info.Config.Name, r.Name)
				}
			}
		}
		return streams.Err()
	})
}

// WaitFormed waits until the servers store a stream with a copy on each.
func (c *Cluster) WaitFormed(t testing.TB) {
	t.Helper()
	c.ask(t, "the cluster stores", func(ctx context.Context, js jetstream.JetStream) error {
		const probe = "FORMED"
		if _, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: probe, Replicas: len(c.servers)}); err != nil {
			return err
		}
		return js.DeleteStream(ctx, probe)
	})
}

func (c *Cluster) ask(t testing.TB, what string, question func(context.Context, jetstream.JetStream) error) {
	t.Helper()
	nc, err := nats.Connect(c.URL, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, what, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return question(ctx, js)
	})
}

func eventually(t testing.TB, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for: %s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// freePorts returns loopback addresses with free ports.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var addresses []string
	for range n {
		port, err := ports.Take()
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, ports.Address(port))
	}
	return addresses
}

// buffer collects a server's output.
type buffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *buffer) tail(n int) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.all.Bytes()
	return bytes.Clone(all[max(0, len(all)-n):])
}
