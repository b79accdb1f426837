package webhooks

import (
	"maps"
	"slices"
)

const (
	// maxWindow is how many matching events a webhook goes beyond the oldest one
	// that was not taken.
	maxWindow = 1000
	// maxWindowBytes is how large the bodies may be that wait in memory. One
	// event is always let in.
	maxWindowBytes = 4 << 20
)

// item is one event of the window.
type item struct {
	sequence uint64
	id       string
	body     []byte
	done     bool
}

// window is what was read and not yet passed by the floor, in the order of the
// log.
type window struct {
	floor uint64
	ahead map[uint64]bool // done beyond the floor, also those of before a restart
	items []*item
	bytes int
	share *share // of its organization
}

func newWindow(s State, of *share) *window {
	w := &window{floor: s.Floor, ahead: map[uint64]bool{}, share: of}
	for _, sequence := range s.Ahead {
		if sequence > s.Floor {
			w.ahead[sequence] = true
		}
	}
	return w
}

// full reports that no more may be read until the oldest event is done.
func (w *window) full() bool {
	return len(w.items) >= maxWindow || w.bytes >= maxWindowBytes || w.bytes > 0 && w.share.bytes.Load() >= shareBytes
}

// hold counts bytes in, and out if there are less than none.
func (w *window) hold(n int) {
	w.bytes += n
	w.share.bytes.Add(int64(n))
}

// add takes the next event in, and reports whether it is to be sent: false for
// one that was taken before a restart.
func (w *window) add(i *item) bool {
	if w.ahead[i.sequence] {
		i.done = true
	}
	w.items = append(w.items, i)
	w.hold(len(i.body))
	if i.done {
		w.done(i)
		return false
	}
	return true
}

// done marks an event and moves the floor over everything that is.
func (w *window) done(i *item) {
	w.hold(-len(i.body))
	i.done, i.body = true, nil
	w.ahead[i.sequence] = true
	passed := 0
	for passed < len(w.items) && w.items[passed].done {
		w.floor = w.items[passed].sequence
		delete(w.ahead, w.floor)
		passed++
	}
	w.items = slices.Delete(w.items, 0, passed)
}

// taken returns what is done beyond the floor, ascending.
func (w *window) taken() []uint64 { return slices.Sorted(maps.Keys(w.ahead)) }
