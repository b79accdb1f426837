package protocol

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/driver"
	"headwater/connectors/sqldb"
)

const (
	capabilitySSL          = 1 << 11
	capabilityDeprecateEOF = 1 << 24

	maxLogin   = 64 << 10 // bytes of one packet before the login is done
	requestLen = 32       // of the handshake response's fixed part, which asks for TLS
)

// Login is the connection that go-sql-driver logs in on. The driver upgrades to
// TLS out of sight, and then nobody else could read the connection. So login
// does that part itself: the driver's answer to the greeting is held back, its
// fixed part asks for TLS, and then the whole goes through it. The request takes
// a sequence number that the driver does not know of; login adds it. After the
// login, conn is ours.
type Login struct {
	net.Conn // the socket, and TLS over it after the upgrade
	socket   net.Conn
	secure   *tls.Config
	Failed   error  // of the upgrade: the driver hides why a write failed
	Version  string // of the server
	ssl      bool   // the server has TLS
	flags    uint32 // the capabilities that both sides agreed on; 0 before the driver's answer
	shift    byte   // of the sequence numbers
	in       []byte // of a packet on its way to the driver
	left     bool   // the driver has nothing to say any more
}

// NewLogin returns a login on a socket, over TLS unless secure is nil.
func NewLogin(socket net.Conn, secure *tls.Config) *Login {
	return &Login{Conn: socket, socket: socket, secure: secure}
}

// Take takes the connection away from the driver, whose Close then touches
// nothing. A packet longer than limit bytes will be errTooLong.
func (l *Login) Take(limit int64) *Conn {
	l.left = true
	return &Conn{wire: newWire(l.Conn, limit), endsByOK: l.flags&capabilityDeprecateEOF != 0}
}

// Close hangs up. The driver calls it at any moment when a context ends.
func (l *Login) Close() error {
	if l.left {
		return nil
	}
	return l.socket.Close()
}

// SetDeadline does nothing: the driver sets no deadlines that matter; idle time is the dialer's concern.
func (l *Login) SetDeadline(time.Time) error { return nil }

// Read hands on packet by packet, so that nothing is read ahead into the
// driver's buffer.
func (l *Login) Read(p []byte) (int, error) {
	if len(l.in) == 0 {
		if err := l.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.in)
	l.in = l.in[n:]
	return n, nil
}

func (l *Login) next() error {
	var h [headerLen]byte
	if _, err := io.ReadFull(l.Conn, h[:]); err != nil {
		return err
	}
	n := int(h[0]) | int(h[1])<<8 | int(h[2])<<16
	if n > maxLogin {
		return ErrTooLong
	}
	packet := make([]byte, headerLen+n)
	if _, err := io.ReadFull(l.Conn, packet[headerLen:]); err != nil {
		return err
	}
	h[3] -= l.shift
	copy(packet, h[:])
	payload := packet[headerLen:]
	if l.flags == 0 {
		if err := l.greeting(payload); err != nil {
			return err
		}
	} else if l.secure != nil && bytes.HasPrefix(payload, []byte("\xfesha256_password\x00")) {
		// The driver would ask for a key, which the server gives only without TLS.
		l.Failed = mysql.ErrUnknownPlugin
		return l.Failed
	}
	l.in = packet
	return nil
}

// greeting reads the server's first packet and refuses what has not the form
// that every server of today sends: the driver trusts it.
func (l *Login) greeting(p []byte) error {
	if isErr(p) && len(p) > 8 { // such as: this host is not allowed
		return nil
	}
	if len(p) == 0 || p[0] != 10 {
		return ErrPacket
	}
	version, rest, ok := bytes.Cut(p[1:], []byte{0})
	// Connection id, 8 bytes of the scramble, filler, capabilities, character set,
	// status, capabilities, length of the scramble, filler, 13 bytes more of it.
	if !ok || len(rest) < 4+8+1+2+1+2+2+1+10+13 {
		return ErrPacket
	}
	l.Version, l.ssl = string(version), binary.LittleEndian.Uint16(rest[13:])&capabilitySSL != 0
	if l.secure != nil && !l.ssl {
		l.Failed = mysql.ErrNoTLS
	}
	return l.Failed
}

// Write takes one packet, as the driver writes them.
func (l *Login) Write(p []byte) (int, error) {
	if l.left {
		return len(p), nil
	}
	packet := bytes.Clone(p)
	if l.flags == 0 {
		if len(packet) < headerLen+requestLen {
			return 0, ErrPacket
		}
		l.flags = binary.LittleEndian.Uint32(packet[headerLen:])
		if l.secure != nil {
			l.flags |= capabilitySSL
			binary.LittleEndian.PutUint32(packet[headerLen:], l.flags)
			if l.Failed = l.upgrade(packet); l.Failed != nil {
				return 0, l.Failed
			}
		}
	}
	packet[3] += l.shift
	if _, err := l.Conn.Write(packet); err != nil {
		return 0, err
	}
	return len(p), nil
}

// upgrade asks for TLS with the fixed part of the response and shakes hands. A
// context that ends meanwhile closes the socket through the driver.
func (l *Login) upgrade(response []byte) error {
	request := bytes.Clone(response[:headerLen+requestLen])
	request[0], request[1], request[2] = requestLen, 0, 0
	if _, err := l.Conn.Write(request); err != nil {
		return err
	}
	conn := tls.Client(l.Conn, l.secure)
	if err := conn.Handshake(); err != nil {
		var typed *driver.Error
		if errors.As(err, &typed) { // our own side gave up waiting
			return typed
		}
		return sqldb.HandshakeError(err)
	}
	l.Conn, l.shift = conn, 1
	return nil
}
