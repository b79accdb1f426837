package session

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"headwater/connectors/driver"
	"headwater/connectors/sqldb"
)

// kindsOfCodes maps SQLSTATEs, and classes of them by two characters, to kinds of
// errors.
var kindsOfCodes = map[string]error{
	"28P01": driver.ErrAuthentication, "28": driver.ErrAuthentication,
	"42501": driver.ErrPermission,
	"3D000": driver.ErrNotFound, "3F000": driver.ErrNotFound, "42P01": driver.ErrNotFound, "42703": driver.ErrNotFound,
	"57014": driver.ErrTimeout, "55P03": driver.ErrTimeout,
	"08": driver.ErrUnreachable, "53": driver.ErrUnreachable, "57": driver.ErrUnreachable, "58": driver.ErrUnreachable, "40": driver.ErrUnreachable,
	"0A": driver.ErrUnsupported, "42": driver.ErrUnsupported,
	"54":    driver.ErrLimit,
	"08001": driver.ErrUnsupported, "HV": driver.ErrUnsupported, // from a foreign table: our own server was reached
}

// Classify turns an error of pgconn into a *driver.Error. what names what was being
// read, "" for nothing in particular.
func Classify(ctx context.Context, err error, what string) error {
	return sqldb.Classify(ctx, err, what, serverError)
}

// serverError classifies what the server or pgproto3 says, behind a prefix; it returns nil for
// anything else.
func serverError(err error, prefix string) error {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		kind, ok := kindsOfCodes[server.Code]
		if !ok && len(server.Code) == 5 {
			kind, ok = kindsOfCodes[server.Code[:2]]
		}
		if !ok {
			kind = driver.ErrBadData
		}
		if len(server.Code) == 5 && slices.Contains([]string{"22", "23", "P0"}, server.Code[:2]) && !slices.Contains(harmless, server.Code) {
			// These messages may quote the value.
			return driver.E(kind, nil, "%sthe server cannot evaluate a row (SQLSTATE %s)", prefix, server.Code)
		}
		return driver.E(kind, nil, "%s%s%s (SQLSTATE %s)", prefix, server.Message, advice[server.Code], server.Code)
	}
	var tooLong *pgproto3.ExceededMaxBodyLenErr
	if errors.As(err, &tooLong) {
		return driver.E(driver.ErrLimit, nil, "%sa row has %d bytes, more than the limit of %d", prefix, tooLong.ActualBodyLen, tooLong.MaxExpectedBodyLen)
	}
	return nil
}

// advice says what to do about an error of the server.
var advice = map[string]string{
	"55P03": ": another session holds a lock on it for long (ALTER, VACUUM FULL or LOCK TABLE in an open transaction)",
	"55000": ": if it is a materialized view, REFRESH it",
	"42501": ": where row security is the reason, give the account BYPASSRLS or set connection_config.row_security to filter; else GRANT SELECT",
	"25P03": ": this process stood still for long",
	"53100": ": the server's disk is full",
}

// ErrTooManyConnections says that the server has no free connection for the account.
var ErrTooManyConnections = errors.New("all connections are taken")

// harmless are SQLSTATEs whose messages quote no values, although others of their class do.
var harmless = []string{"22012", "2200H", "22004", "2201E", "2201F", "2201W", "2201X", "22030"}
