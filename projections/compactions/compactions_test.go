package compactions

import (
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// askedDB stands in for a database: what can be compacted after GetWaitingCompaction
// has said that nothing can.
type askedDB struct {
	c       *Scheduler
	mu      sync.Mutex
	waiting bool
	between func()
	ran     chan struct{}
}

func (d *askedDB) GetAllowedWithoutPermission() int { return 1 }

func (d *askedDB) GetWaitingCompaction() (bool, pebble.WaitingCompaction) {
	d.mu.Lock()
	waiting, between := d.waiting, d.between
	d.between = nil
	d.mu.Unlock()
	if between != nil {
		between()
	}
	return waiting, pebble.WaitingCompaction{}
}

func (d *askedDB) Schedule(pebble.CompactionGrantHandle) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.waiting {
		return false
	}
	d.waiting = false
	close(d.ran)
	return true
}

// TestNoCompactionIsForgotten: a database asks once whether a compaction may run
// and is told when it may.
func TestNoCompactionIsForgotten(t *testing.T) {
	d := &askedDB{c: New(), ran: make(chan struct{})}
	d.between = func() {
		if granted, _ := d.c.TrySchedule(); granted {
			t.Error("two at once")
		}
		d.mu.Lock()
		d.waiting = true
		d.mu.Unlock()
	}
	d.c.Register(2, d)
	d.c.UpdateGetAllowedWithoutPermission()
	select {
	case <-d.ran:
	case <-time.After(time.Minute):
		t.Error("a compaction waits for ever")
	}
	d.c.Unregister()
}
