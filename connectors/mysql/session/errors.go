package session

import (
	"context"
	"errors"
	"slices"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/protocol"
	"headwater/connectors/sqldb"
)

// kindOf returns the kind of error that a number of the server stands for.
func kindOf(number uint16) error {
	switch number {
	case 1045, 1698, 1130, 1251, 1862, 1820, 4151, 3118: // access denied, host not allowed, old protocol, password expired, account locked
		return driver.ErrAuthentication
	case 1044, 1142, 1143, 1227, 1370, 1449, 3159, 4189: // no right, definer gone, transport not encrypted
		return driver.ErrPermission
	case 1049, 1054, 1146, 1356: // 1356 is a view whose tables are gone
		return driver.ErrNotFound
	case 1205, 1317, 1969, 3024:
		return driver.ErrTimeout
	case 1040, 1053, 1129, 1203, 1213, 1226, 1927, 1159, 1161, 4031:
		return driver.ErrUnreachable
	case 1153:
		return driver.ErrLimit
	case 1064, 1235:
		return driver.ErrUnsupported
	}
	return driver.ErrBadData
}

// shownErrors are further numbers whose messages contain names, paths and numbers of the
// server, but no value of a row. Others may quote a value, such as 1292 (incorrect
// value: '...'), 1062 (duplicate entry '...') and 1690 (out of range in '...').
var shownErrors = []uint16{
	126, 127, 132, 134, 141, 144, 145, // a table file is damaged
	1016, 1017, 1018, 1020, 1021, 1024, 1025, 1030, 1033, 1034, 1035, 1036, 1037, 1038, 1041, 1042, 1043, 1047,
	1081, 1102, 1103, 1104, 1105, 1112, 1114, 1115, 1116, 1117, 1119, 1141, 1145, 1147, 1148, 1154, 1155, 1156, 1157, 1158, 1160,
	1167, 1168, 1184, 1194, 1195, 1196, 1197, 1198, 1204, 1206, 1207, 1222, 1223, 1238, 1241, 1242, 1247, 1260, 1267, 1270, 1271, 1272, 1273, 1290, 1296, 1297,
	1301, 1304, 1305, 1318, 1347, 1365, 1412, 1418, 1424, 1429, 1431, 1436, 1446, 1456, 1459, 1462, 1477, 1501, 1505, 1526, 1547, 1548, 1557, 1577, 1578,
	1615, 1686, 1689, 1699, 1707, 1709, 1728, 1729, 1730, 1792, 1804, 1805, 1808, 1812, 1813, 1814, 1815, 1817, 1835, 1836, 1837, 1840, 1858, 1877,
	1911, 1915, 1924, 1926, 1930, 1931, 1932, 1943, 1955, 1956, 1964, 1977, 1981, 3144, 3170, 3572, 3577, 3636, 3730, 3854, 3950, 4008, 4023, 4078, 4079, 4084, 4086, 4137, 4169,
}

// isShown reports whether the server's message of that number may be shown to people.
func isShown(number uint16) bool {
	return kindOf(number) != driver.ErrBadData || slices.Contains(shownErrors, number)
}

// Classify turns an error of go-sql-driver or protocol into a *driver.Error. what names
// what was being read, "" for nothing in particular.
func Classify(ctx context.Context, err error, what string) error {
	return sqldb.Classify(ctx, err, what, serverError)
}

// serverError classifies what the server or protocol says, behind a prefix; it returns nil for
// anything else.
func serverError(err error, prefix string) error {
	var server *mysql.MySQLError
	switch {
	case errors.As(err, &server):
		if !isShown(server.Number) {
			return driver.E(kindOf(server.Number), nil, "%sthe server cannot answer (error %d)", prefix, server.Number)
		}
		return driver.E(kindOf(server.Number), nil, "%s%s%s", prefix, messageOf(server.Number, server.Message), adviceFor(server.Number))
	case errors.Is(err, protocol.ErrPacket), errors.Is(err, protocol.ErrTooLong):
		return driver.E(driver.ErrBadData, nil, "%sthe server sent malformed bytes", prefix)
	}
	return nil
}

// Explain is Classify for an error of this session. If our own side gave up waiting,
// that is the reason it gives.
func (c *Session) Explain(ctx context.Context, err error, what string) error {
	if failed := c.socket.failed.Load(); failed != nil && ctx.Err() == nil {
		err = failed
		if what != "" {
			err = driver.E(failed.Kind, nil, "%s: %s", what, failed.Message)
		}
	}
	return Classify(ctx, err, what)
}

// loginHint says what else may be the reason of a refused login: the server gives the
// same answer to a wrong password and to an account that requires TLS or a client
// certificate.
func (s *Settings) loginHint(secure bool) string {
	switch {
	case !secure:
		return ", or the account is made with REQUIRE SSL: set sslmode to require"
	case s.ClientCertificate == "":
		return " (if the account is made with REQUIRE X509, set client_certificate and client_key)"
	}
	return ", or not this client certificate: its authority, issuer or subject may not be what the account requires"
}

// adviceFor says what to do about an error if the server's message does not, "" if it
// does.
func adviceFor(number uint16) string {
	switch number {
	case 1040, 1203, 1226:
		return ": let the account have more connections, or set connection_config.max_connections"
	case 1205:
		return ": another session holds the table, so it was not read; it is tried again by the next sync"
	case 1969, 3024:
		return ": a limit on statements that the session could not lift; raise it for this account"
	case 1194, 1195, 1034, 126, 127, 144, 145:
		return ": CHECK TABLE and REPAIR TABLE on the server tell more"
	case 3159, 4189:
		return ": set sslmode to require"
	}
	return ""
}

// ofDefiner reports whether an error is a view's whose definer is gone or lacks a right.
// A view's rows are read with the rights of its definer.
func ofDefiner(err error) bool {
	var server *mysql.MySQLError
	return errors.As(err, &server) && slices.Contains([]uint16{1045, 1142, 1143, 1227, 1356, 1370, 1449, 1698}, server.Number)
}

// ExplainView is Explain for what was read through a view.
func (c *Session) ExplainView(ctx context.Context, err error, what string) error {
	var server *mysql.MySQLError
	if errors.As(err, &server) && ofDefiner(err) {
		kind := driver.ErrPermission
		if server.Number == 1356 {
			kind = driver.ErrNotFound
		}
		return driver.E(kind, nil, "%s: the view's definer, the account whose rights it is read with, is gone or lacks a right, or a table or column of it is: %s", what, messageOf(server.Number, server.Message))
	}
	return c.Explain(ctx, err, what)
}
