package bustest

import (
	"net"
	"strings"
	"sync"
	"testing"
)

// network is the set of links between the servers of a cluster, and between them
// and clients. It loses and refuses nothing: held data arrives after Heal, as
// over a network that retransmits.
type network struct {
	clients []*link   // to server i
	routes  [][]*link // from server i to server j
	nowhere string    // an address where nobody answers
}

// newNetwork creates links to the servers at the given addresses.
func newNetwork(t testing.TB, clients, routes []string) *network {
	t.Helper()
	n := &network{routes: make([][]*link, len(routes)), nowhere: freePorts(t, 1)[0]}
	for _, to := range clients {
		n.clients = append(n.clients, newLink(t, to))
	}
	for from := range routes {
		for to, address := range routes {
			var l *link
			if from != to {
				l = newLink(t, address)
			}
			n.routes[from] = append(n.routes[from], l)
		}
	}
	return n
}

// from returns the routes of server i to all others.
func (n *network) from(i int) string {
	var urls []string
	for _, l := range n.routes[i] {
		if l != nil {
			urls = append(urls, "nats://"+l.address)
		}
	}
	return strings.Join(urls, ",")
}

// CutPeers holds all data between server i and the other servers of a cluster
// started with StartParted; its clients still reach it.
func (c *Cluster) CutPeers(i int) {
	for other := range c.servers {
		if other != i {
			c.network.routes[i][other].hold()
			c.network.routes[other][i].hold()
		}
	}
}

// CutOff is CutPeers, and also holds the data between the server and its
// clients.
func (c *Cluster) CutOff(i int) {
	c.CutPeers(i)
	c.network.clients[i].hold()
}

// Heal lets data through again, first what was held.
func (c *Cluster) Heal() {
	for i, l := range c.network.clients {
		l.release()
		for _, l := range c.network.routes[i] {
			if l != nil {
				l.release()
			}
		}
	}
}

// link is a listener whose connections lead to another address.
type link struct {
	address, to string

	mu    sync.Mutex
	open  chan struct{} // closed while the link lets data through
	ended bool
	conns map[net.Conn]struct{}
}

func newLink(t testing.TB, to string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{address: listener.Addr().String(), to: to, open: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	close(l.open)
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			ended.Go(func() { l.join(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.release()
		l.end()
		ended.Wait()
	})
	return l
}

// join carries one connection until either end closes.
func (l *link) join(conn net.Conn) {
	defer conn.Close()
	<-l.gate()
	far, err := net.Dial("tcp", l.to)
	if err != nil {
		return
	}
	defer far.Close()
	if !l.remember(conn, far) {
		return
	}
	defer l.forget(conn, far)
	var both sync.WaitGroup
	both.Go(func() { l.carry(conn, far) })
	both.Go(func() { l.carry(far, conn) })
	both.Wait()
}

// carry copies from one connection to another while the link is open, and closes
// both when either ends.
func (l *link) carry(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		<-l.gate()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *link) gate() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

func (l *link) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.open:
		l.open = make(chan struct{})
	default:
	}
}

func (l *link) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.open:
	default:
		close(l.open)
	}
}

func (l *link) remember(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range conns {
		l.conns[conn] = struct{}{}
	}
	return !l.ended
}

func (l *link) forget(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range conns {
		delete(l.conns, conn)
	}
}

func (l *link) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for conn := range l.conns {
		_ = conn.Close()
	}
}
