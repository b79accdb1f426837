package capture

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
)

// changed handles an event with rows.
func (s *stream) changed(e binlog.Event) error {
	rows, err := s.r.read.Rows(e)
	long := errors.Is(err, binlog.ErrLimit) && rows.Table != nil
	if err != nil && !long {
		return s.explain(err)
	}
	if rows.Table == nil {
		return nil
	}
	if s.now == nil {
		return s.withoutGTID()
	}
	t := s.followed(&rows)
	if t == nil {
		return nil
	}
	if t.after.Covers(*s.now) {
		if s.now.PreparedXA {
			s.unhold(t)
		}
		return nil
	}
	if long {
		err := s.r.tooLong(fmt.Sprintf("table %s: a change (%s)", t.table, s.where()))
		return s.lose(t, lostTable{why: err.Message, err: err})
	}
	if rows.Unchecked && rows.Action == binlog.Insert && t.bulk {
		return s.lose(t, lostTable{why: "a session put rows into it with foreign_key_checks and unique_checks off (" + s.where() + "): the server takes such rows away again, without a word in the log, if the table was empty and one of them came twice; leave one of the two on"})
	}
	s.rows = true
	s.read += int64(len(e.Body))
	if s.now.PreparedXA || s.undo.held() {
		if !s.undo.hold(rows) {
			return nil
		}
		if s.now.PreparedXA {
			return s.loseTransaction(driver.ErrLimit, fmt.Sprintf("the XA transaction %s has more changes than are held until it is committed (%d MiB)", s.gtid, undoLimit>>20))
		}
		for _, rows := range s.undo.release() {
			if err := s.give(&rows); err != nil {
				return err
			}
		}
		return nil
	}
	return s.give(&rows)
}

// followed returns the table that rows are of, nil if it is not followed.
func (s *stream) followed(rows *binlog.Rows) *captured {
	t, ok := s.known[rows.Table]
	if !ok {
		if len(s.known) > 4096 { // a table gets another number whenever it is opened
			clear(s.known)
		}
		if s.foldCase(rows.Table.Schema) == s.foldCase(s.l.source.pool.Settings.Database) {
			t = s.tables[s.foldCase(rows.Table.Name)]
		}
		s.known[rows.Table] = t
	}
	return t
}

// listed looks at what lies before the file of the log that begins. A server whose log
// is begun anew leaves its readers at the end of the old one, of which the names of
// files and the numbers come again, and sends the new log from its second file on. What
// was read before may be behind the files that are looked through for its place.
func (s *stream) listed(e binlog.Event) error {
	before, ok, err := e.GTIDList()
	if err != nil || !ok {
		return s.explain(err)
	}
	if s.files++; s.files == 1 || s.state.Includes(before) && before.Includes(s.seen.Within(before)) {
		return nil
	}
	return driver.E(driver.ErrReplaced, nil, "the server's binary log was begun anew (RESET MASTER) while it was read: before %s lies %s, and %s was read%s", s.r.place.File, cmp.Or(before.GTIDs(), "no transaction"), s.state.GTIDs(), wayAnew)
}

// foldCase returns a table's name as the server compares it: some servers ignore case.
func (s *stream) foldCase(name string) string {
	if s.l.settings.fold {
		return strings.ToLower(name)
	}
	return name
}

// give appends rows to the batch of their table.
func (s *stream) give(rows *binlog.Rows) error {
	t := s.followed(rows)
	s.open(t)
	b := t.rows
	if b.of != rows.Table {
		values, err := t.layout(rows.Table)
		if err != nil {
			return s.lose(t, lostTable{why: fmt.Sprintf("%v (%s)", err, s.where()), err: s.l.hidden(s.ctx, t)})
		}
		b.of, b.values = rows.Table, values
	}
	for {
		before := b.size()
		if err := b.add(rows); err != nil {
			var bad *rowError
			if errors.As(err, &bad) {
				return s.lose(t, lostTable{why: bad.Error(), err: bad.err})
			}
			return err
		}
		s.held += b.size() - before
		var err error
		if b.full() {
			err = s.take(t)
		} else if s.held >= heldLimit {
			err = s.flush()
		}
		if err != nil || !rows.More() {
			return err
		}
	}
}

// open notes that the transaction has rows of a table.
func (s *stream) open(t *captured) {
	if !t.rows.open {
		t.rows.open, t.rows.position = true, s.gtid
		s.touched = append(s.touched, t)
	}
}

// lose ends the reading, because the rows of a table cannot be used from here on. The
// last place to resume lies before the transaction.
func (s *stream) lose(t *captured, lost lostTable) error {
	s.l.source.lose(t.table.Name, lost)
	if lost.err != nil {
		return driver.E(driver.ErrRetyped, nil, "%s", lost.why)
	}
	return driver.E(driver.ErrRetyped, nil, "table %s: %s", t.table, lost.why)
}

// loseTransaction loses every table that the current transaction has rows of. The kind
// of the error is that with which they are refused.
func (s *stream) loseTransaction(kind error, why string) error {
	all := slices.Clone(s.touched)
	for i := range s.undo.rows {
		if t := s.followed(&s.undo.rows[i]); !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	for _, t := range all {
		lost := lostTable{why: why}
		if kind != driver.ErrReplaced {
			lost.err = driver.E(kind, nil, "table %s: %s", t.table, why)
		}
		s.l.source.lose(t.table.Name, lost)
	}
	return driver.E(driver.ErrRetyped, nil, "%s", why)
}

// unhold notes that a prepared transaction has rows of a table that was read whole behind
// them.
func (s *stream) unhold(t *captured) {
	if s.unheld == nil {
		s.unheld = map[string][]*captured{}
	}
	if xid := s.now.XID; !slices.Contains(s.unheld[xid], t) {
		s.unheld[xid] = append(s.unheld[xid], t)
	}
}

// incomplete returns the error of a log that has a statement in place of rows.
func (s *stream) incomplete(what string) error {
	return driver.E(driver.ErrReplaced, nil, "the binary log has %s in place of the rows that it changed (%s): binlog_format has to be ROW in every session, from before the log is taken up%s", what, s.where(), wayAnew)
}

// query handles a statement.
func (s *stream) query(e binlog.Event) error {
	q, err := s.r.read.Query(e)
	if err != nil {
		return s.explain(err)
	}
	st := q.Parse()
	if s.now == nil {
		if st.Kind == binlog.Harmless { // stands in for an event that old replicas do not know
			return nil
		}
		return s.withoutGTID()
	}
	if s.now.AlterStarts || s.now.AlterFails { // the ALTER is committed by a transaction of its own, or never
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
			return s.loseTransaction(driver.ErrReplaced, "the binary log has a transaction that was rolled back after changes to tables that cannot be ("+s.where()+"): what is left of it is not known")
		}
		return s.over(e)
	case binlog.Savepoint:
		s.undo.savepoint(st.Label)
		return nil
	case binlog.RollbackTo:
		if !s.undo.rollbackTo(st.Label) {
			return s.loseTransaction(driver.ErrReplaced, fmt.Sprintf("the binary log has more than %d MiB of changes that were rolled back to a savepoint (%s)", undoLimit>>20, s.where()))
		}
		return nil
	case binlog.XA:
		if !s.now.Maria && st.Label != "" { // MariaDB says it in the event of the GTID
			s.now.PreparedXA, s.now.XID = true, st.Label
		}
		return nil
	case binlog.XACommit, binlog.XARollback:
		if !s.now.Maria {
			s.now.XID = st.Label
		}
		return s.settled(st.Kind == binlog.XACommit, e)
	case binlog.Change:
		if err := s.statement(q); err != nil {
			return err
		}
	case binlog.Truncate, binlog.Define:
		if st.Kind == binlog.Truncate && e.Temporary() {
			// It empties the table, by a procedure that uses temporary tables or CONNECTION_ID(),
			// or a temporary one that hides it in a session without ROW: nothing tells which.
			st.Kind, st.Effect = binlog.Define, binlog.Rewrites
		}
		if err := s.define(st); err != nil {
			return err
		}
	}
	if s.now.Standalone || !s.now.Maria && !s.group && !st.Begins {
		return s.over(e)
	}
	return nil
}

// statement refuses a statement that stands for rows, whatever database it is of: by a
// trigger, a view or a function it may change rows of this one, of which it says nothing.
func (s *stream) statement(q binlog.Query) error {
	if q.OfServer() {
		return nil
	}
	return s.incomplete("a statement of the database " + q.Schema)
}

// define handles a statement that changes or empties tables.
func (s *stream) define(st binlog.Statement) error {
	for _, t := range s.l.tables {
		unread := t.mayBeNamed(st)
		if t.refused != nil || t.after.Covers(*s.now) || !t.isNamed(st) && !unread || !unread && t.lacksAll(st.IfThere) {
			continue
		}
		kind, effect := st.Kind, st.Effect
		if unread {
			kind, effect = binlog.Define, binlog.Rewrites
		}
		switch {
		case kind == binlog.Truncate:
			s.open(t)
			t.rows.truncate()
		case len(t.ahead) > 0 && t.ahead[0].gtid == s.gtid: // it was looked ahead to, and is in the catalog
			t.ahead, t.rows.of = t.ahead[1:], nil
			clear(s.known)
		case effect == binlog.Rewrites:
			if s.moved {
				if err := s.resume(); err != nil {
					return err
				}
			}
			return s.lose(t, lostTable{why: "a statement changed what it is or has without a word of the rows (" + s.where() + ")"})
		case len(st.Filled) > 0: // whether the catalog still shows that is for the next capture, which looks ahead to the statement
			if s.moved {
				if err := s.resume(); err != nil {
					return err
				}
			}
			return driver.E(driver.ErrRetyped, nil, "table %s has other columns from transaction %s on", t.table, s.gtid)
		default:
			s.retyped = driver.E(driver.ErrRetyped, nil, "table %s has other columns from transaction %s on", t.table, s.gtid)
		}
	}
	return nil
}

// prepare puts an XA transaction aside until it is committed or rolled back.
func (s *stream) prepare(e binlog.Event) error {
	if err := s.undo.prepare(s.now.XID, s.gtid); err != nil {
		return err
	}
	return s.over(e)
}

// settled ends an XA transaction that was prepared before.
func (s *stream) settled(committed bool, e binlog.Event) error {
	rows, known := s.undo.settle(s.now.XID)
	unheld := slices.DeleteFunc(s.unheld[s.now.XID], func(t *captured) bool { return t.after.Covers(*s.now) })
	delete(s.unheld, s.now.XID)
	switch {
	case !committed:
	case len(unheld) > 0: // some were read whole between the PREPARE and the COMMIT
		why := "the XA transaction that " + s.gtid + " commits was prepared before the table was read whole"
		for _, t := range unheld {
			s.l.source.lose(t.table.Name, lostTable{why: why})
		}
		return driver.E(driver.ErrRetyped, nil, "table %s: %s", unheld[0].table, why)
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
