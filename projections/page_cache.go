package projections

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"headwater/projections/layout"
)

const (
	pagesBytes = 16 << 20 // that pages keeps, in two halves
	pageBytes  = 1 << 20  // of the largest page that it keeps
)

// pageCache keeps what was read lately as it was answered, by the query and the
// version of its owner's sources: an answer is the same until the version
// changes. It is safe for concurrent use.
type pageCache struct {
	mu sync.Mutex
	// What was asked for since the last turn, and before it. A full half becomes
	// the older one, which is forgotten; what is asked for again moves up.
	young, old map[pageKey]kept
	size       int // bytes of young
	// epoch goes up with reset: an answer that was read before is not kept.
	epoch uint64
}

// pageKey is a ListQuery or SchemaQuery and the version that it was answered at.
type pageKey struct {
	query   any
	version uint64
}

// size returns how many bytes the texts of the query have, which clients choose.
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

// kept is a Page or SchemaPage. Its document is shared by all readers.
type kept struct {
	answer any
	size   int
}

// get returns what is kept under a key, and the epoch to keep an answer in that
// is read when there is nothing.
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

// put keeps an answer of that size.
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
	const beside = 512 // bytes that a small answer costs nevertheless
	if p.young == nil || p.size+v.size+beside > pagesBytes/2 {
		p.young, p.old, p.size = map[pageKey]kept{}, p.young, 0
	}
	if _, found := p.young[k]; !found {
		p.size += v.size + beside
	}
	p.young[k] = v
}

// reset forgets everything.
func (p *pageCache) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.young, p.old, p.size = nil, nil, 0
	p.epoch++
}

// versionOf returns the version of an owner's sources and how many there are.
func (s *Store) versionOf(db pebble.Reader, organization, workspace, owner string) (layout.Scope, error) {
	v, err := s.get(db, layout.Key(layout.KeyScope, organization, workspace, owner))
	if err != nil {
		return layout.Scope{}, err
	}
	return layout.DecodeScope(v)
}
