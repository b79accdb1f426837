package extract

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// How many children may wait for their sources to be opened again, and how many
// bytes each may have left over.
const (
	keepMost   = 4
	keepMemory = 96 << 20
)

// sourceKey is a source, with everything that opens it.
type sourceKey struct {
	of       string
	settings [sha256.Size]byte
}

func hashOf(connector string, public, secret json.RawMessage) [sha256.Size]byte {
	h := sha256.New()
	// Written as JSON, no two of them run together into one text.
	_ = json.NewEncoder(h).Encode([]string{connector, string(public), string(secret)})
	return [sha256.Size]byte(h.Sum(nil))
}

// kept holds the children whose source was closed a moment ago, for whoever
// opens it next. It is safe for concurrent use; drop ends it.
type kept struct {
	time time.Duration // 0 for not at all

	mu      sync.Mutex
	closed  bool
	waiting []waiting // the longest first
	working map[string]*working
}

// working counts the open sessions of a source.
type working struct {
	sessions  int
	forgotten bool // their children are not to wait
}

type waiting struct {
	child *process
	key   sourceKey
	timer *time.Timer
}

// begin notes a session of a source; end does so at its end.
func (k *kept) begin(of string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.working == nil {
		k.working = map[string]*working{}
	}
	if k.working[of] == nil {
		k.working[of] = new(working)
	}
	k.working[of].sessions++
}

func (k *kept) end(of string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w := k.working[of]; w.sessions > 1 {
		w.sessions--
		return
	}
	delete(k.working, of)
}

// put lets the child of a session wait, unless its source was forgotten, and ends
// the one that waits longest where there is no room. The child must have no open
// source.
func (k *kept) put(key sourceKey, child *process) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || k.time <= 0 || k.working[key.of].forgotten || resident(child.cmd.Process.Pid) > keepMemory {
		go child.close()
		return
	}
	if len(k.waiting) == keepMost {
		k.waiting[0].timer.Stop()
		go k.waiting[0].child.close()
		k.waiting = slices.Delete(k.waiting, 0, 1)
	}
	timer := time.AfterFunc(k.time, func() {
		if k.remove(child) {
			child.close()
		}
	})
	k.waiting = append(k.waiting, waiting{child, key, timer})
}

// take returns a child that has had this source and nothing else, or nil: of those
// that give way no more than nice, the one that does most. Those that wait for the
// source with settings it had before are ended.
func (k *kept) take(key sourceKey, nice int) *process {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = slices.DeleteFunc(k.waiting, func(w waiting) bool {
		outdated := w.key.of == key.of && w.key != key
		if outdated {
			w.timer.Stop()
			go w.child.close()
		}
		return outdated
	})
	for {
		best := -1
		for i, w := range k.waiting {
			if w.key == key && w.child.nice <= nice && (best < 0 || w.child.nice >= k.waiting[best].child.nice) {
				best = i
			}
		}
		if best < 0 {
			return nil
		}
		child := k.waiting[best].child
		k.waiting[best].timer.Stop()
		k.waiting = slices.Delete(k.waiting, best, best+1)
		select {
		case <-child.dead: // it died while it waited
		default:
			return child
		}
	}
}

// remove reports whether a child was still waiting.
func (k *kept) remove(child *process) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.waiting, func(w waiting) bool { return w.child == child })
	if i < 0 {
		return false
	}
	k.waiting = slices.Delete(k.waiting, i, i+1)
	return true
}

// forget ends the children that wait for a source, and has those that are at work
// not wait. It returns when the former are gone.
func (k *kept) forget(of string) {
	k.mu.Lock()
	if w := k.working[of]; w != nil {
		w.forgotten = true
	}
	var gone []waiting
	k.waiting = slices.DeleteFunc(k.waiting, func(w waiting) bool {
		if w.key.of != of {
			return false
		}
		gone = append(gone, w)
		return true
	})
	k.mu.Unlock()
	for _, w := range gone {
		w.timer.Stop()
		w.child.close()
	}
}

// drop ends every child that waits and, from now on, all that are put.
func (k *kept) drop() {
	k.mu.Lock()
	k.closed = true
	all := k.waiting
	k.waiting = nil
	k.mu.Unlock()
	for _, w := range all {
		w.timer.Stop()
		w.child.close()
	}
}
