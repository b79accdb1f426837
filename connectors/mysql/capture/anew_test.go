package capture_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
)

// A log that is begun anew (RESET MASTER) beside its reader has the same names of files
// and the same numbers. The server leaves the reader at the end of the old file, and
// sends the new log from its second file on: what is in the first must not be missed
// in silence, whether the numbers have passed the old ones or not.
func TestLogBegunAnewBesideItsReader(t *testing.T) {
	server, db := logServer(t)
	for _, c := range []struct {
		name       string
		before     string // of the old log
		after      int    // transactions in the first file of the new one
		kind, then error
	}{
		{"longer than the old one", "INSERT INTO t SELECT seq, 'old' FROM seq_1_to_3", 60, driver.ErrUnreachable, driver.ErrReplaced},
		{"more transactions, fewer bytes", "INSERT INTO t SELECT seq, REPEAT('old', 30) FROM seq_1_to_400", 30, driver.ErrReplaced, driver.ErrReplaced},
		{"fewer transactions", strings.Repeat("INSERT INTO t SELECT COUNT(*) + 1, 'old' FROM t; ", 60), 3, driver.ErrReplaced, driver.ErrReplaced},
	} {
		t.Run(c.name, func(t *testing.T) {
			execute(t, db, "RESET MASTER; DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, v varchar(100)); "+c.before)
			f := newFollower(t, server, db, func(*session.Settings) {})
			f.discover("t")
			f.catchUp()
			f.config.Continuous, f.config.Delay = true, time.Second
			log, err := f.capture()
			if err != nil {
				t.Fatal(err)
			}
			ctx := within(t, time.Minute)
			anew := sync.OnceFunc(func() {
				execute(t, db, "DO SLEEP(1.1); RESET MASTER; "+strings.Repeat("INSERT INTO t SELECT MAX(id) + 1, 'missed' FROM t; ", c.after)+"FLUSH BINARY LOGS; INSERT INTO t VALUES (5000, 'new')")
			})
			execute(t, db, "INSERT INTO t VALUES (900, 'old')")
			rows := 0
			for c, failed := range log.Changes(ctx) {
				err = failed
				if c.Record != nil {
					rows += len(c.Ops)
					c.Record.Release()
				}
				if c.Resume != "" {
					f.landed = c.Resume
					anew()
				}
			}
			// Whether the log goes on may be asked before the server ends the connection.
			if !errors.Is(err, c.kind) && !errors.Is(err, driver.ErrReplaced) || !strings.Contains(fmt.Sprint(err), "begun anew") || rows != 1 {
				t.Errorf("%d rows, and Changes = %v", rows, err)
			}
			f.config.Continuous = false
			f.fails(c.then, "begun anew")
		})
	}
}

// Whoever asks how the reader stands is told that the log was begun anew, whatever the
// new one has: a reader at the end of the old one may wait for ever.
func TestStandingOfALogBegunAnew(t *testing.T) {
	server, db := logServer(t)
	for name, anew := range map[string]string{
		"nothing":                       "",
		"less than was read":            "INSERT INTO t VALUES (900, 'new')",
		"more, with the numbers passed": strings.Repeat("INSERT INTO t SELECT MAX(id) + 1, 'new' FROM t; ", 40),
	} {
		t.Run(name, func(t *testing.T) {
			execute(t, db, "RESET MASTER; DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, v varchar(100)); "+strings.Repeat("INSERT INTO t SELECT COUNT(*) + 1, 'old' FROM t; ", 10))
			f := newFollower(t, server, db, func(*session.Settings) {})
			f.discover("t")
			f.config.Continuous, f.config.Delay = true, time.Second
			log, err := f.capture()
			if err != nil {
				t.Fatal(err)
			}
			execute(t, db, "INSERT INTO t VALUES (800, 'old')")
			for c, err := range log.Changes(within(t, time.Minute)) {
				if err != nil {
					t.Fatal(err)
				}
				if c.Record != nil {
					c.Record.Release()
				}
				if c.Resume == "" {
					continue
				}
				if s, err := log.Standing(t.Context()); err != nil {
					t.Errorf("before: %+v, %v", s, err)
				}
				break // nothing is confirmed
			}
			execute(t, db, "RESET MASTER; "+anew)
			if s, err := log.Standing(t.Context()); !errors.Is(err, driver.ErrReplaced) || !strings.Contains(err.Error(), "RESET MASTER") {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}
