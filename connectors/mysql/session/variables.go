package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/driver"
)

// variable is a session variable that changes what a SELECT returns, or whether it ends.
// A new session inherits its value from the server's configuration, from init_connect,
// or from a proxy in between.
type variable struct {
	name  string
	value string // as it is set; %d stands for the seconds of HoldTime
	reads string // the value that it has afterwards, "" for value without quotes
	// The first version that has it, 100304 for 10.3.4: 0 for all, never for none.
	mariadb, mysql int
	why            string
}

const (
	never = 1 << 30
	// asGlobal takes the server's own value again: what the owner sees, whatever
	// init_connect makes of sessions like ours.
	asGlobal = "DEFAULT"
)

// variables are set and read back in every session. DEFAULT of a limit is the
// server's limit, so limits are set to their greatest value.
var variables = []variable{
	// Limits that make a result shorter, a value shorter, or an error of it.
	{name: "sql_select_limit", value: "18446744073709551615", why: "cuts every result off"},
	{name: "max_join_size", value: "18446744073709551615", why: "refuses what may read many rows"},
	{name: "sql_big_selects", value: "1", why: "off: refuses what may read many rows; set after max_join_size, which turns it off"},
	{name: "max_statement_time", value: "0", reads: "0.000000", mariadb: 100101, mysql: never, why: "ends long statements"},
	{name: "max_execution_time", value: "0", mariadb: never, mysql: 50708, why: "ends long statements"},
	{name: "group_concat_max_len", value: "1073741824", why: "cuts what a view strings together"},
	{name: "max_sort_length", value: "4096", why: "text cursors are sorted by no more bytes"},
	{name: maxErrorCount, value: "65535", reads: anything, why: "bounds the warnings that can be looked at"},
	{name: "sql_notes", value: "0", why: "notes would be counted as warnings"},
	// The meaning of statements and values.
	{name: "character_set_client", value: "utf8mb4", why: "our statements are UTF-8, also under skip-character-set-client-handshake"},
	{name: "character_set_connection", value: "utf8mb4", why: "constants in them, too"},
	{name: "collation_connection", value: "utf8mb4_general_ci", why: "one that every server has"},
	{name: "character_set_results", value: "NULL", why: "text comes in the bytes of its column: a server that converts writes ? for what it cannot"},
	{name: "sql_mode", value: "'NO_BACKSLASH_ESCAPES'", why: "quoting, and no padding of char, no empty text for NULL"},
	{name: "time_zone", value: "'+00:00'", why: "timestamps"},
	{name: "system_versioning_asof", value: asGlobal, reads: "DEFAULT", mariadb: 100304, mysql: never, why: "shows rows of the past"},
	{name: "sql_auto_is_null", value: "0", why: "makes NULL find the last inserted id"},
	{name: "timestamp", value: asGlobal, reads: anything, why: "stops the clock that views ask"},
	{name: "default_week_format", value: asGlobal, why: "what a view says of weeks"},
	{name: "div_precision_increment", value: asGlobal, why: "digits of a view's quotients"},
	{name: "lc_time_names", value: asGlobal, why: "names of months in a view"},
	{name: "lc_messages", value: "'en_US'", why: "one language for what the server says"},
	{name: "old_mode", value: asGlobal, mariadb: 100002, mysql: never, why: "casts as they were"},
	{name: "default_regex_flags", value: asGlobal, mariadb: 100000, mysql: never, why: "what a view's patterns match"},
	// Snapshots, and how long the server holds a snapshot, a definition or a lock for a
	// process that hangs.
	{name: "tx_isolation", value: "'REPEATABLE-READ'", mysql: never, why: "a snapshot"},
	{name: "transaction_isolation", value: "'REPEATABLE-READ'", mariadb: 110101, why: "a snapshot"},
	{name: "autocommit", value: "1", why: "a statement outside a transaction holds nothing"},
	{name: "completion_type", value: "0", reads: "NO_CHAIN", why: "ROLLBACK would begin another transaction, or hang up"},
	{name: "net_write_timeout", value: "%d", why: "a reader that takes nothing"},
	{name: "wait_timeout", value: "%d", why: "a session without statements"},
	{name: "idle_transaction_timeout", value: "%d", mariadb: 100300, mysql: never, why: "the server's own may be shorter"},
	{name: "idle_readonly_transaction_timeout", value: "%d", mariadb: 100300, mysql: never, why: "the server's own may be shorter"},
	{name: "lock_wait_timeout", value: "30", why: "a table that somebody locked is named in time"},
	// What the catalog says.
	{name: "information_schema_stats_expiry", value: "0", mariadb: never, mysql: 80003, why: "sizes and counters are of the day before"},
}

// maxErrorCount is set by a statement of its own on MySQL, where 9.7 lets only
// administrators set it. CheckWarnings counts the warnings that were not shown.
const maxErrorCount = "max_error_count"

// anything as reads says that the value is not compared.
const anything = "*"

// HoldTime is how long the server waits for a process that hangs: twice as long as we
// wait for the server, and a minute at least.
func HoldTime(idle time.Duration) time.Duration { return max(2*idle, time.Minute) }

// since reports whether this server has the variable.
func (v variable) since(mariadb bool, version int) bool {
	if mariadb {
		return version >= v.mariadb
	}
	return version >= v.mysql
}

// set returns the assignment, and the value that the variable must have afterwards.
func (v variable) set(seconds int64) (assignment, reads string) {
	value := strings.Replace(v.value, "%d", fmt.Sprint(seconds), 1)
	reads = v.reads
	switch {
	case reads != "":
	case value == asGlobal:
		reads = "1" // it equals the global value
	default:
		reads = strings.Trim(value, "'")
	}
	return "SESSION " + v.name + " = " + value, reads
}

// read returns the expression that shows whether it was set.
func (v variable) read() string {
	if v.value == asGlobal && v.reads == "" {
		return "@@SESSION." + v.name + " <=> @@GLOBAL." + v.name
	}
	return "@@SESSION." + v.name
}

// setVariables sets the session's variables and reads them back. If the server, or a
// proxy in between, does not take one, the error names it.
func (c *Session) setVariables(ctx context.Context, idle time.Duration) error {
	seconds := int64(HoldTime(idle) / time.Second)
	var ours []variable
	var assignments []string
	for _, v := range variables {
		if v.since(c.MariaDB, c.Version) && (c.MariaDB || v.name != maxErrorCount) {
			assignment, _ := v.set(seconds)
			ours, assignments = append(ours, v), append(assignments, assignment)
		}
	}
	var server *mysql.MySQLError
	if err := c.Run(ctx, "SET "+strings.Join(assignments, ", "), nil); err != nil {
		if !errors.As(err, &server) || server.Number == abortedConnection {
			return c.Explain(ctx, err, "")
		}
		if ours, err = c.setEachVariable(ctx, ours, seconds); err != nil {
			return err
		}
	}
	if !c.MariaDB {
		if err := c.Run(ctx, "SET SESSION "+maxErrorCount+" = 65535", nil); err != nil && !errors.As(err, &server) {
			return c.Explain(ctx, err, "")
		}
	}
	return c.checkVariables(ctx, ours, seconds)
}

// setEachVariable sets the variables one by one and returns those that the server has:
// servers of other makers lack some.
func (c *Session) setEachVariable(ctx context.Context, all []variable, seconds int64) (had []variable, err error) {
	for _, v := range all {
		assignment, _ := v.set(seconds)
		err := c.Run(ctx, "SET "+assignment, nil)
		var server *mysql.MySQLError
		switch {
		case err == nil:
			had = append(had, v)
		case !errors.As(err, &server):
			return nil, c.Explain(ctx, err, "")
		case server.Number != unknownVariable: // it may have the value nevertheless
			had = append(had, v)
		}
	}
	return had, nil
}

const (
	unknownVariable   = 1193
	abortedConnection = 1184 // for example by a broken init_connect
)

// checkVariables reads the variables back, and fails if one has another value.
func (c *Session) checkVariables(ctx context.Context, ours []variable, seconds int64) error {
	reads := make([]string, len(ours), len(ours)+1)
	for i, v := range ours {
		reads[i] = v.read()
	}
	reads = append(reads, c.identity())
	return c.Query(ctx, "SELECT "+strings.Join(reads, ", "), func(row []*string) error {
		c.Server = Text(row[len(ours)])
		for i, v := range ours {
			have := "NULL"
			if row[i] != nil {
				have = *row[i]
			}
			if _, want := v.set(seconds); want != anything && !strings.EqualFold(have, want) {
				return driver.E(driver.ErrUnsupported, nil, "the server does not let this session set %s (%s): let the account set it, or connect without what sits in between", v.name, v.why)
			}
		}
		return nil
	})
}

// identity returns the expression that tells this server from others.
func (c *Session) identity() string {
	if c.MariaDB {
		return "CONCAT_WS(' ', @@hostname, @@port, @@server_id)"
	}
	return "@@server_uuid"
}

// versionOf reads "5.5.5-10.11.9-MariaDB" as 101109 and "8.0.36" as 80036. It returns 0
// for other text.
func versionOf(greeting string) int {
	text := strings.TrimPrefix(greeting, "5.5.5-") // MariaDB puts it in front for old clients
	n := 0
	for i, part := range strings.SplitN(text, ".", 3) {
		digits := 0
		for digits < len(part) && digits < 3 && part[digits] >= '0' && part[digits] <= '9' {
			digits++
		}
		v := int(0)
		if _, err := fmt.Sscanf(part[:digits], "%d", &v); err != nil {
			return 0
		}
		n = n*100 + min(v, []int{999, 99, 99}[i])
	}
	if strings.Count(text, ".") < 2 {
		return 0
	}
	return n
}
