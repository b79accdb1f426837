// Package capture follows the log of changes of PostgreSQL, over a slot and a
// publication: it decides which tables can be followed and where each begins, and gives
// their changes as record batches.
package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pglogrepl"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/moment"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

// Capturer follows the log of changes of one database. It remembers the tables that have
// a change which cannot land. Its methods are called one at a time.
type Capturer struct {
	pool   *session.Pool
	holder *moment.Holder // keeps the moment of tables that are read whole

	mu         sync.Mutex
	unlandable map[string]unlandable // by the identity of the table
	seen       map[int64][]string    // columns that were discovered last, by the oid of their table
}

// New makes a Capturer of the sessions of a pool. It keeps moments with h.
func New(p *session.Pool, h *moment.Holder) *Capturer { return &Capturer{pool: p, holder: h} }

// Discovered notes the columns of the tables that were discovered. If a table has others
// at a Capture, it has to be discovered again: otherwise changes to a column that nobody
// knows would be lost.
func (s *Capturer) Discovered(found []*catalog.Relation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = make(map[int64][]string, len(found))
	for _, r := range found {
		for _, c := range r.Columns {
			s.seen[r.OID] = append(s.seen[r.OID], c.Name)
		}
	}
}

// unseen returns a column that a table has now and did not have when it was discovered,
// "" if there is none.
func (s *Capturer) unseen(r *catalog.Relation) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, ok := s.seen[r.OID]
	if i := slices.IndexFunc(r.Columns, func(c driver.Column) bool { return ok && !slices.Contains(seen, c.Name) }); i >= 0 {
		return r.Columns[i].Name
	}
	return ""
}

// Capture opens the log of changes for some tables, as driver.Capturer says. It compares
// the tables with the catalog and the slot with what has landed, publishes the tables,
// and, for tables that are read whole, makes a slot and exports its snapshot.
func (s *Capturer) Capture(ctx context.Context, c driver.Capture) (driver.Log, error) {
	l := &changeLog{source: s, capture: c, slot: c.Reader, publication: c.Reader, refused: map[int]error{}, control: &control{pool: s.pool}}
	if s.pool.Settings.Publication != "" {
		l.publication = s.pool.Settings.Publication
	}
	if err := l.take(ctx); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *changeLog) take(ctx context.Context) (err error) {
	if err := l.find(ctx); err != nil {
		return err
	}
	if l.facts, err = l.control.facts(ctx); err != nil { // asked after the catalog was read: the catalog does not show what commits behind this end
		return err
	}
	l.known = l.facts.end
	if err := l.facts.unsupported(); err != nil {
		return err
	}
	if err := l.examine(ctx); err != nil {
		return err
	}
	if len(l.tables) == 0 {
		return l.retract(ctx)
	}
	floor, anew, err := l.floor()
	if err != nil {
		return err
	}
	if anew {
		if err := l.checkOwner(ctx); err != nil {
			return err
		}
	}
	found, err := l.free(ctx, slotLimit)
	if err != nil {
		return err
	}
	switch {
	case !anew:
		err = l.checkContinues(found, floor)
	case found != nil:
		err = l.checkOwn(found)
	}
	if err != nil {
		return err
	}
	if err := l.published(ctx, floor, anew); err != nil {
		return err
	}
	if len(l.tables) == 0 {
		return nil
	}
	l.decideForm()
	if err := l.begin(ctx, found, floor, anew); err != nil {
		return err
	}
	l.confirmed.Store(uint64(l.from))
	return nil
}

// find reads the tables from the catalog. It refuses a table that is another one now.
func (l *changeLog) find(ctx context.Context) error {
	names := make([]string, len(l.capture.Tables))
	for i, t := range l.capture.Tables {
		names[i] = "(" + session.Literal(t.Namespace) + ", " + session.Literal(t.Name) + ")"
	}
	if len(names) == 0 {
		return driver.E(driver.ErrInvalidConfig, nil, "there is no table to capture the changes of")
	}
	c, found, err := catalog.Describe(ctx, l.source.pool, catalog.Reads{Where: " AND (n.nspname, c.relname) IN (" + strings.Join(names, ", ") + ")"})
	if err != nil {
		return err
	}
	l.source.pool.Keep(ctx, c)
	l.server = found.Server
	rows := map[string]*catalog.Relation{}
	for _, r := range found.Relations {
		rows[r.String()] = r
	}
	for i, t := range l.capture.Tables {
		row := rows[t.String()]
		columns, err := row.Match(t.Table)
		if err != nil {
			l.refused[i] = err
			continue
		}
		if column := l.source.unseen(row); column != "" {
			return driver.E(driver.ErrRetyped, nil, "table %s was altered: it has a column %s now", t, column)
		}
		l.asked = append(l.asked, &captured{index: i, table: t.Table, row: row, columns: columns, after: lsnOf([]byte(t.After))})
	}
	l.tables = slices.Clone(l.asked)
	return nil
}

// unsupported returns why the server's log cannot be read at all, nil if it can.
func (f facts) unsupported() error {
	switch {
	case f.level != "logical":
		return driver.E(driver.ErrUnsupported, nil, "the server's log has too little in it: set wal_level to logical (it is %s), and restart the server", f.level)
	case f.version < 140000:
		return driver.E(driver.ErrUnsupported, nil, "changes are captured from PostgreSQL 14 on: sync with mode full_refresh or incremental")
	case f.standby && f.version < 160000:
		return driver.E(driver.ErrUnsupported, nil, "a standby gives its log to readers from PostgreSQL 16 on: connect to the primary")
	}
	return nil
}

// floor returns the position behind which changes are needed. anew says that every table
// is read whole, so that there is no such position.
func (l *changeLog) floor() (floor pglogrepl.LSN, anew bool, err error) {
	anew = true
	var least pglogrepl.LSN
	for _, t := range l.tables {
		if t.after == 0 {
			continue
		}
		if anew || t.after < least {
			least = t.after
		}
		anew = false
	}
	if anew || l.capture.Landed == "" {
		return least, anew, nil
	}
	if floor, err = pglogrepl.ParseLSN(l.capture.Landed); err != nil {
		return 0, false, driver.E(driver.ErrBadData, nil, "the position that has landed is none of this kind of source: %s", sqldb.ReadAnew)
	}
	for _, t := range l.tables {
		if t.after != 0 {
			t.after = max(t.after, floor)
		}
	}
	return floor, false, nil
}

// published makes sure that the tables are published, or refuses them.
func (l *changeLog) published(ctx context.Context, floor pglogrepl.LSN, anew bool) error {
	if l.source.pool.Settings.Publication != "" {
		return l.give(ctx, floor, anew)
	}
	if l.facts.standby {
		return driver.E(driver.ErrUnsupported, nil, "a standby makes no publication: make one of the tables on its primary, WITH (publish_via_partition_root = true), and name it in connection_config.publication")
	}
	if !l.facts.create {
		return driver.E(driver.ErrPermission, nil, "this account may not make a publication: GRANT CREATE ON DATABASE, or have one made that connection_config.publication names")
	}
	return l.publish(ctx, floor, anew)
}

// decideForm decides whether values come in binary: only if every column of every table
// can be read so, because the plug-in has one form for all.
func (l *changeLog) decideForm() {
	l.inBinary = true
	for _, t := range l.tables {
		for i := range t.columns {
			l.inBinary = l.inBinary && t.inBinary(i)
		}
	}
}

// begin makes a slot and a moment if tables have to be read whole. found is the existing
// slot, nil if there is none.
func (l *changeLog) begin(ctx context.Context, found *slotRow, floor pglogrepl.LSN, anew bool) error {
	l.from = floor
	whole := 0
	for _, t := range l.tables {
		if t.after == 0 {
			whole++
		}
	}
	if whole == 0 {
		return nil
	}
	c, err := l.source.replicate(ctx, l.server)
	if err != nil {
		return err
	}
	defer c.Close()
	if anew && found != nil { // it is left from an attempt that failed, or of no use
		if err := l.drop(ctx); err != nil {
			return err
		}
	}
	name := l.slot
	if !anew {
		name = fmt.Sprintf("%s_%d", l.slot, c.PG.PID())
	}
	at, snapshot, err := l.create(ctx, c, name, !anew)
	if err != nil {
		return err
	}
	if err := l.share(ctx, snapshot); err != nil {
		if anew {
			err = errors.Join(err, l.drop(context.WithoutCancel(ctx)))
		}
		return err
	}
	l.position = at
	for _, t := range l.tables {
		if t.after == 0 {
			t.after = at
		}
	}
	if anew {
		l.from = at
	}
	return nil
}

// share imports the snapshot of a slot into a transaction that is held open, for readers
// in any process.
func (l *changeLog) share(ctx context.Context, snapshot string) error {
	c, m, err := moment.Export(ctx, l.source.pool, snapshot)
	if err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		l.source.pool.Keep(ctx, c)
		return err
	}
	l.moment = string(text)
	l.source.holder.Hold(c)
	return nil
}
