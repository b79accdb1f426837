// Package capture follows the binary log of MySQL and MariaDB: it decides which tables
// can be followed and where each begins, and gives their changes as record batches.
package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
	"headwater/connectors/mysql/session"
	"headwater/connectors/sqldb"
)

// logEnd returns where the log ends. It asks for the GTIDs last, so that they include
// all transactions before the place.
func logEnd(ctx context.Context, c *session.Session) (p binlog.Position, err error) {
	var place binlog.Place
	gtids := "SELECT @@GLOBAL.gtid_executed, UNIX_TIMESTAMP(), @@server_id"
	if c.MariaDB {
		gtids = "SELECT @@GLOBAL.gtid_binlog_pos, UNIX_TIMESTAMP(), @@server_id"
	}
	if err = c.Query(ctx, statusStatement(c), func(row []*string) error {
		place.File, place.At = session.Text(row[0]), uint64(session.Integer(row[1]))
		return nil
	}); err != nil {
		return p, err
	}
	if place.File == "" {
		return p, driver.E(driver.ErrReplaced, nil, "the server does not write its binary log any more, as after an error of its disk (its error log says why), and what is committed now is not in it: mend that and start the server anew; then all tables are read whole")
	}
	err = c.Query(ctx, gtids, func(row []*string) (err error) {
		place.Time, place.Server = uint32(session.Integer(row[1])), uint32(session.Integer(row[2]))
		p, err = binlog.ParseGTIDs(session.Text(row[0]))
		return err
	})
	p.Place = place
	return p, err
}

// placeNow returns a place in the log: every snapshot that is begun after this call
// shows all transactions before it. MariaDB writes a transaction to the log a little
// before InnoDB shows it, so there the place is where the log stood for a snapshot.
func placeNow(ctx context.Context, c *session.Session) (binlog.Position, error) {
	p, err := logEnd(ctx, c)
	if err != nil || !c.MariaDB {
		return p, err
	}
	if err := c.Exec(ctx, session.Begin); err != nil {
		return p, err
	}
	defer func() { _ = c.Rollback() }()
	m, err := c.Moment(ctx, time.Now())
	if err != nil {
		return p, err
	}
	file, at, ok := strings.Cut(m.Binlog, ":")
	if !ok {
		return p, driver.E(driver.ErrUnsupported, nil, "the server does not tell where its binary log stood for a snapshot")
	}
	place := p.Place
	place.File, place.At = file, uint64(session.Integer(&at))
	err = c.Query(ctx, fmt.Sprintf("SELECT BINLOG_GTID_POS(%s, %d)", session.Literal(file), place.At), func(row []*string) (err error) {
		if row[0] == nil {
			return driver.E(driver.ErrUnreachable, nil, "the binary log %s was deleted while its end was looked up", file)
		}
		p, err = binlog.ParseGTIDs(*row[0])
		return err
	})
	p.Place = place
	return p, err
}

// changeLog is a driver.Log of the binary log.
type changeLog struct {
	source   *Capturer
	capture  driver.Capture
	tables   []*captured
	position string // where the tables that are read whole begin
	start    binlog.Position
	settings logSettings
	server   uint32      // its id
	loosened atomic.Bool // its settings came to be loose while it was read
	mariadb  bool

	confirmed atomic.Pointer[string]
	came      atomic.Pointer[binlog.Position] // the last place to resume
	clock     sqldb.Clock                     // the server's

	mu     sync.Mutex
	side   *session.Session // for questions while the log is read
	closed bool
}

// lostTable says why the rows of a table in the log cannot be used until the table is
// read whole.
type lostTable struct {
	why string
	err error // set if a row is wrong
}

// Capturer follows the binary log of one database. It remembers lost tables until they
// are read whole. Its methods are called one at a time.
type Capturer struct {
	pool *session.Pool

	mu   sync.Mutex
	lost map[string]lostTable // by the table's name
	seen map[string][]string  // columns that were discovered last, by their table's name
}

// New makes a Capturer of the sessions of a pool.
func New(p *session.Pool) *Capturer { return &Capturer{pool: p} }

// Discovered notes the columns of a table that was discovered. If it has others at a
// Capture, it has to be discovered again: otherwise changes to a column that nobody
// knows would be lost.
func (s *Capturer) Discovered(table string, columns []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string][]string{}
	}
	s.seen[table] = columns
}

// unseen fails with ErrRetyped if a table has a column that it did not have when it was
// discovered.
func (s *Capturer) unseen(t *captured) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, ok := s.seen[t.table.Name]
	for _, c := range t.columns {
		if ok && !slices.Contains(seen, c.name) {
			return driver.E(driver.ErrRetyped, nil, "table %s was altered: it has a column %s now", t.table, c.name)
		}
	}
	return nil
}

// Capture opens the log for some tables, as driver.Capturer says. It changes nothing on
// the server.
func (s *Capturer) Capture(ctx context.Context, capture driver.Capture) (driver.Log, error) {
	c, err := s.pool.Await(ctx)
	if err != nil {
		return nil, err
	}
	l := &changeLog{source: s, capture: capture, side: c, mariadb: c.MariaDB}
	if err := l.take(ctx, c); err != nil {
		c.Close()
		return nil, err
	}
	return l, nil
}

// Holds is true: whether the log goes on behind a position, Capture finds out.
func (s *Capturer) Holds(context.Context, string) (bool, error) { return true, nil }

// Release does nothing, because the server keeps nothing for a single reader.
func (s *Capturer) Release(context.Context, string, string) error { return nil }

var _ driver.Capturer = (*Capturer)(nil)

// take looks at the server, the tables and the log, and decides where each table begins.
func (l *changeLog) take(ctx context.Context, c *session.Session) (err error) {
	missing, kind, err := l.source.Ready(ctx, c)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return driver.E(kind, nil, "the server's log of changes cannot be read: %s", strings.Join(missing, "; "))
	}
	if l.settings, err = askLogSettings(ctx, c); err != nil {
		return err
	}
	now, err := placeNow(ctx, c)
	if err != nil {
		return err
	}
	if now.Place.Made, err = l.made(ctx, now.Place.File); err != nil {
		return err
	}
	if l.tables, err = l.source.describe(ctx, c, l.capture.Tables); err != nil {
		return err
	}
	now.Place.Loose, l.server = l.isLoose(), now.Place.Server
	for _, t := range l.tables {
		t.fold, t.overwrites = l.settings.fold, c.MariaDB
		t.bulk = c.MariaDB && c.Version >= 100600 && t.engine == "innodb"
	}
	if err := l.begin(ctx, c, now); err != nil {
		return err
	}
	l.forgetLost()
	if err := l.lookAhead(ctx, c); err != nil {
		return err
	}
	for _, t := range l.tables {
		if t.refused == nil {
			t.rows = newRowBuilder(t, l.limits(), l.source.pool.Settings.Nulls())
		}
	}
	return nil
}

// begin decides where each table begins in the log, and where the first of them begins.
func (l *changeLog) begin(ctx context.Context, c *session.Session, now binlog.Position) error {
	var landed *binlog.Position
	if l.capture.Landed != "" {
		p, err := binlog.Parse(l.capture.Landed)
		if err != nil {
			return driver.E(driver.ErrReplaced, nil, "the position that was confirmed last is none of a binary log%s", wayAnew)
		}
		landed = &p
	}
	first, any := now, false
	include := func(p binlog.Position) {
		if !any {
			first, any = p, true
			return
		}
		first = first.Common(p)
	}
	for i, t := range l.tables {
		text := l.capture.Tables[i].After
		if text == "" {
			t.after = now
			if l.position = now.String(); t.refused == nil {
				include(now)
			}
			continue
		}
		p, err := binlog.Parse(text)
		if err != nil {
			return driver.E(driver.ErrReplaced, nil, "table %s landed up to a position that is none of a binary log%s", t.table, wayAnew)
		}
		later := landed != nil && landed.Includes(p) && (!p.Includes(*landed) || landed.Place.Server == p.Place.Server && isLaterFile(landed.Place.File, p.Place.File))
		if later { // it has no changes in between
			p = *landed
		}
		if t.after = p; t.refused == nil {
			include(p)
		}
	}
	l.start = first
	if !any {
		return nil
	}
	return l.checkContinues(ctx, c)
}

// forgetLost refuses lost tables, and forgets those that are read whole now.
func (l *changeLog) forgetLost() {
	s := l.source
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, t := range l.tables {
		lost, ok := s.lost[t.table.Name]
		if !ok {
			continue
		}
		if l.capture.Tables[i].After == "" {
			delete(s.lost, t.table.Name)
			continue
		}
		switch {
		case t.refused != nil:
		case lost.err != nil:
			t.refused = lost.err
		default:
			t.refused = driver.E(driver.ErrReplaced, nil, "table %s: %s", t.table, lost.why)
		}
	}
}

// lose remembers a lost table.
func (s *Capturer) lose(table string, lost lostTable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost == nil {
		s.lost = map[string]lostTable{}
	}
	s.lost[table] = lost
}

// limits are those of batches of changes. They are lower, because all tables have a
// batch at the same time.
func (l *changeLog) limits() driver.Limits {
	limits := l.source.pool.Limits
	limits.BatchRows, limits.BatchBytes = min(limits.BatchRows, batchRows), min(limits.BatchBytes, batchBytes)
	return limits
}

// Moment returns no moment, only the position: tables that are read whole need no common
// snapshot.
func (l *changeLog) Moment() (moment, position string) { return "", l.position }

// Refused returns the tables whose changes cannot be had, with the reason.
func (l *changeLog) Refused() map[int]error {
	refused := map[int]error{}
	for i, t := range l.tables {
		if t.refused != nil {
			refused[i] = t.refused
		}
	}
	return refused
}

// Confirm remembers the position. The server is told nothing.
func (l *changeLog) Confirm(_ context.Context, position string) error {
	l.confirmed.Store(&position)
	return nil
}

// Close closes the session for questions. It is safe to call twice and at any moment.
func (l *changeLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.side != nil {
		l.side.Close()
		l.side = nil
	}
	return nil
}

// aside runs f on the session for questions. If that session was lost it connects again.
func (l *changeLog) aside(ctx context.Context, f func(*session.Session) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return driver.E(driver.ErrUnreachable, nil, "the log is closed")
	}
	var server *mysql.MySQLError
	if l.side != nil {
		if err := f(l.side); err == nil || errors.As(err, &server) || ctx.Err() != nil {
			return err
		}
		l.side.Close()
		l.side = nil
	}
	c, err := l.source.pool.Await(ctx)
	if err != nil {
		return err
	}
	l.side = c
	return f(c)
}
