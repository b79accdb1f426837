package mysql

import (
	"context"
	"errors"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/driver"
)

// kindOf maps server error numbers.
func kindOf(number uint16) error {
	switch number {
	case 1045, 1698, 1130, 1251, 1862, 1820: // denied, host not allowed, old protocol, password expired
		return driver.ErrAuthentication
	case 1044, 1142, 1143, 1227, 1370:
		return driver.ErrPermission
	case 1049, 1054, 1146, 1356: // a view whose tables are gone is not there either
		return driver.ErrNotFound
	case 1205, 1317, 1969, 3024:
		return driver.ErrTimeout
	case 1040, 1053, 1129, 1203, 1213, 1226, 1927, 1159, 1161:
		return driver.ErrUnreachable
	case 1153:
		return driver.ErrLimit
	case 1064, 1235:
		return driver.ErrUnsupported
	}
	return driver.ErrBadData
}

// classify turns an error of the driver into one of ours. what names what was
// being read, "" if nothing in particular.
func classify(ctx context.Context, err error, what string) error {
	if err == nil {
		return nil
	}
	if what != "" {
		what += ": "
	}
	var typed *driver.Error
	if errors.As(err, &typed) {
		return typed
	}
	if ctx.Err() != nil {
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "%sstopped", what)
	}
	var server *mysql.MySQLError
	switch {
	case errors.As(err, &server):
		kind := kindOf(server.Number)
		if kind == driver.ErrBadData { // these messages may quote a value
			return driver.E(kind, nil, "%sthe server cannot answer (error %d)", what, server.Number)
		}
		return driver.E(kind, nil, "%s%s (error %d)", what, server.Message, server.Number)
	case errors.Is(err, errPacket), errors.Is(err, errTooLong):
		return driver.E(driver.ErrBadData, nil, "%sthe server sent malformed bytes", what)
	}
	return driver.E(driver.ErrUnreachable, nil, "%sthe connection to the server was lost", what)
}

// explain classifies an error of this session. When it was our own side that
// gave up waiting, that is the reason.
func (c *session) explain(ctx context.Context, err error, what string) error {
	if failed := c.socket.failed.Load(); failed != nil && ctx.Err() == nil {
		err = failed
		if what != "" {
			err = driver.E(failed.Kind, nil, "%s: %s", what, failed.Message)
		}
	}
	return classify(ctx, err, what)
}

// connectError explains a failed connect.
func (s *source) connectError(ctx context.Context, err error) error {
	var server *mysql.MySQLError
	var typed *driver.Error
	switch {
	case errors.As(err, &typed):
		return typed
	case ctx.Err() != nil:
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "the server did not answer in time")
	case errors.As(err, &server):
		switch server.Number {
		case 1045, 1698:
			return driver.E(driver.ErrAuthentication, nil, "the server does not accept this username and password")
		case 1049:
			return driver.E(driver.ErrNotFound, nil, "database %q does not exist on the server", s.settings.Database)
		}
		return classify(ctx, err, "")
	case errors.Is(err, mysql.ErrNoTLS):
		return driver.E(driver.ErrUnreachable, nil, "the server has no TLS: set sslmode to prefer, or to disable, if that is acceptable")
	case errors.Is(err, mysql.ErrCleartextPassword), errors.Is(err, mysql.ErrOldPassword), errors.Is(err, mysql.ErrNativePassword), errors.Is(err, mysql.ErrUnknownPlugin):
		return driver.E(driver.ErrAuthentication, nil, "the server asks for a way of authentication that is not safe or not supported: let the account use caching_sha2_password, ed25519 or mysql_native_password")
	}
	return driver.E(driver.ErrUnreachable, nil, "the connection failed while it was being made: is this a MySQL or MariaDB server, and is its TLS certificate good?")
}
