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
	if u.marked() || !u.back("x") {
		t.Error("nothing is kept at first")
	}
	u.mark("a")
	u.hold(rows(1))
	u.mark("b")
	u.hold(rows(2))
	if !u.back("b") || len(u.rows) != 1 || !u.back("a") || len(u.rows) != 0 || !u.marked() {
		t.Errorf("%d rows are left", len(u.rows))
	}
	u.hold(rows(1))
	if got := len(u.pass()); got != 1 || u.marked() || u.back("a") {
		t.Error("rows that were given are taken back")
	}
	if len(u.let()) != 0 || len(u.marks) != 0 {
		t.Error("a savepoint outlives its transaction")
	}
	u.hold(rows(1))
	if err := u.prepare("x", "0-1-1"); err != nil || u.prepared() != 1 || u.stuck(true) != nil {
		t.Error("a prepared transaction is not waited for")
	}
	w := u.xa["x"]
	w.since = w.since.Add(-preparedAtEnd - time.Second)
	u.xa["x"] = w
	if u.stuck(false) != nil || !errors.Is(u.stuck(true), driver.ErrTimeout) {
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
