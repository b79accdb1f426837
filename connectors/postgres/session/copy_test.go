package session

import (
	"errors"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"headwater/connectors/postgres/binarycopy"
)

type noRows struct{}

func (noRows) Message([]byte) error { return nil }
func (noRows) Announce(int64) error { return nil }

// A server that ends, as one whose first process was killed, says so behind its answer.
// That is no part of it; anything else there is.
func TestWhatComesBehindAnAnswer(t *testing.T) {
	answer := "H\x00\x00\x00\x07\x01\x00\x00" + "c\x00\x00\x00\x04" + "C\x00\x00\x00\x0bCOPY 0\x00" + "Z\x00\x00\x00\x05I"
	ending, err := (&pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P01", Message: "terminating connection due to unexpected postmaster exit"}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		behind string
		want   error
		closed bool
	}{
		"nothing": {"", nil, false},
		"its end": {string(ending), nil, true},
		"part":    {string(ending[:7]), nil, true},
		"a row":   {"d\x00\x00\x00\x06xx", binarycopy.ErrMalformed, false},
	} {
		ours, theirs := net.Pipe()
		config, err := pgconn.ParseConfig("host=invalid")
		if err != nil {
			t.Fatal(err)
		}
		pg, err := pgconn.Construct(&pgconn.HijackedConn{Conn: ours, Config: config})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = theirs.Read(make([]byte, 100))
			_, _ = theirs.Write([]byte(answer + c.behind))
		}()
		s := &Session{PG: pg, sockets: []net.Conn{ours}}
		if err := s.exchange("COPY", 1<<20, noRows{}); !errors.Is(err, c.want) || pg.IsClosed() != c.closed {
			t.Errorf("%s: %v, closed: %v", name, err, pg.IsClosed())
		}
		theirs.Close()
	}
}
