package capture_test

import (
	"os"
	"strings"
	"testing"

	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/session"
)

// The statements that the README has for an account of its own are all that it takes.
func TestTheReadmesAccount(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Changes of PostgreSQL")
	_, block, there := strings.Cut(section, "```sql\n")
	block, _, closed := strings.Cut(block, "```")
	if !there || !closed {
		t.Fatal("the README has no statements")
	}
	server := servers.PostgresWith(t, logical...)
	db := handle(t, server)
	run(t, db, "CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE customers (id int PRIMARY KEY); INSERT INTO orders VALUES (1)", block)
	m := mirrorOf(t, openWith(t, server, func(s *session.Settings) {
		s.Username, s.Password, s.Publication = "headwater_reader", "change-me", "headwater"
	}), "orders", "customers")
	m.synced()
	run(t, db, "INSERT INTO customers VALUES (2); UPDATE orders SET id = 3")
	m.synced()
}
