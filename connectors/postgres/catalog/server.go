package catalog

import (
	"strconv"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/session"
)

// Server is what a server says about itself and about the session.
type Server struct {
	Name       string // the system identifier, or the names of cluster and database
	database   int64  // oid of the database
	Standby    bool
	MoneyScale int32
	set        string // the session's settings as the server has them
	ASCII      bool   // the database is of SQL_ASCII: its text may be in any encoding
}

func serverOf(row [][]byte) Server {
	scale, err := strconv.ParseInt(string(row[3]), 10, 32)
	if err != nil || scale < 0 || scale > moneyDigits {
		scale = 2
	}
	return Server{Name: string(row[0]), database: session.Number(row[1]), Standby: session.Truth(row[2]), MoneyScale: int32(scale), set: string(row[4])}
}

// check compares the session's settings with those that were asked for. A pooler that
// drops a statement, or a server that means something else by it, would change what rows
// look like.
func (v Server) check(rowSecurity string) error {
	want := strings.Fields("repeatable_read on 0 ISO iso_8601 hex 3 on " + rowSecurity)
	have := strings.Fields(strings.Replace(v.set, "repeatable read", "repeatable_read", 1))
	names := []string{"transaction_isolation", "transaction_read_only", "statement_timeout", "DateStyle", "IntervalStyle", "bytea_output", "extra_float_digits", "standard_conforming_strings", "row_security"}
	if len(have) != len(want)+1 {
		return driver.E(driver.ErrUnsupported, nil, "the server does not tell what the session's settings are")
	}
	for i, name := range names {
		if have[i] != want[i] {
			return driver.E(driver.ErrUnsupported, nil, "the server did not take the session's setting of %s: is a pooler in between that changes statements?", name)
		}
	}
	if encoding := have[len(want)]; encoding != "UTF8" && encoding != "SQL_ASCII" {
		return driver.E(driver.ErrUnsupported, nil, "the server did not take the session's setting of client_encoding")
	}
	return nil
}

// identity names a relation. Another table has another name.
func (v Server) identity(r *Relation) string {
	id := "pg " + v.Name + " " + strconv.FormatInt(v.database, 10) + " " + strconv.FormatInt(r.OID, 10)
	if len(id) > 512 {
		id = id[:512]
	}
	if r.rule != "" {
		id += " " + r.rule
	}
	return id
}

// BeforeRows returns the statements ahead of one that reads a table's rows: views and
// policies call functions that need the account's own search path, and dates of a view
// depend on the account's time zone.
func (v Server) BeforeRows(kind string) string {
	own := "SET LOCAL search_path TO DEFAULT;"
	switch {
	case kind == "v":
		return own + "SET LOCAL TimeZone TO DEFAULT;"
	case v.MoneyScale == 2:
		return own + "SET LOCAL lc_monetary = 'C';" // amounts in composite types come as text
	}
	return own
}
