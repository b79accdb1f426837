package mysql

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
)

// changed takes an event of rows.
func (s *stream) changed(e binlog.Event) error {
	rows, err := s.r.read.Rows(e)
	if err != nil {
		return s.explain(err)
	}
	if rows.Table == nil {
		return nil
	}
	if s.now == nil {
		return s.nameless()
	}
	t, ok := s.known[rows.Table]
	if !ok {
		if len(s.known) > 4096 { // tables are numbered anew whenever they are opened
			clear(s.known)
		}
		if rows.Table.Schema == s.l.source.settings.Database {
			t = s.tables[rows.Table.Name]
		}
		s.known[rows.Table] = t
	}
	if t == nil || t.after.Covers(*s.now) {
		return nil
	}
	s.rows = true
	s.read += int64(len(e.Body))
	if s.now.PreparedXA || s.stay.marked() {
		if !s.stay.hold(rows) {
			return nil
		}
		if s.now.PreparedXA {
			return driver.E(driver.ErrLimit, nil, "the XA transaction %s has more changes than are held until it is committed (%d MiB)", s.gtid, undoLimit>>20)
		}
		for _, rows := range s.stay.pass() {
			if err := s.give(&rows); err != nil {
				return err
			}
		}
		return nil
	}
	return s.give(&rows)
}

// give appends rows to their table's batch.
func (s *stream) give(rows *binlog.Rows) error {
	t := s.known[rows.Table]
	if t == nil {
		t = s.tables[rows.Table.Name]
	}
	s.open(t)
	b := t.rows
	if b.of != rows.Table {
		values, err := t.layout(rows.Table)
		if err != nil {
			return s.lose(t, lostTable{why: fmt.Sprintf("%v (%s)", err, s.where())})
		}
		b.of, b.values = rows.Table, values
	}
	before := b.bytes
	if err := b.add(rows); err != nil {
		var bad *rowError
		if errors.As(err, &bad) {
			return s.lose(t, lostTable{why: bad.Error(), err: bad.err})
		}
		return err
	}
	s.held += b.bytes - before
	limits := b.d.limits
	if len(b.ops) >= limits.BatchRows || b.bytes >= limits.BatchBytes {
		return s.take(t)
	}
	if s.held >= heldLimit {
		return s.flush()
	}
	return nil
}

// open notes that the transaction has rows of a table.
func (s *stream) open(t *captured) {
	if !t.rows.open {
		t.rows.open, t.rows.position = true, s.gtid
		s.touched = append(s.touched, t)
	}
}

// lose ends the reading: a table's rows are no use from here on. The place to resume
// stays before the transaction.
func (s *stream) lose(t *captured, lost lostTable) error {
	s.l.source.lose(t.table.Name, lost)
	if lost.err != nil {
		return driver.E(driver.ErrRetyped, nil, "%s", lost.why)
	}
	return driver.E(driver.ErrRetyped, nil, "table %s: %s", t.table, lost.why)
}

// incomplete is a log that has a statement in place of rows.
func (s *stream) incomplete(what string) error {
	return driver.E(driver.ErrReplaced, nil, "the binary log has %s in place of the rows that it changed (%s): binlog_format has to be ROW in every session, from before the log is taken up%s", what, s.where(), wayAnew)
}

// query takes a statement.
func (s *stream) query(e binlog.Event) error {
	q, err := s.r.read.Query(e)
	if err != nil {
		return s.explain(err)
	}
	st := q.Parse()
	if s.now == nil {
		if st.Kind == binlog.Harmless { // what the server puts in place of events that old replicas do not know
			return nil
		}
		return s.nameless()
	}
	if s.now.AlterStarts || s.now.AlterFails { // its commit comes by itself, or never
		return s.over(e)
	}
	switch st.Kind {
	case binlog.Begin:
		s.group = true
		return nil
	case binlog.Commit:
		return s.commit(e)
	case binlog.Rollback:
		if s.rows {
			return driver.E(driver.ErrReplaced, nil, "the binary log has a transaction that was rolled back after changes to tables that cannot be (%s): what is left of it is not known%s", s.where(), wayAnew)
		}
		return s.over(e)
	case binlog.Savepoint:
		s.stay.mark(st.Label)
		return nil
	case binlog.RollbackTo:
		if !s.stay.back(st.Label) {
			return driver.E(driver.ErrReplaced, nil, "the binary log has more than %d MiB of changes that were rolled back to a savepoint (%s)%s", undoLimit>>20, s.where(), wayAnew)
		}
		return nil
	case binlog.XA:
		return nil
	case binlog.XACommit, binlog.XARollback:
		return s.settled(st.Kind == binlog.XACommit, e)
	case binlog.Change:
		if err := s.statement(q); err != nil {
			return err
		}
	case binlog.Truncate, binlog.Define:
		if err := s.define(st); err != nil {
			return err
		}
	}
	if s.now.Standalone || !s.now.Maria && !s.group {
		return s.over(e)
	}
	return nil
}

// statement refuses one that stands for rows, unless it is of another database and
// does not speak of this one.
func (s *stream) statement(q binlog.Query) error {
	ours := s.l.source.settings.Database
	if !strings.EqualFold(q.Schema, ours) && !strings.Contains(strings.ToLower(q.SQL), strings.ToLower(ours)) {
		return nil
	}
	return s.incomplete("a statement")
}

// define takes a statement that makes tables other ones, or empties them.
func (s *stream) define(st binlog.Statement) error {
	for _, t := range s.l.tables {
		if t.refused != nil || t.after.Covers(*s.now) || !t.named(st) {
			continue
		}
		switch {
		case st.Kind == binlog.Truncate:
			s.open(t)
			t.rows.truncate()
		case len(t.ahead) > 0 && t.ahead[0].gtid == s.gtid: // known, and in the catalog
			t.ahead, t.rows.of = t.ahead[1:], nil
			clear(s.known)
		case st.Effect == binlog.Rewrites:
			if s.moved {
				if err := s.resume(); err != nil {
					return err
				}
			}
			return s.lose(t, lostTable{why: "a statement changed what it is or has without a word of the rows (" + s.where() + ")"})
		default:
			if len(st.Dropped) > 0 {
				s.l.source.lose(t.table.Name, lostTable{why: "a column was dropped and made again (" + s.where() + ")", dropped: slices.Clone(st.Dropped)})
			}
			s.retyped = driver.E(driver.ErrRetyped, nil, "table %s has other columns from transaction %s on", t.table, s.gtid)
		}
	}
	return nil
}

// prepare puts a transaction aside that is not committed yet.
func (s *stream) prepare(e binlog.Event) error {
	if err := s.stay.prepare(s.now.XID, s.gtid); err != nil {
		return err
	}
	return s.over(e)
}

// settled ends a transaction that was prepared before.
func (s *stream) settled(committed bool, e binlog.Event) error {
	rows, known := s.stay.settle(s.now.XID)
	switch {
	case !committed:
	case !known:
		return driver.E(driver.ErrReplaced, nil, "the XA transaction that %s commits was prepared before the log was taken up%s", s.gtid, wayAnew)
	default:
		for _, r := range rows {
			if err := s.give(&r); err != nil {
				return err
			}
		}
	}
	return s.over(e)
}

// undo keeps rows that may still be taken back: those behind a savepoint, and those of
// transactions that are prepared.
type undo struct {
	rows  []binlog.Rows // of the transaction that is being read
	size  int
	marks []savepoint
	xa    map[string]waiting
}

type savepoint struct {
	label  string
	at     int  // of rows
	passed bool // rows behind it were given
}

// waiting is a transaction that is prepared.
type waiting struct {
	gtid  string
	rows  []binlog.Rows
	since time.Time
}

// undoLimit bounds what is kept, in bytes.
const undoLimit = 32 << 20

func (u *undo) marked() bool { return len(u.marks) > 0 && !u.marks[len(u.marks)-1].passed }

func (u *undo) mark(label string) {
	u.marks = append(u.marks, savepoint{label: label, at: len(u.rows)})
}

// hold keeps rows. It reports true when there are too many.
func (u *undo) hold(rows binlog.Rows) (full bool) {
	clone, size := rows.Clone()
	u.rows, u.size = append(u.rows, clone), u.size+size
	return u.size > undoLimit
}

// pass gives all up that is kept of this transaction.
func (u *undo) pass() []binlog.Rows {
	rows := u.rows
	u.rows, u.size = nil, 0
	for i := range u.marks {
		u.marks[i].passed = true
	}
	return rows
}

// let is pass at the transaction's end.
func (u *undo) let() []binlog.Rows {
	rows := u.rows
	u.rows, u.size, u.marks = nil, 0, nil
	return rows
}

// back forgets rows behind a savepoint. It reports false if some were given.
func (u *undo) back(label string) bool {
	for i := len(u.marks) - 1; i >= 0; i-- {
		if u.marks[i].label != label {
			continue
		}
		if u.marks[i].passed {
			return false
		}
		u.rows, u.marks = u.rows[:u.marks[i].at], u.marks[:i+1]
		return true
	}
	return len(u.rows) == 0
}

// maxPrepared bounds how many transactions may be prepared at once.
const maxPrepared = 1024

func (u *undo) prepare(xid, gtid string) error {
	if u.xa == nil {
		u.xa = map[string]waiting{}
	}
	if len(u.xa) >= maxPrepared {
		return driver.E(driver.ErrLimit, nil, "more than %d XA transactions are prepared and not committed", maxPrepared)
	}
	// What is prepared counts on until it is settled.
	u.xa[xid] = waiting{gtid, u.rows, time.Now()}
	u.rows, u.marks = nil, nil
	return nil
}

func (u *undo) prepared() int { return len(u.xa) }

// settle returns what is kept of a prepared transaction.
func (u *undo) settle(xid string) (rows []binlog.Rows, known bool) {
	w, known := u.xa[xid]
	delete(u.xa, xid)
	if len(u.xa) == 0 {
		u.size = 0
	}
	return w.rows, known
}

// How long a transaction may be prepared before the reading ends with an error: it
// keeps every place to resume from being given.
const (
	preparedLimit = 10 * time.Minute
	preparedAtEnd = 15 * time.Second // when nothing else is left to read
)

// stuck says that a prepared transaction is waited for no longer.
func (u *undo) stuck(over bool) error {
	for _, w := range u.xa {
		limit := preparedLimit
		if over {
			limit = preparedAtEnd
		}
		if since := time.Since(w.since); since > limit {
			return driver.E(driver.ErrTimeout, nil, "the XA transaction %s is prepared and was neither committed nor rolled back for %s: nothing behind it can be landed; XA RECOVER shows it", w.gtid, limit)
		}
	}
	return nil
}
