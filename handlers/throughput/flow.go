// Package throughput measures how fast the rows of a table come, and how much of
// what was read the lake has taken.
package throughput

import (
	"io"
	"sync"
	"time"

	"headwater/handlers/extract"
)

// stuck is how long the lake may take for one write before it is what a table
// waits for.
const stuck = 300 * time.Millisecond

// behindMost is how far the lake may be behind without being the slow side.
const behindMost = 1 << 20

// Flow is how far the files of one attempt at one table are on their way to the
// lake. It is safe for concurrent use.
type Flow struct {
	mu     sync.Mutex
	handed int64 // bytes that were given to the lake's files
	taken  int64 // of files that are written
	open   map[*flowing]struct{}
	rows   int64        // that were read when bytes were handed over last
	moved  int64        // bytes taken when somebody asked last whether they move
	held   bool         // the lake has kept the table waiting
	read   func() int64 // how many rows were read
}

// NewFlow returns the flow of an attempt that has read so many rows.
func NewFlow(read func() int64) *Flow { return &Flow{read: read, open: map[*flowing]struct{}{}} }

// Through returns the files as they are written through f.
func (f *Flow) Through(to extract.Files) extract.Files { return &flowingFiles{to, f} }

type flowingFiles struct {
	extract.Files
	flow *Flow
}

func (f *flowingFiles) Create(name string) (io.WriteCloser, error) {
	w, err := f.Files.Create(name)
	if err != nil {
		return nil, err
	}
	file := &flowing{w: w, flow: f.flow}
	f.flow.mu.Lock()
	defer f.flow.mu.Unlock()
	f.flow.open[file] = struct{}{}
	return file, nil
}

// flowing is one file on its way. One goroutine writes it; Abort may come at any
// time.
type flowing struct {
	w    io.WriteCloser
	flow *Flow
	// Of the flow's lock:
	written int64
	since   time.Time // of the call that has not returned, zero for none
	closing bool
}

// sender is a file that knows how much of it the store has taken.
type sender interface{ Sent() int64 }

func (f *flowing) sent() int64 {
	if s, ok := f.w.(sender); ok {
		return s.Sent()
	}
	return f.written
}

func (f *flowing) begin(bytes int) {
	rows := f.flow.read()
	f.flow.mu.Lock()
	defer f.flow.mu.Unlock()
	f.flow.handed += int64(bytes)
	f.flow.rows, f.since = rows, time.Now()
}

func (f *flowing) Write(p []byte) (int, error) {
	f.begin(len(p))
	n, err := f.w.Write(p)
	f.flow.mu.Lock()
	defer f.flow.mu.Unlock()
	f.written += int64(n)
	f.since = time.Time{}
	return n, err
}

func (f *flowing) Close() error {
	f.begin(0)
	f.flow.mu.Lock()
	f.closing = true
	f.flow.mu.Unlock()
	err := f.w.Close()
	rows := f.flow.read()
	f.flow.mu.Lock()
	defer f.flow.mu.Unlock()
	f.flow.rows = rows
	if _, known := f.flow.open[f]; known && err == nil {
		f.flow.taken += f.written
	}
	f.since = time.Time{}
	delete(f.flow.open, f)
	return err
}

// Abort stops the writing where the lake's files can be stopped.
func (f *flowing) Abort() {
	if a, ok := f.w.(interface{ Abort() }); ok {
		a.Abort()
	}
}

// Look is a flow at one moment.
type Look struct {
	handed, Taken int64
	rows          int64 // read when the last bytes were handed over
	Busy          bool  // the lake has not returned from a write for a while
	held          bool  // it is the slow side
	closing       bool  // a file has all its rows
}

// Look returns how far the flow is at that moment.
func (f *Flow) Look(now time.Time) Look {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := Look{handed: f.handed, Taken: f.takenLocked(), rows: f.rows}
	for file := range f.open {
		l.closing = l.closing || file.closing
		l.Busy = l.Busy || !file.since.IsZero() && now.Sub(file.since) >= stuck
	}
	f.held = f.held || l.Busy || l.handed-l.Taken >= behindMost
	l.held = f.held
	return l
}

func (f *Flow) takenLocked() int64 {
	taken := f.taken
	for file := range f.open {
		taken += file.sent()
	}
	return taken
}

// Moves reports whether the lake has taken anything since it was asked before,
// and whether it has all there is.
func (f *Flow) Moves() (moved, idle bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := f.takenLocked()
	moved = taken > f.moved
	f.moved = taken
	return moved, taken >= f.handed
}

// Settled returns about how many of the read rows the lake has: all of them
// unless it is the slow side. base is what earlier attempts committed; known are
// the rows and bytes of parts that are done, which tell what a row takes.
func (l Look) Settled(read, base, knownRows, knownBytes int64) (rows int64, slow bool) {
	if l.closing {
		l.rows = read // what was read is handed over, however late it was told
	}
	if !l.held || l.handed == 0 || l.rows <= base {
		return read, false
	}
	perRow := float64(l.handed) / float64(l.rows-base)
	if knownRows > 0 && knownBytes > 0 {
		perRow = float64(knownBytes) / float64(knownRows)
	}
	return min(read, base+int64(float64(l.Taken)/perRow)), true
}
