package capture_test

import (
	"os"
	"strings"
	"testing"

	"headwater/connectors/mysql/session"
)

// The statements that the README has for an account of its own are all that it takes.
func TestTheReadmesAccount(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Changes of MariaDB")
	_, block, there := strings.Cut(section, "```sql\n")
	block, _, closed := strings.Cut(block, "```")
	if !there || !closed {
		t.Fatal("the README has no statements")
	}
	server, db := logServer(t)
	execute(t, db, "CREATE DATABASE shop; CREATE TABLE shop.orders (id int PRIMARY KEY); "+block)
	f := newFollower(t, server, db, func(s *session.Settings) {
		s.Username, s.Password, s.Database = "headwater_reader", "change-me", "shop"
	})
	f.discover("orders")
	f.catchUp()
	execute(t, db, "INSERT INTO shop.orders VALUES (1), (2)")
	log, err := f.capture()
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := f.changes(log); err != nil {
		t.Fatal(err)
	}
	if got := len(f.tables["orders"].rows); got != 2 {
		t.Errorf("%d rows", got)
	}
}
