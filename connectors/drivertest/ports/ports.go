// Package ports gives servers that tests start a port of their own.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"sync"
)

// Systems give ports beyond these to whoever asks for any, as each outgoing
// connection does. One of those, once it was found free, would be lost to the
// next connection before its server listens, or while its server restarts.
const first, behind = 20_000, 30_000

var (
	mu    sync.Mutex
	taken = map[int]net.Listener{} // what tells other processes; nil where nothing can
)

// Take returns a port of 127.0.0.1 on which nobody listens, and which no other
// call returns while this process runs, on Linux in other processes neither. It
// is safe for concurrent use.
func Take() (int, error) {
	mu.Lock()
	defer mu.Unlock()
	for range 200 {
		port := first + rand.IntN(behind-first)
		if _, ok := taken[port]; ok {
			continue
		}
		claim, err := claimed(port)
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", Address(port))
		if err != nil {
			if claim != nil {
				_ = claim.Close()
			}
			continue
		}
		taken[port] = claim
		return port, l.Close()
	}
	return 0, fmt.Errorf("no port from %d to %d is free", first, behind-1)
}

// claimed keeps the port from other processes until this one ends.
func claimed(port int) (net.Listener, error) {
	if runtime.GOOS != "linux" { // which alone has sockets that are no files
		return nil, nil
	}
	return net.Listen("unix", "@headwater-test-port-"+strconv.Itoa(port))
}

// Address returns the host:port of a port that Take returned.
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
