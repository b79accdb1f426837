package mysql

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
	"headwater/connectors/mysql/typemap"
)

// witness is what is noted about a table beside its rows: some of it just before a
// snapshot, the rest in the snapshot.
type witness struct {
	now    int64  // seconds since 1970 by the server's clock, before the snapshot
	next   string // AUTO_INCREMENT before the snapshot, "" if there is none
	sees   bool   // this account may see transactions of others
	oldest int64  // when the oldest writing transaction began, 0 if there is none
	step   int64  // auto_increment_increment

	server, created string
	id              string // InnoDB's number of a table without a key, "" if it is not known
	counter         string // the AUTO_INCREMENT column
	columns         []string
	rows            []sample // from both ends of the table, in the order of its key
	empty           bool     // it has no row
	fresh           bool     // it was made or altered in this second, so another change may leave the same time
}

// sample is a row that was seen: its key, and a mark for the value of each column.
type sample struct {
	Key   []string `json:"k"`
	Marks string   `json:"m"` // four characters a column
	// Behind says that its cursor is less than the one that the read goes on from.
	Behind bool `json:"-"`
}

const (
	sampleRows    = 16 // at each end of a table
	sampleColumns = 64
	markLen       = 4
	noProcess     = 1227 // the server's error for an account that may not see transactions
)

// look asks, before the snapshot, what the snapshot cannot show yet: transactions that
// are open then may later commit rows with an older time or a lower number than rows it
// shows.
func (s *source) look(ctx context.Context, c *session.Session, t driver.Table) (w witness, err error) {
	const clock = "SELECT UNIX_TIMESTAMP(SYSDATE()), (SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s), @@auto_increment_increment, %s"
	const open = "(SELECT UNIX_TIMESTAMP(CONVERT_TZ(MIN(trx_started), 'SYSTEM', '+00:00')) FROM information_schema.INNODB_TRX WHERE trx_is_read_only = 0 AND trx_mysql_thread_id <> CONNECTION_ID() AND (trx_rows_modified > 0 OR trx_query IS NOT NULL))"
	ask := func(open string) error {
		return c.Run(ctx, fmt.Sprintf(clock, session.Literal(t.Namespace), session.Literal(t.Name), open), func(row []*string) error {
			w.now, w.next, w.step, w.oldest = session.Integer(row[0]), session.Text(row[1]), max(session.Integer(row[2]), 1), session.Integer(row[3])
			return nil
		})
	}
	w.sees = true
	err = ask(open)
	var server *mysql.MySQLError
	if errors.As(err, &server) && server.Number == noProcess {
		w.sees = false
		err = ask("NULL")
	}
	if err != nil {
		return w, c.Explain(ctx, err, "table "+t.String())
	}
	return w, nil
}

// see adds what the snapshot shows: rows from both ends of the table. It returns the
// rows of old that are still there; behind is the SQL for sample.Behind.
func (s *source) see(ctx context.Context, c *session.Session, w *witness, d tableInfo, old []sample, behind string) (again []sample, err error) {
	w.server, w.created, w.counter = c.Server, d.created, d.counter
	made, err := time.Parse(time.DateTime, d.created)
	w.fresh = err == nil && made.Unix() >= w.now // times of creation are in whole seconds
	columns, err := keyColumns(d)
	if d.Kind == "view" {
		return nil, nil
	}
	if err != nil { // its rows cannot be found again
		return nil, s.number(ctx, c, w, d)
	}
	k := &key{columns: columns}
	list := []string{k.list()}
	for i, column := range d.Columns[:min(len(d.Columns), sampleColumns)] {
		w.columns = append(w.columns, column.Name)
		list = append(list, marked(column, d.columns[i]))
	}
	part := func(of string, rest string, limit int) string {
		return fmt.Sprintf("(SELECT %s, %s FROM %s %s LIMIT %d)", of, strings.Join(list, ", "), session.Relation(d.Table), rest, limit)
	}
	parts := []string{part("2", "ORDER BY "+ordered(columns, ""), sampleRows), part("2", "ORDER BY "+ordered(columns, " DESC"), sampleRows)}
	if where := k.anyOf(old); where != "" {
		parts = append(parts, part("COALESCE("+behind+", 0)", "WHERE "+where, 2*sampleRows))
	}
	err = c.Run(ctx, strings.Join(parts, " UNION ALL "), func(row []*string) error {
		r := sample{Behind: session.Text(row[0]) == "1"}
		for i, column := range columns {
			r.Key = append(r.Key, column.value(session.Text(row[1+i])))
		}
		for _, value := range row[1+len(columns):] {
			r.Marks += mark(value)
		}
		switch {
		case session.Text(row[0]) != "2":
			again = append(again, r)
		case !slices.ContainsFunc(w.rows, func(have sample) bool { return slices.Equal(have.Key, r.Key) }): // the ends of a small table overlap
			w.rows = append(w.rows, r)
		}
		return nil
	})
	var server *mysql.MySQLError
	if errors.As(err, &server) { // without the rows the catalog alone has to tell
		w.rows, w.columns = nil, nil
		return nil, nil
	}
	if err != nil {
		return nil, c.Explain(ctx, err, "table "+d.String())
	}
	return again, nil
}

// number asks for the number that InnoDB gave the table or its last partition. Making a
// table again and TRUNCATE give another number. Not every account may ask: then it stays
// "".
func (s *source) number(ctx context.Context, c *session.Session, w *witness, d tableInfo) error {
	catalog := "INNODB_TABLES"
	if c.MariaDB {
		catalog = "INNODB_SYS_TABLES"
	}
	file := func(name string) string { // as InnoDB's catalog spells it
		return "CONVERT(CAST(CONVERT(_utf8mb4" + session.Literal(name) + " USING filename) AS BINARY) USING utf8mb4)"
	}
	query := fmt.Sprintf("SELECT MAX(TABLE_ID) FROM information_schema.%s WHERE SUBSTRING_INDEX(LOWER(NAME), '#p#', 1) = LOWER(CONCAT(%s, '/', %s))", catalog, file(d.Namespace), file(d.Name))
	err := c.Run(ctx, query, func(row []*string) error {
		w.id = session.Text(row[0])
		return nil
	})
	var server *mysql.MySQLError
	if err == nil || errors.As(err, &server) {
		return nil
	}
	return c.Explain(ctx, err, "table "+d.String())
}

func ordered(columns []keyColumn, direction string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.quote + direction
	}
	return strings.Join(names, ", ")
}

// anyOf returns the condition for rows with these keys, "" if one of them is not of this
// key.
func (k *key) anyOf(rows []sample) string {
	var any []string
	for _, r := range rows {
		if len(r.Key) != len(k.columns) {
			return ""
		}
		var all []string
		for i, c := range k.columns {
			value, ok := c.constant(r.Key[i])
			if !ok {
				return ""
			}
			all = append(all, c.quote+" = "+value)
		}
		any = append(any, "("+strings.Join(all, " AND ")+")")
	}
	return strings.Join(any, " OR ")
}

// marked returns the SQL of a column's mark: the beginning of long values, other values
// whole.
func marked(c driver.Column, m typemap.Mapped) string {
	name := session.Quote(c.Name)
	if c.Type.Kind == driver.Bytes || c.Type.Kind == driver.JSON || c.Type.Kind == driver.String && (m.Length > typemap.MaxCursorText || m.Length == 0) {
		return "LEFT(" + name + ", 256)"
	}
	return name
}

// mark returns four characters that stand for a value.
func mark(value *string) string {
	if value == nil {
		return "NULL" // no base64 of three bytes that is likelier than others
	}
	sum := sha256Of(*value)
	return base64.RawStdEncoding.EncodeToString(sum[:3])
}

// position is what is noted beside a cursor's value, for the read that goes on from
// there.
type position struct {
	Server  string    `json:"server"`
	Created string    `json:"created"`
	ID      string    `json:"id,omitempty"`
	Empty   bool      `json:"empty,omitempty"`
	Fresh   bool      `json:"fresh,omitempty"`
	Next    string    `json:"next,omitempty"`
	Columns []string  `json:"columns,omitempty"`
	Rows    []sample  `json:"rows,omitempty"`
	Seen    []numbers `json:"seen,omitempty"`
}

// numbers is which number AUTO_INCREMENT would have given next at a time.
type numbers struct {
	At   int64  `json:"at"`
	Next string `json:"next"`
}

const maxSeen = 24

// note writes a position from the witness and the position before it. If nothing in the
// table changed it is the same text.
func (w *witness) note(was *position) json.RawMessage {
	p := position{Server: w.server, Created: w.created, ID: w.id, Empty: w.empty, Fresh: w.fresh, Next: w.next, Columns: w.columns, Rows: w.rows}
	if was != nil {
		p.Seen = was.Seen
	}
	if n := len(p.Seen); w.next != "" && (n == 0 || p.Seen[n-1].Next != w.next) {
		p.Seen = append(slices.Clone(p.Seen), numbers{w.now, w.next})
		if len(p.Seen) > maxSeen { // the older they are, the fewer are kept
			p.Seen = slices.Delete(p.Seen, 1, 2)
		}
	}
	text, err := json.Marshal(p)
	if err != nil || len(text) > driver.MaxPosition {
		p.Rows, p.Columns = nil, nil
		text, _ = json.Marshal(p) // strings and numbers always marshal
	}
	return text
}

// positionOf reads a position, nil if there is none or it cannot be read.
func positionOf(text json.RawMessage) *position {
	var p position
	if len(text) == 0 || json.Unmarshal(text, &p) != nil || p.Created == "" && p.Server == "" {
		return nil
	}
	return &p
}

// ceiling returns the value that no row which is committed later can be below, "" if
// there is no such value: nobody writes, or this account cannot see who does.
func (w *witness) ceiling(c driver.Column, was *position) string {
	if !w.sees {
		return ""
	}
	at := w.now - 1 // whoever began after that was not seen
	if w.oldest > 0 {
		at = min(at, w.oldest-1)
	}
	switch {
	case c.Type.Kind == driver.TimestampTZ:
		return time.Unix(at, 0).UTC().Format("2006-01-02T15:04:05.000000Z")
	case c.Type.Kind == driver.Timestamp && w.oldest > 0: // in any time zone
		return time.Unix(at, 0).Add(-12 * time.Hour).UTC().Format("2006-01-02T15:04:05.000000")
	case c.Type.Kind == driver.Date && w.oldest > 0:
		return time.Unix(at, 0).Add(-12 * time.Hour).UTC().Format(time.DateOnly)
	case c.Name == w.counter && w.next != "":
		return w.lowest(at, was)
	}
	return ""
}

// start returns where an incremental read begins after a read of all rows.
func (w *witness) start(t driver.Table, column string) driver.Cursor {
	at := driver.Cursor{Column: column, Position: w.note(nil)}
	c, _ := t.Column(column)
	if ceiling := w.ceiling(c, nil); ceiling != "" {
		at.Value = &ceiling
	}
	return at
}

// blindRows is how many numbers are gone back for a transaction that began before any
// number was noted.
const blindRows = 1000

// lowest returns the lowest number that a transaction begun at that time may have, "" if
// it is not known.
func (w *witness) lowest(at int64, was *position) string {
	if w.oldest == 0 {
		return w.next
	}
	if was != nil {
		for _, seen := range slices.Backward(was.Seen) {
			if seen.At <= at {
				return seen.Next
			}
		}
	}
	n, err := typemap.ParseInt([]byte(w.next))
	if err != nil {
		return ""
	}
	return fmt.Sprint(max(n-blindRows*w.step, 0))
}
