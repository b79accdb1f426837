package connectors

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
)

func TestDialTellsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	open := l.Addr().String()
	local, _ := ParsePolicy("auto", true)
	log := slog.New(slog.DiscardHandler)
	refusing, allowing := &dialer{log: log, idle: time.Second}, &dialer{policy: local, log: log, idle: time.Second}

	_, refused := refusing.dial(t.Context(), "tcp", open) // somebody listens there
	conn, err := allowing.dial(t.Context(), "tcp", open)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	l.Close()
	_, unreachable := allowing.dial(t.Context(), "tcp", open)
	if refused == nil || unreachable == nil || refused.Error() != unreachable.Error() || !errors.Is(refused, driver.ErrUnreachable) {
		t.Errorf("refused: %v\nunreachable: %v\nwant the same words", refused, unreachable)
	}
	if _, err := refusing.dial(t.Context(), "tcp", "localhost:1"); err == nil || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("a name that means loopback: %v", err)
	}
	for _, network := range []string{"unix", "udp", "ip"} {
		if _, err := allowing.dial(t.Context(), network, "/tmp/socket"); !errors.Is(err, driver.ErrUnsupported) {
			t.Errorf("network %s: %v", network, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := allowing.dial(ctx, "tcp", open); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestIdleReadEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			conn.Write([]byte("x"))
			io.Copy(io.Discard, conn) // until the other side closes
			conn.Close()
		}
	}()
	local, _ := ParsePolicy("auto", true)
	d := &dialer{policy: local, log: slog.New(slog.DiscardHandler), idle: 500 * time.Millisecond}
	conn, err := d.dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	if string(got) != "x" || !errors.Is(err, driver.ErrTimeout) {
		t.Errorf("read %q, %v; want x and a time-out", got, err)
	}
}
