package session

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"headwater/connectors/sqldb"
)

// recordedLogin is a connection that sends what was recorded and hears nothing.
type recordedLogin struct {
	net.Conn
	io.Reader
}

func (r recordedLogin) Read(p []byte) (int, error) { return r.Reader.Read(p) }
func (recordedLogin) Write(p []byte) (int, error)  { return len(p), nil }
func (recordedLogin) Close() error                 { return nil }

func frameOf(seq byte, payload []byte) []byte {
	n := len(payload)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), seq}, payload...)
}

// FuzzLogin replays bytes as a server's part of the login, through
// go-sql-driver: it ends with a session or an error.
func FuzzLogin(f *testing.F) {
	greeting := append([]byte("\x0a10.11.9-MariaDB\x00\x01\x00\x00\x0012345678\x00"), 0xfe, 0xff, 45, 2, 0, 0xff, 0x81, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	greeting = append(greeting, "123456789012\x00mysql_native_password\x00"...)
	f.Add(append(frameOf(0, greeting), frameOf(2, []byte{0, 0, 0, 2, 0, 0, 0})...), false)
	f.Add(frameOf(0, greeting), true)
	f.Add(append(frameOf(0, greeting), frameOf(2, append([]byte("\xfesha256_password\x00"), "12345678901234567890\x00"...))...), false)
	f.Fuzz(func(t *testing.T, sent []byte, secure bool) {
		s := &Pool{Settings: Settings{Settings: sqldb.Settings{Host: "h", Username: "u", Password: "p", SSLMode: "disable"}, Port: 1, Database: "d"}}
		if secure {
			s.Settings.SSLMode = "require"
		}
		s.Limits = s.Limits.WithDefaults()
		s.dial = dialOf(recordedLogin{Reader: bytes.NewReader(sent)})
		c, err := s.Connect(t.Context(), nil)
		if err == nil {
			c.Close()
		} else if strings.Contains(err.Error(), "login is malformed") { // go-sql-driver panicked, and leaves a goroutine
			t.Errorf("%x: %v", sent, err)
		}
	})
}

func dialOf(conn net.Conn) sqldb.Dial {
	return func(context.Context, string, string) (net.Conn, error) { return conn, nil }
}
