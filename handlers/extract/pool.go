package extract

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"headwater/connectors/driver"
)

// PoolConfig says what children a Pool runs.
type PoolConfig struct {
	// Command is the path of the program and its arguments; it must call Serve
	// on its standard input and output.
	Command []string
	// Setup is what the child's Opener is made of, as JSON.
	Setup any
	// Memory is how many bytes one child may have; default 512 MiB. Where the
	// system cannot say how much a process has, it is the child's to keep to.
	Memory int64
	// Keep is how long a child whose calls all succeeded waits for its source to
	// be opened again; 0 ends it with its Session.
	Keep time.Duration
	Log  *slog.Logger
}

// DefaultMemory is what one child may have.
const DefaultMemory = 512 << 20

// Pool is an Opener whose sources live in child processes, one each: memory,
// file descriptors and crashes of one are nobody else's. A child that has had a
// source is never given another. Because a start takes longer than many a sync,
// one child waits ready, and those of PoolConfig.Keep for their own sources. It is safe for concurrent use.
type Pool struct {
	config PoolConfig
	kept   kept
	owners owners

	mu     sync.Mutex
	spare  *process
	live   map[*process]struct{}
	closed bool
	fills  sync.WaitGroup
}

// NewPool returns a pool and starts its first child. The caller closes it.
func NewPool(c PoolConfig) *Pool {
	if c.Memory <= 0 {
		c.Memory = DefaultMemory
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	p := &Pool{config: c, kept: kept{time: c.Keep}}
	p.fill()
	return p
}

// fill sees to it that a child waits, in the background.
func (p *Pool) fill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.spare != nil {
		return
	}
	p.fills.Go(func() {
		made, err := p.start()
		if err != nil {
			return // Open will meet the same error, and somebody who wants to know
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.closed || p.spare != nil {
			go made.close()
			return
		}
		p.spare = made
	})
}

// take returns a child: the one that waits, if ready says so, or a new one.
func (p *Pool) take(ready bool) (*process, error) {
	p.mu.Lock()
	closed := p.closed
	var taken *process
	if ready {
		taken, p.spare = p.spare, nil
	}
	p.mu.Unlock()
	if closed {
		return nil, errors.New("the pool of connector processes is closed")
	}
	defer p.fill()
	if taken != nil {
		select {
		case <-taken.dead: // it died while it waited
		default:
			return taken, nil
		}
	}
	return p.start()
}

// start starts a child and counts it while it lives.
func (p *Pool) start() (*process, error) {
	made, err := start(p.config)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == nil {
		p.live = map[*process]struct{}{}
	}
	p.live[made] = struct{}{}
	go func() {
		<-made.dead
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.live, made)
	}()
	return made, nil
}

// Resident returns the bytes of memory that each child has for itself, in no
// order: those that wait and those at work. They are 0 where the system does not
// say.
func (p *Pool) Resident() []int64 {
	p.mu.Lock()
	var pids []int
	for child := range p.live {
		pids = append(pids, child.cmd.Process.Pid)
	}
	p.mu.Unlock()
	sizes := make([]int64, len(pids))
	for i, pid := range pids {
		sizes[i] = resident(pid)
	}
	return sizes
}

// Open opens a source in a child of its own. The caller closes the Session, which ends
// the child or keeps it for the same source. After Close of the pool it fails.
func (p *Pool) Open(ctx context.Context, of, connector string, public, secret json.RawMessage, limits driver.Limits) (Session, error) {
	key := sourceKey{of, hashOf(connector, public, secret)}
	source := openCall{Of: of, Connector: connector, Public: public, Secret: secret, Limits: limits}
	nice, ready := p.owners.enter(OrganizationOf(of))
	if child := p.kept.take(key, nice); child != nil {
		s := p.session(key, child, nice)
		if s.open(ctx, source) == nil {
			return s, nil
		}
		// Whatever it was, a new child has the last word on it.
		s.Close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		nice, ready = p.owners.enter(OrganizationOf(of))
	}
	child, err := p.take(ready)
	if err != nil {
		p.owners.leave(OrganizationOf(of), false)
		return nil, err
	}
	s := p.session(key, child, nice)
	s.busy.Store(true) // until it says that it is ready
	if err := s.open(ctx, source); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// session returns the Session of a source in a child, which gives way to others.
func (p *Pool) session(key sourceKey, child *process, nice int) *remote {
	p.kept.begin(key.of)
	child.yield(nice)
	unwatch := child.watch()
	organization, reads := OrganizationOf(key.of), false
	return &remote{
		process: child, rest: func() { p.kept.put(key, child) },
		reads: sync.OnceFunc(func() { reads = true; p.owners.read(organization) }),
		ended: func() { unwatch(); p.kept.end(key.of); p.owners.leave(organization, reads) },
	}
}

// Forget ends the children that wait for a source and hold its secrets. Those of
// open sessions end with them.
func (p *Pool) Forget(of string) { p.kept.forget(of) }

// Close ends the children that wait. Sessions are closed by who opened them. It is
// safe to call twice.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.fills.Wait()
	p.kept.drop()
	p.mu.Lock()
	spare := p.spare
	p.spare = nil
	p.mu.Unlock()
	if spare != nil {
		spare.close()
	}
	return nil
}
