package connectors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"headwater/connectors/driver"
)

const dialLimit = 10 * time.Second

// errRefused is the policy's answer; it never leaves this file, because it
// would tell an outsider which addresses exist.
var errRefused = errors.New("refused by the egress policy")

// dialer makes every connection of every source. The address is checked when
// the socket connects, after names are resolved, so that no DNS answer and no
// redirect gets around it.
type dialer struct {
	policy Policy
	log    *slog.Logger
	idle   time.Duration
}

// dial is driver.Config.Dial. A refused and an unreachable address fail with
// the same words; the operator's log has the reason.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, driver.E(driver.ErrUnsupported, nil, "network %q cannot be dialled, only TCP", network)
	}
	nd := net.Dialer{Timeout: dialLimit, Control: d.control, KeepAlive: 15 * time.Second}
	conn, err := nd.DialContext(ctx, network, address)
	if err != nil {
		d.log.DebugContext(ctx, "a source could not be dialled", "address", address, "error", err)
		return nil, dialError(ctx, address, err)
	}
	return &watchedConn{Conn: conn, idle: d.idle}, nil
}

// control sees the final address of each socket before it connects.
func (d *dialer) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	if !d.policy.Allows(at.Addr()) {
		return errRefused
	}
	return nil
}

// dialError hides why an address could not be reached. That a name does not
// exist is told: it is the most frequent typing mistake, and says nothing about
// addresses.
func dialError(ctx context.Context, address string, err error) error {
	var dns *net.DNSError
	switch {
	case ctx.Err() != nil:
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "%s was not reached in time", address)
	case errors.As(err, &dns) && dns.IsNotFound:
		return driver.E(driver.ErrUnreachable, &net.DNSError{Err: "no such host", Name: dns.Name, IsNotFound: true}, "the host name of %s is not known: check its spelling", address)
	}
	return driver.E(driver.ErrUnreachable, nil, "%s could not be reached: check host and port, that the server runs and accepts connections from here, and that the operator's egress policy (--egress-allow) allows the address", address)
}

// watchedConn closes itself when a read waits longer than idle. Only waiting
// counts: a slow consumer is not the server's fault.
type watchedConn struct {
	net.Conn
	idle    time.Duration
	patient atomic.Int64 // nanoseconds instead of idle, 0 for idle
	expired atomic.Bool
	once    atomic.Bool
}

// SetReadTimeout sets how long a read may wait for its first byte from now on, 0 for
// the usual idle limit. A driver that has asked for what takes long says so.
func (c *watchedConn) SetReadTimeout(limit time.Duration) { c.patient.Store(int64(limit)) }

func (c *watchedConn) Read(p []byte) (int, error) {
	idle := c.idle
	if patient := time.Duration(c.patient.Load()); patient > 0 {
		idle = patient
	}
	timer := time.AfterFunc(idle, func() {
		c.expired.Store(true)
		c.Close()
	})
	n, err := c.Conn.Read(p)
	timer.Stop()
	if err != nil && c.expired.Load() {
		return n, driver.E(driver.ErrTimeout, os.ErrDeadlineExceeded, "nothing came from the source for %s; sync_options.idle_timeout raises this limit", c.idle)
	}
	return n, err
}

// SyscallConn lets a driver set how its socket wakes it.
func (c *watchedConn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// Close is safe to call twice: the timer may be first.
func (c *watchedConn) Close() error {
	if c.once.Swap(true) {
		return nil
	}
	return c.Conn.Close()
}
