package capture_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/session"
)

// The values of virtual columns that go by a session, or the time, are in the log as the
// writer sees them: tables with such columns are refused, and those that look alike land
// as they are.
func TestVirtualColumnsOfASession(t *testing.T) {
	server, db := logServer(t)
	virtualColumns(t, server, db, []string{
		"u bigint AS (UNIX_TIMESTAMP(ts)) VIRTUAL", "e varchar(99) AS (CONCAT(id, '@', 'it''s now() \\\\')) VIRTUAL", "`rand(@` int, q int AS (`rand(@` + 1) VIRTUAL", "c varchar(30) AS (CONVERT_TZ(dt, '+01:00', '+02:00')) VIRTUAL",
	}, []string{
		"s bigint AS (UNIX_TIMESTAMP(dt)) VIRTUAL", "age int AS (TIMESTAMPDIFF(YEAR, dt, CURDATE())) VIRTUAL", "age int AS (DATEDIFF(NOW(), dt)) VIRTUAL", "w varchar(99) AS (CONCAT('it''s ', CURRENT_USER())) VIRTUAL", "m varchar(99) AS (@@sql_mode) VIRTUAL", "r double AS (RAND()) VIRTUAL",
	})
}

func TestMySQLVirtualColumnsOfASession(t *testing.T) {
	server, db := mysqlServer(t)
	virtualColumns(t, server, db, nil, nil)
}

func virtualColumns(t *testing.T, server *servers.Server, db *sql.DB, same, refused []string) {
	for definition, wanted := range map[bool][]string{
		true:  append(same, "d date AS (DATE(ts)) STORED", "d date AS (DATE(dt)) VIRTUAL", "n int AS (ts IS NULL) VIRTUAL", "n int AS (IF(ts IS NOT NULL, 1, 0)) VIRTUAL", "v timestamp AS (ts) VIRTUAL"),
		false: append(refused, "d date AS (DATE(ts)) VIRTUAL", "D date AS (DATE(TS)) VIRTUAL", "e date AS (DATE(`t``s`)) VIRTUAL", "f varchar(30) AS (FROM_UNIXTIME(id)) VIRTUAL", "v timestamp AS (dt) VIRTUAL", "x date AS (DATE(ts)) VIRTUAL INVISIBLE, y int AS (DAYOFMONTH(x)) VIRTUAL", "v timestamp AS (ts) VIRTUAL, y int AS (HOUR(v)) VIRTUAL"),
	} {
		for _, column := range wanted {
			t.Run(column, func(t *testing.T) {
				execute(t, db, "DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, ts timestamp NULL, dt datetime, `t``s` timestamp NULL, "+column+")")
				f := newFollower(t, server, db, func(*session.Settings) {})
				f.discover("t")
				log := f.taken()
				defer log.Close()
				if definition {
					execute(t, db, "SET time_zone = '-11:00'; INSERT INTO t (id, ts, dt, `t``s`) VALUES (1, '2001-01-01 23:30:00', '2001-01-01 23:30:00', NULL), (2, NULL, NULL, NULL); UPDATE t SET ts = '2001-01-01 23:30:00' WHERE id = 2; SET time_zone = '+00:00'")
					if err := f.changes(log); err != nil {
						t.Fatal(err)
					}
					f.same()
				} else if err := log.Refused()[0]; !errors.Is(err, driver.ErrUnsupported) || !strings.Contains(err.Error(), "go by the session") {
					t.Errorf("refused with %v", err)
				}
			})
		}
	}
}
