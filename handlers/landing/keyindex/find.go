package keyindex

import (
	"context"
	"slices"
	"sort"

	"golang.org/x/sync/errgroup"
)

const (
	// searchers look for some of the keys each: a disk answers several at once.
	searchers = 4
	// fewKeys are looked for by one.
	fewKeys = 512
	// mostBlocks are read at once where keys lie side by side.
	mostBlocks = 16
)

// Place is a row of a live file.
type Place struct {
	Key  int // which of those that were looked for
	File string
	Row  int64
}

// Find returns the places of keys in live files that the index covers. A key may have
// several, and they come in no order. It returns ErrDamaged when the index does not
// hold what was written, and is to be discarded.
func (t *Table) Find(ctx context.Context, keys []Key) ([]Place, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	wanted := make([]entry, len(keys))
	for i, k := range keys {
		wanted[i] = entryOf(k, t.def.Narrow, uint32(i))
	}
	wanted = sortEntries(wanted, make([]entry, len(wanted)))
	workers := searchers
	if len(wanted) < fewKeys {
		workers = 1
	}
	found := make([][]Place, workers)
	g, ctx := errgroup.WithContext(ctx)
	for i := range workers {
		some := wanted[len(wanted)*i/workers : len(wanted)*(i+1)/workers]
		g.Go(func() error {
			s := search{buf: make([]byte, mostBlocks*blockSize), found: make([]Place, 0, len(some))}
			for _, r := range t.runs {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := s.in(r, some); err != nil {
					return err
				}
			}
			found[i] = s.found
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

// search looks for keys in one run after another.
type search struct {
	buf         []byte
	first, last []int32 // blocks that may hold each key; none where last is less
	from, to    int     // blocks in buf
	checked     int     // the first that is not
	found       []Place
}

// in looks for keys, in their order, in a run.
func (s *search) in(r *run, keys []entry) error {
	s.first, s.last = s.first[:0], s.last[:0]
	low := 0
	for _, k := range keys {
		// Equal keys may begin before the block that begins with them.
		low += sort.Search(r.blocks()-low, func(i int) bool { return r.fence(low+i) >= k.hi })
		last := low
		for last < r.blocks() && r.fence(last) == k.hi {
			last++
		}
		s.first, s.last = append(s.first, int32(max(0, low-1))), append(s.last, int32(last-1))
	}
	s.from, s.to, s.checked = 0, 0, 0
	for i, k := range keys {
		for b := int(s.first[i]); b <= int(s.last[i]); b++ {
			block, err := s.block(r, b, i)
			if err != nil {
				return err
			}
			if err := s.look(r, block, r.entries(b), k); err != nil {
				return err
			}
		}
	}
	return nil
}

// block returns a block that the key of a number is looked for in, and reads what
// follows it where the next keys do.
func (s *search) block(r *run, b, key int) ([]byte, error) {
	if b < s.from || b >= s.to {
		end := b + 1
		for i := key; i < len(s.first) && int(s.first[i]) <= end && end < b+mostBlocks; i++ {
			end = min(b+mostBlocks, max(end, int(s.last[i])+1))
		}
		s.from, s.to, s.checked = b, end, b
		if err := r.read(b, s.buf[:(end-b)*blockSize]); err != nil {
			s.to = s.from
			return nil, err
		}
	}
	block := s.buf[(b-s.from)*blockSize:][:blockSize]
	if b >= s.checked {
		if err := r.check(b, block); err != nil {
			return nil, err
		}
		s.checked = b + 1
	}
	return block, nil
}

// look finds a key among the entries of a block.
func (s *search) look(r *run, block []byte, entries int, k entry) error {
	for i := sort.Search(entries, func(i int) bool { return compare(r.entry(block, i), k) >= 0 }); i < entries; i++ {
		e := r.entry(block, i)
		if compare(e, k) != 0 {
			return nil
		}
		of, row, ok := r.at(e.place)
		if !ok {
			return ErrDamaged
		}
		if r.live[of] {
			s.found = append(s.found, Place{int(k.place), r.head.Spans[of].Name, row})
		}
	}
	return nil
}
