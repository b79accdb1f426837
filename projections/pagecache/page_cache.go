// Package pagecache holds recent answers of a read model, by query and version.
package pagecache

import (
	"sync"
)

const (
	pagesBytes = 16 << 20 // bytes that the cache holds, in two halves
	pageBytes  = 1 << 20  // bytes of the largest page that it holds
)

// Cache holds recent answers by query and by the version of the owner's
// sources. An answer is valid until the version changes, so nothing has to be
// invalidated. It is safe for concurrent use.
type Cache struct {
	mu sync.Mutex
	// young holds the answers used since the halves were swapped, old those
	// before. When young is full it becomes old, and the previous old is
	// dropped. An answer found in old moves to young.
	young, old map[Key]kept
	size       int // bytes of young
	// epoch is incremented by reset: an answer read before is not stored.
	epoch uint64
}

// Key is a query, which can be compared, and the version at which it was answered.
type Key struct {
	Query   Query
	Version uint64
}

// Query is what was asked for; clients choose how long it is.
type Query interface {
	Size() int // bytes of its texts
}

// kept is an answer. All readers share it.
type kept struct {
	answer any
	size   int
}

// Get returns the answer stored for a key, if any, and the epoch. Pass the epoch
// to put if the answer had to be read.
func (p *Cache) Get(k Key) (answer any, epoch uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, found := p.young[k]
	if !found {
		if v, found = p.old[k]; found {
			delete(p.old, k)
			p.keep(k, v)
		}
	}
	return v.answer, p.epoch
}

// Put stores an answer of that size.
func (p *Cache) Put(k Key, epoch uint64, answer any, size int) {
	if size += k.Query.Size(); size > pageBytes {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if epoch == p.epoch {
		p.keep(k, kept{answer, size})
	}
}

func (p *Cache) keep(k Key, v kept) {
	const beside = 512 // fixed cost of a small answer
	if p.young == nil || p.size+v.size+beside > pagesBytes/2 {
		p.young, p.old, p.size = map[Key]kept{}, p.young, 0
	}
	if _, found := p.young[k]; !found {
		p.size += v.size + beside
	}
	p.young[k] = v
}

// Reset drops everything.
func (p *Cache) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.young, p.old, p.size = nil, nil, 0
	p.epoch++
}
