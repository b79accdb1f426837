package keyindex

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
)

const (
	// Runs up to smallRun are merged manyRuns at a time, those up to largeRun fourRuns:
	// a look through them costs little. Of larger ones any two are that are alike.
	smallRun = 64 << 10
	largeRun = 1 << 20
	manyRuns = 8
	fourRuns = 4
	// mostRuns are merged at a time.
	mostRuns = 16
)

// Tidy keeps the runs of a table few: an entry is written anew about as often as its
// number has digits. Entries of files that the table has not any more go with it. It
// does one step at a time and returns when there is none; what keeps it from one is
// returned, and nothing is lost by it.
func (t *Table) Tidy(ctx context.Context) error {
	for {
		due := t.due()
		if len(due) == 0 {
			return nil
		}
		if err := t.merge(ctx, due); err != nil {
			return err
		}
	}
}

// due returns the runs that are to become one.
func (t *Table) due() []*run {
	var gone []*run
	for _, r := range t.runs {
		if r.lives == 0 {
			gone = append(gone, r)
		}
	}
	t.remove(gone)
	runs := slices.SortedFunc(slices.Values(t.runs), func(a, b *run) int { return cmp.Compare(a.count, b.count) })
	for from := range runs {
		to, sum, rows := from, int64(0), int64(0)
		for to < len(runs) && to-from < mostRuns && rows+runs[to].rows <= mostRows && (runs[to].count <= smallRun || to == from || runs[to].count <= 3*sum) {
			sum, rows, to = sum+runs[to].count, rows+runs[to].rows, to+1
		}
		least := 2
		if last := runs[to-1]; last.count <= smallRun {
			least = manyRuns
		} else if last.count <= largeRun {
			least = fourRuns
		}
		if to-from >= least {
			return runs[from:to]
		}
	}
	for _, r := range runs { // most of it is of files that are gone
		if r.lives < r.rows/2 {
			return []*run{r}
		}
	}
	return nil
}

// merge makes one run of some.
func (t *Table) merge(ctx context.Context, runs []*run) error {
	size := int64(0)
	for _, r := range runs {
		size += r.size
	}
	if err := t.index.reserve(size); err != nil {
		return err
	}
	spans, bases := joined(runs)
	w, err := t.create()
	if err != nil {
		return err
	}
	return t.ended(w, head{Spans: spans}, runs, mergeInto(ctx, w, runs, bases))
}

// joined returns the live spans of runs, those that follow each other as one, and for
// each span of each run what is to be added to a row's number: -1 for a span that is
// left out.
func joined(runs []*run) (spans []span, bases [][]int64) {
	for _, r := range runs {
		for i, s := range r.head.Spans {
			if r.live[i] {
				spans = append(spans, s)
			}
		}
	}
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	var all []span
	for _, s := range spans {
		if n := len(all); n > 0 && all[n-1].Name == s.Name && s.From <= all[n-1].To {
			all[n-1].To = max(all[n-1].To, s.To)
			continue
		}
		all = append(all, s)
	}
	for _, r := range runs {
		of := make([]int64, len(r.head.Spans))
		for i, s := range r.head.Spans {
			of[i] = -1
			base := int64(0)
			for _, one := range all {
				if r.live[i] && one.Name == s.Name && one.From <= s.From && s.To <= one.To {
					of[i] = base + s.From - one.From
				}
				base += one.To - one.From
			}
		}
		bases = append(bases, of)
	}
	return all, bases
}

// mergeInto writes the entries of runs in their order.
func mergeInto(ctx context.Context, w *runWriter, runs []*run, bases [][]int64) error {
	var heads cursors
	for i, r := range runs {
		c := &cursor{run: r, bases: bases[i], buf: make([]byte, mostBlocks*blockSize)}
		if ok, err := c.next(); err != nil {
			return err
		} else if ok {
			heads = append(heads, c)
		}
	}
	heap.Init(&heads)
	for n := 0; len(heads) > 0; n++ {
		if n%(1<<16) == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		c := heads[0]
		if err := w.add(c.entry); err != nil {
			return err
		}
		ok, err := c.next()
		if err != nil {
			return err
		}
		if ok {
			heap.Fix(&heads, 0)
		} else {
			heap.Pop(&heads)
		}
	}
	return nil
}

// cursor goes through the live entries of a run.
type cursor struct {
	entry
	run   *run
	bases []int64
	buf   []byte
	from  int // the first block in buf
	to    int
	block int
	i     int // the next entry of it
}

func (c *cursor) next() (bool, error) {
	r := c.run
	for {
		if c.block < r.blocks() && c.i == r.entries(c.block) {
			c.block, c.i = c.block+1, 0
		}
		if c.block >= r.blocks() {
			return false, nil
		}
		if c.block >= c.to {
			c.from, c.to = c.block, min(r.blocks(), c.block+mostBlocks)
			if err := r.read(c.from, c.buf[:(c.to-c.from)*blockSize]); err != nil {
				return false, err
			}
		}
		block := c.buf[(c.block-c.from)*blockSize:][:blockSize]
		if c.i == 0 {
			if err := r.check(c.block, block); err != nil {
				return false, err
			}
		}
		e := r.entry(block, c.i)
		c.i++
		of, row, ok := r.at(e.place)
		if !ok {
			return false, ErrDamaged
		}
		if c.bases[of] >= 0 {
			e.place = uint32(c.bases[of] + row - r.head.Spans[of].From)
			c.entry = e
			return true, nil
		}
	}
}

// cursors is a heap of them.
type cursors []*cursor

func (c cursors) Len() int           { return len(c) }
func (c cursors) Less(i, j int) bool { return compare(c[i].entry, c[j].entry) < 0 }
func (c cursors) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }

// Push is not used: cursors only end.
func (c *cursors) Push(x any) { *c = append(*c, x.(*cursor)) }

// Pop takes the last away.
func (c *cursors) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}
