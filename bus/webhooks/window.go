package webhooks

import (
	"maps"
	"slices"
)

const (
	// maxWindow is how many matching events a webhook may read beyond the oldest
	// one that was not delivered.
	maxWindow = 1000
	// maxWindowBytes is the total size of bodies that wait in memory. One event
	// is always admitted.
	maxWindowBytes = 4 << 20
)

// item is one event of the window.
type item struct {
	sequence uint64
	id       string
	body     []byte
	done     bool
}

// window holds events that were read and are not yet below the floor, in the
// order of the log.
type window struct {
	floor uint64
	ahead map[uint64]bool // done beyond the floor, including before a restart
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

// hold adds n bytes, or releases them if n is negative.
func (w *window) hold(n int) {
	w.bytes += n
	w.share.bytes.Add(int64(n))
}

// add adds the next event. It returns false if the event was delivered before a
// restart.
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

// done marks an event as done, and moves the floor over all events that are.
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

// taken returns the sequences done beyond the floor, ascending.
func (w *window) taken() []uint64 { return slices.Sorted(maps.Keys(w.ahead)) }
