package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/sqldb"
)

// What an administrator, or a client's init_connect, may have set for sessions
// like ours.
const hostileGlobals = `SET GLOBAL sql_select_limit = 1, max_join_size = 1, sql_big_selects = 0, max_statement_time = 0.5, group_concat_max_len = 4,
  sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH,EMPTY_STRING_IS_NULL', time_zone = '+05:30', system_versioning_asof = '2020-01-01 00:00:00', sql_auto_is_null = 1, autocommit = 0,
  tx_isolation = 'READ-UNCOMMITTED', completion_type = 'RELEASE', net_write_timeout = 1, max_sort_length = 64, max_error_count = 0, lc_messages = 'de_DE', idle_transaction_timeout = 1, max_allowed_packet = 1048576,
  init_connect = 'SET NAMES latin1, SESSION sql_select_limit = 0, div_precision_increment = 0, lc_time_names = ''de_DE'', timestamp = 1, old_mode = ''ZERO_DATE_TIME_CAST'', default_week_format = 3';`

// Every variable is read back: its text is what the server says, so that a
// server that does not take it is found out.
func TestVariablesAreReadBack(t *testing.T) {
	t.Parallel()
	server := servers.MariaDBWith(t, "--max-allowed-packet=16M")
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statements := range []string{"CREATE USER guest IDENTIFIED BY 'guest-pass-4410'; GRANT SELECT ON headwater.* TO guest", hostileGlobals} {
		if _, err := db.ExecContext(t.Context(), statements); err != nil {
			t.Fatal(err)
		}
	}
	settings, err := json.Marshal(Settings{Settings: sqldb.Settings{Host: server.Host, Username: "guest", Password: "guest-pass-4410"}, Port: server.Port, Database: server.Database})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := NewPool(driver.Config{Settings: settings, Dial: new(net.Dialer).DialContext})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	c, err := pool.Connect(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Version < 100000 || !c.MariaDB {
		t.Errorf("the version is read as %d", c.Version)
	}
	set := 0
	for _, v := range variables {
		if !v.since(c.MariaDB, c.Version) {
			continue
		}
		set++
		if v.reads == anything {
			continue
		}
		// What was set is undone, one by one: reading back must tell.
		other := "5"
		switch v.name {
		case "character_set_client", "character_set_connection", "character_set_results":
			other = "latin1"
		case "collation_connection":
			other = "latin1_bin"
		case "sql_mode":
			other = "'ANSI'"
		case "time_zone":
			other = "'+01:00'"
		case "system_versioning_asof":
			other = "'2020-01-01 00:00:00'"
		case "lc_messages", "lc_time_names":
			other = "'fr_FR'"
		case "old_mode":
			other = "'ZERO_DATE_TIME_CAST'"
		case "default_regex_flags":
			other = "'MULTILINE'"
		case "tx_isolation":
			other = "'SERIALIZABLE'"
		case "completion_type":
			other = "1"
		case "autocommit", "sql_big_selects":
			other = "0"
		case "sql_auto_is_null", "sql_notes":
			other = "1"
		}
		if err := c.Exec(t.Context(), fmt.Sprintf("SET SESSION %s = %s", v.name, other)); err != nil {
			t.Errorf("%s: %v", v.name, err)
			continue
		}
		if err := c.checkVariables(t.Context(), []variable{v}, 120); !errors.Is(err, driver.ErrUnsupported) || !strings.Contains(err.Error(), v.name) {
			t.Errorf("%s = %s was not found out: %v", v.name, other, err)
		}
		if err := c.setVariables(t.Context(), pool.Limits.Idle); err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
	}
	// Warnings that are counted and not shown may be of any kind.
	for limit, want := range map[string]error{"65535": nil, "0": driver.ErrBadData} {
		err := errors.Join(c.Exec(t.Context(), "SET SESSION max_error_count = "+limit), c.Query(t.Context(), "SELECT CAST('x' AS SIGNED)", func([]*string) error { return nil }))
		if err != nil {
			t.Fatal(err)
		}
		err = c.CheckWarnings(t.Context(), "a view", true)
		if !errors.Is(err, want) || err != nil && !strings.Contains(err.Error(), "SESSION_VARIABLES_ADMIN") {
			t.Errorf("with max_error_count = %s: %v", limit, err)
		}
	}
	if set < 30 {
		t.Errorf("%d variables are set", set)
	}
	// A server of another maker lacks some: the others are set all the same.
	variables := append([]variable{{name: "no_such_variable", value: "1", why: "a test"}}, variables...)
	had, err := c.setEachVariable(t.Context(), variables[:3], 120)
	if err != nil || len(had) != 2 {
		t.Errorf("settleEach = %v, %v", had, err)
	}
}

// Each variable has its reason, and stands in the design.
func TestVariablesAreDocumented(t *testing.T) {
	design, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range variables {
		if len(v.why) < 5 || !strings.Contains(string(design), v.name) {
			t.Errorf("%s is not explained", v.name)
		}
	}
}

func TestVersions(t *testing.T) {
	for text, want := range map[string]int{"5.5.5-10.11.9-MariaDB-log": 101109, "8.0.36": 80036, "8.4.0-commercial": 80400, "11.4.2-MariaDB": 110402, "10.6": 0, "": 0, "x.y.z": 0} {
		if got := versionOf(text); got != want {
			t.Errorf("versionOf(%q) = %d, want %d", text, got, want)
		}
	}
}
