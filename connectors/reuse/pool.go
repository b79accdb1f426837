package reuse

import (
	"sync"
	"time"
)

// idle is how long something lies in a Pool that nobody asks for, about: up to twice as
// long. A read takes some again for each batch, and others for each range.
const idle = time.Second

// Pool holds what can be used again, as a sync.Pool does. But it forgets by time: a
// process that makes little garbage and collects it often would lose what a sync.Pool
// holds between two ranges of a table, and by that make garbage. The zero value is
// ready, and it is safe for concurrent use.
type Pool struct {
	mu     sync.Mutex
	spare  []any // the last one put is the first one got
	unused int   // so many at the beginning of spare since the last look
	looks  bool
}

// Get returns something that was put, nil where there is none.
func (p *Pool) Get() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.spare) - 1
	if last < 0 {
		return nil
	}
	x := p.spare[last]
	p.spare[last] = nil
	p.spare = p.spare[:last]
	p.unused = min(p.unused, last)
	return x
}

// Put gives x to whoever gets it next.
func (p *Pool) Put(x any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spare = append(p.spare, x)
	if !p.looks {
		p.looks = true
		time.AfterFunc(idle, p.look)
	}
}

// look forgets what was not used since it was called before, and is called again while
// there is something.
func (p *Pool) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(p.unused)
	if p.looks = len(p.spare) > 0; p.looks {
		time.AfterFunc(idle, p.look)
	}
}

// Drop forgets everything.
func (p *Pool) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(len(p.spare))
}

// drop forgets the first n.
func (p *Pool) drop(n int) {
	kept := copy(p.spare, p.spare[n:])
	clear(p.spare[kept:])
	p.spare, p.unused = p.spare[:kept], kept
	if kept == 0 {
		p.spare = nil
	}
}
