package postgres

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"time"

	"headwater/connectors/dbtls"
	"headwater/connectors/driver"
)

var errNoTLS = driver.E(driver.ErrUnreachable, nil, "the server has no TLS: set sslmode to prefer, or to disable, if that is acceptable")

// secure asks the server for TLS and shakes hands.
func secure(ctx context.Context, conn net.Conn, cfg *tls.Config) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	request := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), 80877103)
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return nil, err
	}
	switch answer[0] {
	case 'S':
	case 'N':
		return nil, errNoTLS
	default:
		return nil, driver.E(driver.ErrUnreachable, nil, "what answers there is not a PostgreSQL server")
	}
	secured := tls.Client(conn, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, dbtls.HandshakeError(err)
	}
	return secured, nil
}
