package capture

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/binlog"
	"headwater/connectors/mysql/session"
	"headwater/connectors/sqldb"
)

func TestPlacesInLongFiles(t *testing.T) {
	for _, c := range []struct {
		at    uint64
		lower uint32
		want  uint64
	}{{4, 256, 256}, {322, 285, 322}, {1<<32 - 10, 5, 1<<32 + 5}, {1<<32 + 5, 1000, 1<<32 + 1000}, {3<<32 + 7, 2, 3<<32 + 7}} {
		if got := onward(c.at, c.lower); got != c.want {
			t.Errorf("onward(%d, %d) = %d, want %d", c.at, c.lower, got, c.want)
		}
	}
	if !isLaterFile("log.000010", "log.000009") || isLaterFile("log.000009", "log.000010") || isLaterFile("a.000010", "b.000009") || isLaterFile("", "x") {
		t.Error("files are compared wrongly")
	}
}

// The place that tables are read whole behind has no transaction before it that a
// snapshot taken right then does not show: the server writes its log first.
func TestPlaceIsShown(t *testing.T) {
	server := servers.MariaDBWith(t, "--log-bin=log", "--server-id=7", "--binlog-format=ROW", "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1")
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	settings, err := json.Marshal(session.Settings{Settings: sqldb.Settings{Host: server.Host, Username: server.User, Password: server.Password}, Port: server.Port, Database: server.Database})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := session.NewPool(driver.Config{Settings: settings, Dial: new(net.Dialer).DialContext})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	c, err := pool.Connect(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	number := func(p binlog.Position) (n int) {
		_, _ = fmt.Sscanf(p.GTIDs(), "0-7-%d", &n)
		return n
	}
	start, err := placeNow(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for ctx.Err() == nil {
				_, _ = db.ExecContext(ctx, "INSERT INTO t VALUES ()")
			}
		})
	}
	one, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		p, err := placeNow(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		var seen int
		if err := one.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM t").Scan(&seen); err != nil {
			t.Fatal(err)
		}
		if logged := number(p) - number(start); logged > seen {
			t.Fatalf("%d transactions lie before the place, and %d are shown", logged, seen)
		}
	}
	stop()
	writers.Wait()
}
