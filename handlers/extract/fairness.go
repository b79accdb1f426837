package extract

import "sync"

// niceStep is how much more the next child of an organization gives way to others
// than the one before it. By it a child has a third of the weight of that one, down
// to a tenth of the first, so that ten of them together weigh less than three.
const niceStep, niceMost = 5, 10

// owners counts what organizations have open in a Pool. It is safe for concurrent
// use; the zero value is ready.
type owners struct {
	mu  sync.Mutex
	all map[string]*owner
}

// owner is what one organization has open.
type owner struct {
	sessions int
	looking  int // of them, those that have not begun to read a table
}

// enter notes a session that is about to be opened. It returns how much its child
// is to give way to others, and whether the organization may have the one that
// waits ready: one whose last is still at its beginning leaves it to others.
func (o *owners) enter(organization string) (nice int, ready bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[string]*owner{}
	}
	of := o.all[organization]
	if of == nil {
		of = new(owner)
		o.all[organization] = of
	}
	nice, ready = min(niceStep*of.sessions, niceMost), of.looking == 0
	of.sessions++
	of.looking++
	return nice, ready
}

// read notes that a session reads a table.
func (o *owners) read(organization string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all[organization].looking--
}

// leave notes the end of a session, and whether it ever read.
func (o *owners) leave(organization string, read bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	of := o.all[organization]
	if !read {
		of.looking--
	}
	if of.sessions--; of.sessions == 0 {
		delete(o.all, organization)
	}
}
