package syncing

import (
	"sync"

	"headwater/handlers/extract"
)

// width divides among the landers of a sync the ranges that it reads at once. More
// of them than processors take memory and make nothing faster. The last lander that
// is left has them all.
type width struct {
	mu    sync.Mutex
	reads map[*lander]extract.Widener // landers at work, and what makes a narrow read of one wide
}

// landers returns the landers of some tables.
func (a *attempt) landers(tables int) []*lander {
	all := make([]*lander, min(tables, a.h.Options.TableParallelism))
	a.width.mu.Lock()
	defer a.width.mu.Unlock()
	a.width.reads = map[*lander]extract.Widener{}
	for i := range all {
		all[i] = &lander{attempt: a}
		a.width.reads[all[i]] = nil
	}
	return all
}

// narrow returns over how many connections a lander reads while others are at work,
// of so many that it may; 0 for all.
func (w *width) narrow(l *lander, ranges, parallelism int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	share := max(1, ranges/max(1, len(w.reads)))
	if len(w.reads) == 1 || share >= parallelism {
		return 0
	}
	w.reads[l], _ = l.conn.(extract.Widener)
	return share
}

// forget keeps a connection that is about to be closed from being widened.
func (w *width) forget(l *lander) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reads[l] != nil {
		w.reads[l] = nil
	}
}

// leave notes that a lander has no more tables.
func (w *width) leave(l *lander) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if delete(w.reads, l); len(w.reads) > 1 {
		return
	}
	for _, read := range w.reads {
		if read != nil {
			read.Widen()
		}
	}
}
