package capture

import (
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
)

// undo holds rows that may still be rolled back: those behind a savepoint, and those of
// prepared XA transactions.
type undo struct {
	rows  []binlog.Rows // of the current transaction
	size  int
	marks []savepoint
	xa    map[string]waiting
}

type savepoint struct {
	label  string
	at     int  // index of the first row behind it
	passed bool // rows behind it were given already
}

// waiting is a prepared transaction.
type waiting struct {
	gtid  string
	rows  []binlog.Rows
	since time.Time
}

// undoLimit is the most bytes that are held.
const undoLimit = 32 << 20

// held reports whether rows of the current transaction have to be held.
func (u *undo) held() bool { return len(u.marks) > 0 && !u.marks[len(u.marks)-1].passed }

// savepoint notes a savepoint.
func (u *undo) savepoint(label string) {
	u.marks = append(u.marks, savepoint{label: label, at: len(u.rows)})
}

// hold keeps a copy of rows. It returns true if the limit is exceeded.
func (u *undo) hold(rows binlog.Rows) (full bool) {
	clone, size := rows.Clone()
	u.rows, u.size = append(u.rows, clone), u.size+size
	return u.size > undoLimit
}

// release returns all rows of the current transaction that are held, to be given before
// it ends.
func (u *undo) release() []binlog.Rows {
	rows := u.rows
	u.rows, u.size = nil, 0
	for i := range u.marks {
		u.marks[i].passed = true
	}
	return rows
}

// endTransaction returns the rows that are held, and forgets the savepoints.
func (u *undo) endTransaction() []binlog.Rows {
	rows := u.rows
	u.rows, u.size, u.marks = nil, 0, nil
	return rows
}

// rollbackTo drops the rows behind a savepoint. It returns false if some of them were
// given already.
func (u *undo) rollbackTo(label string) bool {
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

// maxPrepared is the most transactions that may be prepared at the same time.
const maxPrepared = 1024

// prepare puts the rows of the current transaction aside. ErrLimit says that too many
// are prepared.
func (u *undo) prepare(xid, gtid string) error {
	if u.xa == nil {
		u.xa = map[string]waiting{}
	}
	if len(u.xa) >= maxPrepared {
		return driver.E(driver.ErrLimit, nil, "more than %d XA transactions are prepared and not committed", maxPrepared)
	}
	// Its bytes count until it is settled.
	u.xa[xid] = waiting{gtid, u.rows, time.Now()}
	u.rows, u.marks = nil, nil
	return nil
}

func (u *undo) prepared() int { return len(u.xa) }

// settle returns the rows of a prepared transaction and forgets it. known is false if it
// was prepared before the log was taken up.
func (u *undo) settle(xid string) (rows []binlog.Rows, known bool) {
	w, known := u.xa[xid]
	delete(u.xa, xid)
	if len(u.xa) == 0 {
		u.size = 0
	}
	return w.rows, known
}

// How long a transaction may be prepared before the reading ends with an error: until it
// is settled no place to resume can be given.
const (
	preparedLimit = 10 * time.Minute
	preparedAtEnd = 15 * time.Second // when nothing else is left to read
)

// overdue returns an error if a prepared transaction has been waited for long enough.
// over says that there is nothing else to read.
func (u *undo) overdue(over bool) error {
	for _, w := range u.xa {
		limit := preparedLimit
		if over {
			limit = preparedAtEnd
		}
		if since := time.Since(w.since); since > limit {
			return driver.E(driver.ErrTimeout, nil, "the XA transaction %s is prepared and was neither committed nor rolled back for %s: nothing behind it can be landed; XA RECOVER shows it, unless the server forgot it in a crash%s", w.gtid, limit, wayAnew)
		}
	}
	return nil
}
