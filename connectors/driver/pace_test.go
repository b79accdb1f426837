package driver

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pace
		const age = 30 * time.Second
		// A batch of a fast source waits for its rows, however many come.
		for rows := 1; rows <= 10*paceRows; rows++ {
			if p.Due(rows, age) {
				t.Fatalf("due after %d rows at once", rows)
			}
		}
		// One of a slow source is seen in time, row by row.
		for range 2 {
			begun := time.Now()
			rows := 1
			for ; !p.Due(rows, age); rows++ {
				time.Sleep(7 * time.Second)
			}
			if waited := time.Since(begun); waited < age || waited > age+7*time.Second {
				t.Errorf("due after %v and %d rows, want about %v", waited, rows, age)
			}
		}
		// One that becomes slow is seen when the clock is looked at again.
		rows := 1
		for ; rows < 5*paceRows; rows++ {
			p.Due(rows, age)
		}
		time.Sleep(age)
		for end := rows + paceRows; !p.Due(rows, age); rows++ {
			if rows == end {
				t.Fatal("never due")
			}
		}
	})
}
