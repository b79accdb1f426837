package projections

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"headwater/projections/layout"
)

const (
	pagesBytes = 16 << 20 // bytes that the cache holds, in two halves
	pageBytes  = 1 << 20  // bytes of the largest page that it holds
)

// pageCache holds recent answers by query and by the version of the owner's
// sources. An answer is valid until the version changes, so nothing has to be
// invalidated. It is safe for concurrent use.
type pageCache struct {
	mu sync.Mutex
	// young holds the answers used since the halves were swapped, old those
	// before. When young is full it becomes old, and the previous old is
	// dropped. An answer found in old moves to young.
	young, old map[pageKey]kept
	size       int // bytes of young
	// epoch is incremented by reset: an answer read before is not stored.
	epoch uint64
}

// pageKey is a ListQuery or SchemaQuery and the version at which it was
// answered.
type pageKey struct {
	query   any
	version uint64
}

// size returns the number of bytes in the query's texts, which clients choose.
func (k pageKey) size() int {
	switch q := k.query.(type) {
	case ListQuery:
		return len(q.Organization) + len(q.Workspace) + len(q.Owner) + len(q.Type) + len(q.Name) + len(q.Status) + len(q.Search) + len(q.Cursor)
	case SchemaQuery:
		a := q.Address
		return len(a.Organization) + len(a.Workspace) + len(a.Owner) + len(a.Source) + len(q.Table) + len(q.Cursor)
	}
	return 0
}

// kept is a Page or SchemaPage. All readers share its document.
type kept struct {
	answer any
	size   int
}

// get returns the answer stored for a key, if any, and the epoch. Pass the epoch
// to put if the answer had to be read.
func (p *pageCache) get(k pageKey) (answer any, epoch uint64) {
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

// put stores an answer of that size.
func (p *pageCache) put(k pageKey, epoch uint64, answer any, size int) {
	if size += k.size(); size > pageBytes {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if epoch == p.epoch {
		p.keep(k, kept{answer, size})
	}
}

func (p *pageCache) keep(k pageKey, v kept) {
	const beside = 512 // fixed cost of a small answer
	if p.young == nil || p.size+v.size+beside > pagesBytes/2 {
		p.young, p.old, p.size = map[pageKey]kept{}, p.young, 0
	}
	if _, found := p.young[k]; !found {
		p.size += v.size + beside
	}
	p.young[k] = v
}

// reset drops everything.
func (p *pageCache) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.young, p.old, p.size = nil, nil, 0
	p.epoch++
}

// versionOf returns the version of an owner's sources and their number.
func (s *Store) versionOf(db pebble.Reader, organization, workspace, owner string) (layout.Scope, error) {
	v, err := s.get(db, layout.Key(layout.KeyScope, organization, workspace, owner))
	if err != nil {
		return layout.Scope{}, err
	}
	return layout.DecodeScope(v)
}
