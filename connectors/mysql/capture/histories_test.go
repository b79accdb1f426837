package capture_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
)

var (
	stepsFlag = flag.Int("steps", 0, "steps of the random histories of each server; 0 for 1000, or a few short ones with -short")
	seedFlag  = flag.Uint64("seed", 0, "the seed of the one history of each server that is run")
)

// After every sync of any history of a server that is over without an error, each table
// that is not refused has landed as it is. A table to which nothing happened but changes
// of rows is not refused.
func TestHistoriesOfChanges(t *testing.T) {
	histories(t, true, func(t *testing.T, options ...string) (*servers.Server, *sql.DB) { return logServer(t, options...) })
}

func TestMySQLHistoriesOfChanges(t *testing.T) {
	histories(t, false, func(t *testing.T, options ...string) (*servers.Server, *sql.DB) { return mysqlServer(t, options...) })
}

func histories(t *testing.T, maria bool, start func(*testing.T, ...string) (*servers.Server, *sql.DB)) {
	steps, first, times, length := *stepsFlag, rand.Uint64()>>20, 4, 40
	if steps == 0 {
		if steps = 1000; testing.Short() {
			steps, first, times, length = 1, 1, 2, 20
		}
	}
	if *seedFlag != 0 {
		steps, first = 1, *seedFlag
	}
	for done := 0; done < steps && !t.Failed(); first, done = first+1, done+times*length {
		t.Run(fmt.Sprintf("seed=%d", first), func(t *testing.T) {
			r := rand.New(rand.NewPCG(first, 5))
			options := []string{"--log-bin-trust-function-creators=1", "--sync-binlog=" + pick(r, "1", "1", "0"), "--innodb-flush-log-at-trx-commit=" + pick(r, "1", "1", "0", "2"), "--max-binlog-size=" + pick(r, "65536", "1G")}
			if options = append(options, "--binlog-checksum="+pick(r, "CRC32", "NONE"), "--binlog-row-metadata="+pick(r, "MINIMAL", "FULL")); maria {
				options = append(options, "--log-bin-compress="+pick(r, "0", "1"), "--log-bin-compress-min-len=10", "--lower-case-table-names="+pick(r, "0", "0", "1"), "--binlog-alter-two-phase="+pick(r, "0", "1"), "--binlog-direct-non-transactional-updates="+pick(r, "0", "1"))
			} else {
				options = append(options, "--event-scheduler=OFF", "--binlog-transaction-compression="+pick(r, "OFF", "ON"))
			}
			server, db := start(t, options...)
			g := &generator{r: r, maria: maria, fold: slices.Contains(options, "--lower-case-table-names=1")}
			for range times { // histories of one server
				c := newChronicle(t, server, db, g)
				c.safe = strings.Contains(strings.Join(options, " "), "--sync-binlog=1 --innodb-flush-log-at-trx-commit=1 ")
				c.unsynced = slices.Contains(options, "--sync-binlog=0")
				c.note("%s", strings.Join(options, " "))
				for range length {
					c.step()
					c.between()
					if t.Failed() {
						c.tell()
						return
					}
				}
				if c.sync(); t.Failed() {
					c.tell()
					return
				}
			}
		})
	}
}

func pick[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

// between is what who reads does between statements.
func (c *chronicle) between() {
	switch n := c.r.IntN(40); {
	case n < 16:
	case n < 26:
		c.sync()
	case n < 30:
		c.note("a reading is left")
		c.read(c.r.IntN(4), c.r.IntN(2) == 0, nil)
	case n < 34:
		c.note("statements beside a reading")
		c.read(-1, true, func() {
			for range 1 + c.r.IntN(3) {
				c.step()
			}
		})
	case n < 36:
		c.note("another process")
		c.src = openSource(c.t, settingsOf(c.server, lenient))
	case n < 39:
		c.note("continuous")
		c.beside(func() {
			for range 1 + c.r.IntN(4) {
				c.step()
			}
		})
	default:
		c.crashes()
	}
}

// settle ends what is prepared, in another session.
func (c *chronicle) settle() {
	for _, xid := range c.prepared {
		for range 100 { // until the server has let go of the session that prepared it
			if c.run(c.b, pick(c.r, "XA COMMIT ", "XA COMMIT ", "XA ROLLBACK ")+xid) == nil || !c.recovers() {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	c.prepared = nil
}

// recovers reports whether there is a prepared transaction.
func (c *chronicle) recovers() bool {
	rows, err := c.b.QueryContext(c.t.Context(), "XA RECOVER")
	if err != nil {
		return false
	}
	defer rows.Close()
	return rows.Next()
}

// discovered looks at the tables, and has those read whole that landing would: what was
// added with values, retyped, or has another key.
func (c *chronicle) discovered() {
	c.t.Helper()
	all, err := c.src.Discover(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	there := map[string]driver.Table{}
	for _, table := range all {
		there[table.Name] = table
	}
	for _, name := range c.wanted {
		now, ok := there[name]
		was := c.tables[name]
		switch {
		case !ok || now.Kind != "table":
			delete(c.tables, name)
			continue
		case was == nil:
			was = &copied{rows: map[string]string{}}
			c.tables[name] = was
		case was.after != "" && differs(was.table, now) != "":
			c.whole(name, "other columns: "+differs(was.table, now))
		}
		was.table = now
		c.pad(name)
	}
}

// differs says why landing would read a table whole for its columns, "" if it would not.
func differs(was, now driver.Table) string {
	gone := slices.ContainsFunc(was.Columns, func(k driver.Column) bool { _, ok := now.Column(k.Name); return !ok })
	for _, k := range now.Columns {
		old, ok := was.Column(k.Name)
		if ok && (old.Identity != k.Identity || old.Type != k.Type) || !ok && (k.Filled || gone) {
			return fmt.Sprintf("%+v, was %+v", k, old)
		}
	}
	if !slices.Equal(was.PrimaryKey, now.PrimaryKey) {
		return fmt.Sprintf("the key %q, was %q", now.PrimaryKey, was.PrimaryKey)
	}
	return ""
}

// whole has a table read whole.
func (c *chronicle) whole(name, why string) {
	c.t.Helper()
	if c.note("%s is read whole: %s", name, why); !c.may[name] {
		c.t.Errorf("%s is read whole without need: %s", name, why)
	}
	c.tables[name].after = ""
}

// open takes the log up. It returns nil if the reading has to begin again, and the tables
// that are refused.
func (c *chronicle) open() (driver.Log, map[string]bool) {
	c.t.Helper()
	c.discovered()
	began := map[string]bool{}
	for name, table := range c.tables {
		began[name] = table.after != ""
	}
	log, err := c.captureOver()
	if err != nil {
		c.failed(err)
		return nil, nil
	}
	refused := map[string]bool{}
	for i, why := range log.Refused() {
		name := c.names()[i]
		if refused[name] = true; errors.Is(why, driver.ErrBadData) || strings.Contains(why.Error(), "was rolled back after changes to tables that cannot be") {
			c.mayLose(name)
		}
		if c.tables[name].after != "" {
			c.whole(name, why.Error())
		}
	}
	for name, table := range c.tables {
		if !began[name] && table.after != "" {
			c.note("%s was read whole", name)
			if c.may[name] = len(c.prepared) > 0; c.may[name] {
				c.loose = true
			}
		}
	}
	return log, refused
}

// failed is what becomes of an error: the tables are looked at again, or all are read whole.
func (c *chronicle) failed(err error) {
	c.t.Helper()
	c.note("%v", err)
	switch {
	case errors.Is(err, driver.ErrTimeout) && strings.Contains(err.Error(), "is prepared") && len(c.prepared) == 0:
		if !c.orphans {
			c.t.Errorf("a transaction is waited for that nobody has prepared: %v", err)
		}
		c.anew()
	case errors.Is(err, driver.ErrRetyped), errors.Is(err, driver.ErrTimeout), errors.Is(err, driver.ErrUnreachable):
	case errors.Is(err, driver.ErrBadData) && strings.Contains(err.Error(), "no date"): // in a column that cannot be NULL
		for _, name := range c.wanted {
			c.run(c.a, "DELETE FROM "+quote(name))
			c.mayLose(name)
		}
	case errors.Is(err, driver.ErrReplaced):
		if !c.loose {
			c.t.Errorf("the log is given up without need: %v", err)
		}
		c.anew()
	default:
		c.t.Errorf("an error of another kind: %v", err)
	}
}

// anew has all tables read whole.
func (c *chronicle) anew() {
	for _, table := range c.tables {
		table.after = ""
	}
	c.landed, c.loose, c.orphans = "", false, false
}

// sync reads until nothing is new, and compares.
func (c *chronicle) sync() {
	c.t.Helper()
	c.note("sync")
	c.settle()
	for try := 0; try < 30 && !c.t.Failed(); try++ {
		log, refused := c.open()
		if log == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
		err := c.land(ctx, log, -1, true)
		if cancel(); ctx.Err() == context.DeadlineExceeded {
			c.t.Errorf("the reading does not end: %s, %v", c.landed, log)
		}
		if err == nil {
			_, err = log.Standing(c.t.Context())
		}
		log.Close()
		if err != nil {
			c.failed(err)
			continue
		}
		c.compare(refused)
		again := slices.ContainsFunc(c.names(), func(name string) bool { return c.tables[name].after == "" && !refused[name] })
		if c.loose = false; !again && (try > 0 || len(refused) == 0) {
			return
		}
	}
	if !c.t.Failed() {
		c.t.Error("the tables are never as they were found")
	}
}

// read reads until some messages have come, all for less than none.
func (c *chronicle) read(messages int, confirm bool, meanwhile func()) {
	c.t.Helper()
	log, _ := c.open()
	if log == nil {
		return
	}
	defer log.Close()
	if meanwhile != nil {
		meanwhile()
	}
	limit := time.Minute
	if len(c.prepared) > 0 { // it is waited for
		limit, c.loose = 200*time.Millisecond, true
		c.mayLose()
	}
	if err := c.land(within(c.t, limit), log, messages, confirm); err != nil {
		c.failed(err)
	}
}

// beside reads continuously while something happens.
func (c *chronicle) beside(meanwhile func()) {
	c.t.Helper()
	c.config.Continuous, c.config.Delay = true, 300*time.Millisecond
	log, _ := c.open()
	c.config.Continuous = false
	if log == nil {
		return
	}
	defer log.Close()
	ctx, cancel := context.WithCancel(c.t.Context())
	done := make(chan error, 1)
	go func() { done <- c.land(ctx, log, -1, true) }()
	meanwhile()
	if len(c.prepared) > 0 {
		c.loose = true
		c.mayLose()
	}
	time.AfterFunc(time.Duration(c.r.IntN(600))*time.Millisecond, cancel)
	if err := <-done; err != nil {
		c.failed(err)
	}
}

// land lands what has a place to resume behind it. If nothing is confirmed, the tables
// know how far they are.
func (c *chronicle) land(ctx context.Context, log driver.Log, messages int, confirm bool) error {
	var waiting []driver.Changes
	defer func() {
		for _, w := range waiting {
			w.Record.Release()
		}
	}()
	for m, err := range log.Changes(ctx) {
		if err != nil {
			return err
		}
		if m.Record != nil {
			waiting = append(waiting, m)
		}
		if m.Resume != "" {
			for _, w := range waiting {
				c.tables[c.names()[w.Table]].after = m.Resume
				c.apply(w)
			}
			if waiting = nil; confirm {
				if c.landed = m.Resume; log.Confirm(ctx, m.Resume) != nil {
					return nil
				}
			}
		}
		if messages--; messages == 0 {
			return nil
		}
	}
	return nil
}

// compare compares what landed with the tables, but for those that are refused.
func (c *chronicle) compare(refused map[string]bool) {
	c.t.Helper()
	for _, name := range c.names() {
		if !refused[name] && c.tables[name].after != "" {
			c.sameAs(name)
		}
	}
}
