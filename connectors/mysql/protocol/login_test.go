package protocol

import (
	"bytes"
	"context"
	"net"
	"runtime/debug"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// driverVersion is the version of go-sql-driver that Login was written for.
const driverVersion = "v1.10.1"

// written is a connection that keeps what was written to it.
type written struct {
	recorded
	packets *[][]byte
}

func (w written) Write(p []byte) (int, error) {
	*w.packets = append(*w.packets, bytes.Clone(p))
	return len(p), nil
}

// The trick of Login: go-sql-driver logs in on a connection that is then taken
// from it. That stands on what the driver does and promises nobody: it is silent
// until the greeting, writes one whole packet a call, trusts a "unix" connection
// with what it sends in clear, needs nothing behind the OK packet, and its Close
// of a connection that was taken is not heard. Whoever changes its version reads
// its packets.go and auth.go, has TestTLS in connectors/mysql pass on a server,
// and then changes the version here.
func TestDriverThatLoginKnows(t *testing.T) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("this test binary does not say what it was built from")
	}
	for _, dep := range info.Deps {
		if dep.Path == "github.com/go-sql-driver/mysql" && dep.Version != driverVersion {
			t.Errorf("go-sql-driver is %s; Login was written for %s", dep.Version, driverVersion)
		}
	}
	greeting := append([]byte("\x0a10.11.9-MariaDB\x00\x01\x00\x00\x0012345678\x00"), 0xfe, 0xff, 45, 2, 0, 0xff, 0x81, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	greeting = append(greeting, "123456789012\x00mysql_native_password\x00"...)
	sent := append(frame(0, greeting), frame(2, []byte{0, 0, 0, 2, 0, 0, 0})...)
	var packets [][]byte
	var l *Login
	cfg := mysql.NewConfig()
	cfg.Net, cfg.User, cfg.Passwd, cfg.AllowNativePasswords, cfg.CheckConnLiveness = "tcp", "u", "p", true, false
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		l = NewLogin(written{recorded{Reader: bytes.NewReader(sent)}, &packets}, nil)
		return l, nil
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := connector.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		if n := int(p[0]) | int(p[1])<<8 | int(p[2])<<16; n != len(p)-headerLen {
			t.Errorf("the driver wrote %d bytes of a packet of %d at once", len(p)-headerLen, n)
		}
	}
	before := len(packets)
	ours := l.Take(1 << 20)
	theirs.Close()
	if len(packets) != before {
		t.Errorf("the driver's Close was heard: %q", packets[before:])
	}
	if err := ours.Send("SELECT 1"); err != nil || len(packets) != before+1 || !bytes.HasSuffix(packets[before], []byte("\x03SELECT 1")) {
		t.Errorf("what was sent on the connection that was taken: %q, %v", packets[before:], err)
	}
}
