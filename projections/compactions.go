package projections

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// compactions schedules those of one database as Pebble's own scheduler does, and
// can hold them back: while a long history is folded they would rewrite most of
// it several times.
type compactions struct {
	db   pebble.DBForCompaction
	poke chan struct{} // there may be one to start
	done chan struct{} // closed when none will be started any more

	mu      sync.Mutex
	held    bool
	closed  bool
	running int
	refused bool // the database waits to be asked, which it is told of once
}

var _ pebble.CompactionScheduler = (*compactions)(nil)

func newCompactions() *compactions {
	return &compactions{poke: make(chan struct{}, 1), done: make(chan struct{})}
}

// hold begins or ends holding back. Those that run go on.
func (c *compactions) hold(held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = held
	c.look()
}

// look has start look whether it can, since the database calls with its locks
// held, under which it cannot be asked anything. The caller holds mu.
func (c *compactions) look() {
	if c.closed {
		return
	}
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// take counts one more, if it may run. asked says that the database wants to know.
func (c *compactions) take(asked bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held || c.closed || c.running >= c.db.GetAllowedWithoutPermission() {
		c.refused = c.refused || asked
		return false
	}
	c.running++
	return true
}

// giveBack is for one that was taken and is not there. Who was refused because of
// it is asked again.
func (c *compactions) giveBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running--; c.refused {
		c.refused = false
		c.look()
	}
}

func (c *compactions) start() {
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
func (c *compactions) Register(_ int, db pebble.DBForCompaction) {
	c.db = db
	go c.start()
}

// Unregister is called when it closes. Nothing is asked of it afterwards.
func (c *compactions) Unregister() {
	c.mu.Lock()
	c.closed = true
	close(c.poke)
	c.mu.Unlock()
	<-c.done
}

// TrySchedule is called for one that could run.
func (c *compactions) TrySchedule() (bool, pebble.CompactionGrantHandle) { return c.take(true), c }

// UpdateGetAllowedWithoutPermission is called after a flush.
func (c *compactions) UpdateGetAllowedWithoutPermission() { c.changed(0) }

// Done is called when one has ended.
func (c *compactions) Done() { c.changed(-1) }

func (c *compactions) changed(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running += by
	c.look()
}

func (c *compactions) Started()                                          {}
func (c *compactions) MeasureCPU(pebble.CompactionGoroutineKind)         {}
func (c *compactions) CumulativeStats(pebble.CompactionGrantHandleStats) {}
