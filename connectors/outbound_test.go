package connectors

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
)

func TestOutbound(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	local, err := ParsePolicy("auto", true)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := Outbound(local, time.Second, nil)(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	_, err = Outbound(Policy{}, time.Second, nil)(context.Background(), "tcp", l.Addr().String())
	if !errors.Is(err, driver.ErrUnreachable) || !strings.Contains(err.Error(), "egress policy") {
		t.Errorf("a refused address: %v", err)
	}
}
