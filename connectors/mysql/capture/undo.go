package capture

import (
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
)

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

func (u *undo) held() bool { return len(u.marks) > 0 && !u.marks[len(u.marks)-1].passed }

func (u *undo) savepoint(label string) {
	u.marks = append(u.marks, savepoint{label: label, at: len(u.rows)})
}

// hold keeps rows. It reports true when there are too many.
func (u *undo) hold(rows binlog.Rows) (full bool) {
	clone, size := rows.Clone()
	u.rows, u.size = append(u.rows, clone), u.size+size
	return u.size > undoLimit
}

// release gives all up that is kept of this transaction.
func (u *undo) release() []binlog.Rows {
	rows := u.rows
	u.rows, u.size = nil, 0
	for i := range u.marks {
		u.marks[i].passed = true
	}
	return rows
}

// endTransaction is pass at the transaction's end.
func (u *undo) endTransaction() []binlog.Rows {
	rows := u.rows
	u.rows, u.size, u.marks = nil, 0, nil
	return rows
}

// rollbackTo forgets rows behind a savepoint. It reports false if some were given.
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

// overdue says that a prepared transaction is waited for no longer.
func (u *undo) overdue(over bool) error {
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
