package capture_test

import (
	"context"
	"encoding/json"
	"iter"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql"
	"headwater/connectors/mysql/session"
	"headwater/connectors/sqldb"
)

// source is what a source of MySQL offers to who follows its log.
type source interface {
	driver.Source
	driver.Capturer
	CheckSteps(context.Context) ([]driver.Step, error)
}

func settingsOf(server *servers.Server, change func(*session.Settings)) session.Settings {
	s := session.Settings{Settings: sqldb.Settings{Host: server.Host, Username: server.User, Password: server.Password}, Port: server.Port, Database: server.Database}
	change(&s)
	return s
}

func openSource(t testing.TB, settings session.Settings) source {
	t.Helper()
	return openThrough(t, settings, driver.Config{Dial: (&net.Dialer{}).DialContext})
}

// openThrough opens a source with a dial of the test's own.
func openThrough(t testing.TB, settings session.Settings, cfg driver.Config) source {
	t.Helper()
	raw, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Settings = raw
	src, err := mysql.Driver{}.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src.(source)
}

// keysOf returns each row as text.
func keysOf(t *testing.T, batches iter.Seq2[driver.Batch, error]) []string {
	t.Helper()
	rows, err := drivertest.Rows(batches)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, row := range rows {
		keys = append(keys, strings.Join(row, "|"))
	}
	return keys
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
