// Package compactions schedules the compactions of a database, and can hold them back.
package compactions

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Scheduler schedules the compactions of one database like Pebble's own
// scheduler, and can suspend them: while a long history is replayed they would
// rewrite most of it several times. It implements Pebble's CompactionScheduler.
type Scheduler struct {
	db   pebble.DBForCompaction
	poke chan struct{} // signals that a compaction may be startable
	done chan struct{} // closed when no more compactions will be started

	mu      sync.Mutex
	held    bool
	closed  bool
	running int
	refused bool // the database was refused and waits to be called again
}

var _ pebble.CompactionScheduler = (*Scheduler)(nil)

// New returns the scheduler of one database that is about to be opened.
func New() *Scheduler {
	return &Scheduler{poke: make(chan struct{}, 1), done: make(chan struct{})}
}

// Hold suspends or resumes compactions. Running ones continue.
func (c *Scheduler) Hold(held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = held
	c.look()
}

// Held reports whether compactions are suspended.
func (c *Scheduler) Held() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// look wakes start. The database calls with its locks held, under which it
// cannot be called back. The caller holds mu.
func (c *Scheduler) look() {
	if c.closed {
		return
	}
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// take counts one more compaction if it may run. asked means that the database
// requested it.
func (c *Scheduler) take(asked bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held || c.closed || c.running >= c.db.GetAllowedWithoutPermission() {
		c.refused = c.refused || asked
		return false
	}
	c.running++
	return true
}

// giveBack returns the slot of a compaction that turned out not to be needed. A
// database that was refused because of it is called again.
func (c *Scheduler) giveBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running--; c.refused {
		c.refused = false
		c.look()
	}
}

func (c *Scheduler) start() {
	defer close(c.done)
	for range c.poke {
		for c.take(false) {
			if waits, _ := c.db.GetWaitingCompaction(); !waits || !c.db.Schedule(c) {
				c.giveBack()
				break
			}
		}
	}
}

// Register is called when the database is open.
func (c *Scheduler) Register(_ int, db pebble.DBForCompaction) {
	c.db = db
	go c.start()
}

// Unregister is called when the database closes. It is not called back
// afterwards.
func (c *Scheduler) Unregister() {
	c.mu.Lock()
	c.closed = true
	close(c.poke)
	c.mu.Unlock()
	<-c.done
}

// TrySchedule is called when a compaction could run. It returns false if that
// has to wait.
func (c *Scheduler) TrySchedule() (bool, pebble.CompactionGrantHandle) { return c.take(true), c }

// UpdateGetAllowedWithoutPermission is called after a flush.
func (c *Scheduler) UpdateGetAllowedWithoutPermission() { c.changed(0) }

// Done is called when a compaction has ended.
func (c *Scheduler) Done() { c.changed(-1) }

func (c *Scheduler) changed(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running += by
	c.look()
}

func (c *Scheduler) Started()                                          {}
func (c *Scheduler) MeasureCPU(pebble.CompactionGoroutineKind)         {}
func (c *Scheduler) CumulativeStats(pebble.CompactionGrantHandleStats) {}
