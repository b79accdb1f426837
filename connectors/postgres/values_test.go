package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/session"
)

// TestUnheld has values that are right in the source and have no place in their
// column's type, and text that is not UTF-8.
func TestUnheld(t *testing.T) {
	server := servers.Postgres(t)
	fill(t, server.OpenPostgres, `
		CREATE TABLE odd (id int PRIMARY KEY, until timestamptz, n numeric(9,2), free numeric, at time NOT NULL);
		INSERT INTO odd VALUES (1, '2026-01-01', 1, 1.50, '12:00'), (7, 'infinity', 'NaN', 2.25, '24:00'), (8, '-infinity', 3, 'NaN', '12:00')`)
	fill(t, server.OpenPostgres, "CREATE DATABASE old ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	read := func(change func(*session.Settings)) (string, []string, error) {
		src := openWith(t, server, change)
		var notes []string
		var text string
		table := tableOfName(t, src, "odd")
		for b, err := range src.Read(t.Context(), table, driver.Cursor{}) {
			if err != nil {
				return text, notes, err
			}
			notes = append(notes, b.Notes...)
			text += fmt.Sprint(b.Record.Columns())
			b.Record.Release()
		}
		return text, notes, nil
	}
	if _, _, err := read(func(*session.Settings) {}); !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "id = 7") || !strings.Contains(err.Error(), "on_bad_value") {
		t.Errorf("an infinity: %v, want its row's key and a way out", err)
	}
	text, notes, err := read(func(s *session.Settings) { s.OnBadValue = "null" })
	if err != nil || len(notes) != 3 || !strings.Contains(notes[0], "2 values of public.odd.until") || !strings.Contains(notes[0], "id = 7") || strings.Count(text, "(null)") != 4 {
		t.Errorf("as NULL: %s, %q, %v", text, notes, err)
	}
	text, _, err = read(func(s *session.Settings) {
		s.ColumnTypes = map[string]string{"until": "string", "odd.n": "string", "public.odd.free": "decimal(9,4)", "at": "string"}
		s.OnBadValue = "null"
	})
	for _, want := range []string{`"infinity"`, `"-infinity"`, `"NaN"`, `"24:00:00"`, "2.25", `"2026-01-01 00:00:00+00"`} {
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("as text: %s, %v, want %s in it", text, err, want)
		}
	}
	if _, err := openWith(t, server, func(s *session.Settings) { s.ColumnTypes = map[string]string{"at": "decimal(9,4)"} }).Discover(t.Context()); !errors.Is(err, driver.ErrInvalidConfig) {
		t.Errorf("a time as a decimal: %v", err)
	}
	testASCII(t, server)
}

// testASCII has a database that does not say what its bytes mean.
func testASCII(t *testing.T, server *servers.Server) {
	was := server.Database
	server.Database = "old"
	defer func() { server.Database = was }()
	fill(t, server.OpenPostgres, `CREATE TABLE town (id int PRIMARY KEY, label text); INSERT INTO town VALUES (1, 'Orléans'), (2, E'Orl\351ans')`)
	src := openWith(t, server, func(*session.Settings) {})
	if _, err := rowsOf(t, src, tableOfName(t, src, "town"), false); !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "column label, the row with id = 2") || !strings.Contains(err.Error(), "encoding") {
		t.Errorf("bytes that are no UTF-8: %v", err)
	}
	src = openWith(t, server, func(s *session.Settings) { s.Encoding = "windows-1252" })
	for _, ranges := range []bool{false, true} {
		if rows, err := rowsOf(t, src, tableOfName(t, src, "town"), ranges); err != nil || fmt.Sprint(rows) != "[[1 Orléans] [2 Orléans]]" {
			t.Errorf("%v, %v", rows, err)
		}
	}
	fill(t, server.OpenPostgres, `DO $$ BEGIN EXECUTE E'CREATE TABLE "caf\351" (id int)'; END $$`)
	src = openWith(t, server, func(*session.Settings) {})
	if got := tableOfName(t, src, "caf?").LeftOut; !strings.Contains(got, "UTF-8") {
		t.Errorf("a name that is no UTF-8 is left out for %q", got)
	}
	if err := src.Check(t.Context()); err != nil {
		t.Errorf("beside a name that is no UTF-8: %v", err)
	}
}

// TestLong reads rows beyond what is called long through ranges at once: each
// waits for the one before to be released.
func TestLong(t *testing.T) {
	server := servers.Postgres(t)
	fill(t, server.OpenPostgres, `CREATE TABLE long (id int PRIMARY KEY, body text); INSERT INTO long SELECT g, CASE WHEN g % 2 = 0 THEN repeat('x', 9000000 + g) ELSE 'short' END FROM generate_series(1, 6) g`)
	src, _ := openSmall(t, server, driver.Limits{})
	table := tableOfName(t, src, "long")
	value := "0"
	seen := 0
	var resume *driver.Cursor
	for b, err := range src.Read(t.Context(), table, driver.Cursor{Column: "id", Value: &value}) {
		if err != nil {
			t.Fatal(err)
		}
		seen, resume = seen+int(b.Record.NumRows()), b.Resume
		b.Record.Release()
	}
	if seen != 6 || resume == nil || *resume.Value != "6" {
		t.Errorf("%d rows, to go on at %v", seen, resume)
	}
	for b, err := range src.Read(t.Context(), table, driver.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		b.Record.Release()
		break // with a long row under way
	}
	// Another read gets its long row, for which the one that was left must be gone.
	limited, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	rows := int64(0)
	for b, err := range src.Read(limited, table, driver.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		rows += b.Record.NumRows()
		b.Record.Release()
	}
	if rows != 6 {
		t.Errorf("%d rows after a read that was left", rows)
	}
}
