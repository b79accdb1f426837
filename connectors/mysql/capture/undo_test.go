package capture

import (
	"errors"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
)

// Rows behind a savepoint or of a prepared transaction are kept until it is known what
// becomes of them, and no more of them than the limit.
func TestUndo(t *testing.T) {
	rows := func(n int) binlog.Rows { return binlog.Rows{Last: n > 0} }
	var u undo
	if u.held() || !u.rollbackTo("x") {
		t.Error("nothing is kept at first")
	}
	u.savepoint("a")
	u.hold(rows(1))
	u.savepoint("b")
	u.hold(rows(2))
	if !u.rollbackTo("b") || len(u.rows) != 1 || !u.rollbackTo("a") || len(u.rows) != 0 || !u.held() {
		t.Errorf("%d rows are left", len(u.rows))
	}
	u.hold(rows(1))
	if got := len(u.release()); got != 1 || u.held() || u.rollbackTo("a") {
		t.Error("rows that were given are taken back")
	}
	if len(u.endTransaction()) != 0 || len(u.marks) != 0 {
		t.Error("a savepoint outlives its transaction")
	}
	u.hold(rows(1))
	if err := u.prepare("x", "0-1-1"); err != nil || u.prepared() != 1 || u.overdue(true) != nil {
		t.Error("a prepared transaction is not waited for")
	}
	w := u.xa["x"]
	w.since = w.since.Add(-preparedAtEnd - time.Second)
	u.xa["x"] = w
	if u.overdue(false) != nil || !errors.Is(u.overdue(true), driver.ErrTimeout) {
		t.Error("a prepared transaction is waited for in vain")
	}
	if got, known := u.settle("x"); len(got) != 1 || !known || u.prepared() != 0 {
		t.Error("a prepared transaction is lost")
	}
	if _, known := u.settle("y"); known {
		t.Error("a transaction is known that never was")
	}
	u.size = undoLimit
	if clone := (binlog.Rows{}); u.hold(clone) {
		t.Error("nothing is too much")
	}
	u.size++
	if !u.hold(binlog.Rows{}) {
		t.Error("there is no limit")
	}
}
