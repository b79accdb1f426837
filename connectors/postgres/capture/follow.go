package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
	"headwater/connectors/postgres/pgoutput"
	"headwater/connectors/postgres/session"
)

// follower turns the messages of a stream into Changes. It is used by one goroutine.
type follower struct {
	log    *changeLog
	emit   func(driver.Changes) error // takes what is ready to be given
	until  pglogrepl.LSN              // where the reading ends, 0 if it does not
	now    func() time.Time
	tables map[uint32]*target
	order  []*target // in the order of the Capture
	shapes map[uint32]*shape
	m      pgoutput.Message

	inside    bool          // within a transaction
	commit    pglogrepl.LSN // where the record of its commit begins
	committed time.Time
	ends      string        // the end of the commit as text, "" until it is needed
	serial    int64         // counts transactions
	xid       uint32        // the server's id of the transaction
	reached   pglogrepl.LSN // everything before it has been read
	placed    pglogrepl.LSN // the last place to resume
	placedAt  time.Time
	pending   bool      // there are changes behind it
	passed    bool      // the transactions are of after the catalog was read
	since     time.Time // when the first of those came
	first     time.Time // when it was committed
	last      time.Time // when the last one was committed
	described [2]uint32 // the last two relations that were described since the last change
	foreign   bool      // the transaction has another server's time (a replication origin)
	timed     time.Time // when the last one was committed that has not
	read      int64     // bytes behind the last place to resume
	held      int64     // bytes in the batches
}

// target gathers the changes of a table.
type target struct {
	*captured
	rows    *binarycopy.Rows
	ops     []driver.Op
	kept    map[int][]int
	old     bool
	ends    []driver.End
	serial  int64 // the transaction of the last row
	nulled  []int64
	emptied bool  // the transaction has truncated it as a whole, and put no row into it since
	batch   int64 // most rows of a batch
	limit   int64 // most bytes of a batch
	nullsOK bool  // a value that its type cannot hold becomes NULL
}

// newFollower makes a follower of the tables of a log.
func newFollower(l *changeLog, emit func(driver.Changes) error, until pglogrepl.LSN) *follower {
	f := &follower{log: l, emit: emit, until: until, now: time.Now, tables: map[uint32]*target{}, shapes: map[uint32]*shape{}, reached: l.from, placed: l.from, placedAt: time.Now()}
	charset, _ := l.source.pool.Settings.Charset() // Validate has checked it
	limits := l.source.pool.Limits
	for _, t := range l.tables {
		hows, forms := make([]binarycopy.Decoding, len(t.columns)), make([]binarycopy.Form, len(t.columns))
		for i, c := range t.columns {
			hows[i], forms[i] = c.How, t.form(i, l.server.MoneyScale)
		}
		to := &target{captured: t, rows: binarycopy.NewRows(t.table, hows, forms, l.server.ASCII, charset), nulled: make([]int64, len(t.columns)),
			batch: int64(min(limits.BatchRows, changeRows)), limit: min(limits.BatchBytes, changeBytes), nullsOK: l.source.pool.Settings.Nulls()}
		f.tables[uint32(t.row.OID)] = to
		f.order = append(f.order, to)
	}
	return f
}

// How many rows and bytes a batch of changes has, and how many bytes all batches hold
// together before they are given, all of them as they lie in memory.
const (
	changeRows  = 16_384
	changeBytes = 4 << 20
	heldBytes   = 8 << 20
)

// message handles a message of the plug-in.
func (f *follower) message(p []byte) error {
	if err := f.m.Parse(p); err != nil {
		return malformedLog(err)
	}
	f.read += int64(len(p))
	m := &f.m
	switch m.Kind {
	case pgoutput.Begin:
		if err := f.passes(pglogrepl.LSN(m.LSN)); err != nil {
			return err
		}
		f.inside, f.commit, f.committed, f.ends = true, pglogrepl.LSN(m.LSN), m.Time(), ""
		f.serial, f.xid, f.foreign, f.described = f.serial+1, m.XID, false, [2]uint32{}
	case pgoutput.Origin:
		f.foreign = true
	case pgoutput.Commit:
		f.inside = false
		f.reached = pglogrepl.LSN(m.End)
		for _, t := range f.order {
			if t.emptied && !t.loose { // a loose one may have been UNLOGGED behind that, and filled
				f.log.allay(t.row.OID, f.xid)
			}
			t.emptied = false
		}
		return f.due(false)
	case pgoutput.Describe:
		f.describes(m.Described.OID)
		f.shapes[m.Described.OID] = f.shape(m.Described)
	case pgoutput.Insert, pgoutput.Update, pgoutput.Delete:
		s := f.shapes[m.Relation]
		if s == nil {
			return malformedLog(pgoutput.ErrMalformed)
		}
		if err := f.partOf(m.Relation); err != nil {
			return err
		}
		if s.target == nil || f.commit < s.target.after {
			return nil
		}
		if err := s.usable(f); err != nil {
			return err
		}
		if err := f.change(s); err != nil {
			return f.refuseTable(s.target, err)
		}
		return nil
	case pgoutput.Truncate:
		f.described = [2]uint32{}
		for _, oid := range m.Truncated {
			if err := f.truncate(oid); err != nil {
				return err
			}
		}
	}
	return nil
}

// refuseTable remembers a table with a value that cannot land. It is refused when the
// log is opened the next time, so that the others go on without it.
func (f *follower) refuseTable(t *target, err error) error {
	var bad *driver.Error
	if !errors.As(err, &bad) || bad.Kind != driver.ErrBadData && bad.Kind != driver.ErrLimit {
		return err
	}
	return f.refuse(t, bad)
}

// refuse remembers why a table cannot go on. It is refused with why when the log is
// opened the next time.
func (f *follower) refuse(t *target, why *driver.Error) error {
	l := f.log
	l.source.mu.Lock()
	defer l.source.mu.Unlock()
	if l.source.unlandable == nil {
		l.source.unlandable = map[string]unlandable{}
	}
	l.source.unlandable[t.table.Identity] = unlandable{at: f.commit, why: why}
	return driver.E(driver.ErrRetyped, nil, "%s", why.Message)
}

// long handles a change that is longer than the limit. If its table is not followed, the
// change is skipped.
func (f *follower) long(l *session.LongRow) error {
	body := l.Begin
	if len(body) < longHead || body[0] != walData {
		return l
	}
	switch m := body[25:]; m[0] {
	case 'I', 'U', 'D':
		s := f.shapes[binary.BigEndian.Uint32(m[1:])]
		if s == nil {
			return malformedLog(pgoutput.ErrMalformed)
		}
		if f.read += l.Size; s.target == nil || f.commit < s.target.after {
			return nil
		}
		return f.refuseTable(s.target, f.log.tooLong(fmt.Sprintf("table %s: one change", s.target.table), l))
	}
	return l
}

// unlandable says why a table cannot go on behind a place in the log.
type unlandable struct {
	at  pglogrepl.LSN
	why error
}

func malformedLog(err error) error {
	return driver.E(driver.ErrBadData, nil, "the log of changes: %v", err)
}

// change adds an insert, update or delete.
func (f *follower) change(s *shape) error {
	t, m := s.target, &f.m
	if len(t.ops) > 0 && t.old != s.full {
		if err := f.hand(t); err != nil {
			return err
		}
	}
	t.old = s.full
	switch m.Kind {
	case pgoutput.Insert:
		return f.row(s, &s.whole, m.NewRow, nil, driver.OpInsert)
	case pgoutput.Delete:
		return f.row(s, &s.keys, m.OldRow, nil, driver.OpDelete)
	}
	if m.Old == 0 {
		return f.row(s, &s.whole, m.NewRow, nil, driver.OpUpdate)
	}
	same, err := pgoutput.SameKey(m.OldRow, m.NewRow, s.key)
	if err != nil {
		return malformedLog(err)
	}
	if !same || len(t.table.PrimaryKey) == 0 { // without a key, each row that came takes the place of one that is gone
		if err := f.row(s, &s.keys, m.OldRow, nil, driver.OpOldKey); err != nil {
			return err
		}
	}
	return f.row(s, &s.whole, m.NewRow, &m.OldRow, driver.OpUpdate)
}

// row adds a row. A full batch is given before it, except between an update and its old
// key.
func (f *follower) row(s *shape, w *pgoutput.Writer, row pgoutput.Row, old *pgoutput.Row, op driver.Op) error {
	t := s.target
	t.emptied = false
	if (int64(len(t.ops)) >= t.batch || t.rows.Size() >= t.limit) && (len(t.ops) == 0 || t.ops[len(t.ops)-1] != driver.OpOldKey) {
		if err := f.hand(t); err != nil {
			return err
		}
	}
	var was pgoutput.Row
	if old != nil {
		was = *old
		old = &was
	}
	before := t.rows.Size()
	kept, err := w.Write(row, old)
	if err != nil {
		return f.explain(err)
	}
	if len(kept) > 0 {
		for _, at := range kept {
			if s.keyColumn[at] {
				return driver.E(driver.ErrBadData, nil, "table %s, column %s: the log has an update without the value of this key column", t.table, t.table.Columns[at].Name)
			}
		}
		if t.kept == nil {
			t.kept = map[int][]int{}
		}
		t.kept[len(t.ops)] = kept
	}
	f.count(t, op)
	if f.held += t.rows.Size() - before; f.held >= heldBytes && op != driver.OpOldKey {
		return f.handAll()
	}
	return nil
}

func (f *follower) explain(err error) error {
	if err == pgoutput.ErrMalformed {
		return malformedLog(err)
	}
	return err
}

// count notes what kind of change the last row is.
func (f *follower) count(t *target, op driver.Op) {
	t.ops = append(t.ops, op)
	if t.serial != f.serial || len(t.ends) == 0 {
		if f.ends == "" {
			f.ends = f.commit.String()
		}
		t.serial = f.serial
		t.ends = append(t.ends, driver.End{Position: f.ends, Committed: f.committed})
	}
	t.ends[len(t.ends)-1].Rows++
	if !f.pending {
		f.pending, f.since, f.first = true, f.now(), f.committed
	}
	if f.last = f.committed; !f.foreign {
		f.timed = f.committed
	}
}

// truncate adds that a table was emptied.
func (f *follower) truncate(oid uint32) error {
	t := f.tables[oid]
	if t == nil || f.commit < t.after {
		return nil
	}
	before := t.rows.Size()
	t.rows.Begin()
	for i := range t.columns {
		t.rows.Null(i)
	}
	t.rows.End(0)
	f.count(t, driver.OpTruncate)
	f.held += t.rows.Size() - before
	t.emptied = true
	return nil
}

// hand gives the batch of a table.
func (f *follower) hand(t *target) error {
	if len(t.ops) == 0 {
		return nil
	}
	bytes := t.rows.Bytes()
	f.held -= t.rows.Size()
	c := driver.Changes{Table: t.index, Record: t.rows.Record(), Ops: t.ops, Kept: t.kept, Old: t.old, Ends: t.ends, Bytes: bytes}
	t.ops, t.kept, t.ends = nil, nil, nil
	return f.emit(c)
}

func (f *follower) handAll() error {
	for _, t := range f.order {
		if err := f.hand(t); err != nil {
			return err
		}
	}
	return nil
}

// idlePlace is how often a slot without changes gets a place to resume, at most.
const idlePlace = 10 * time.Second

// at says where in the log a change is, for people.
func (f *follower) at() string { return fmt.Sprintf("a change that was committed at %s", f.commit) }
