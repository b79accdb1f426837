package handlers

import (
	"time"

	"headwater/bus/event"
	"headwater/handlers/extract"
	"headwater/handlers/landing/parts"
)

// files returns where the parts of a read go, on a flow of its own.
func (t *tableRun) files(to extract.Files) extract.Files {
	f := &flow{of: t, open: map[*flowing]struct{}{}}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flow, t.made = f, [2]int64{}
	return f.through(to)
}

// read returns how many rows were read.
func (t *tableRun) read() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.result.Records
}

// parts notes parts that are whole in the lake.
func (t *tableRun) parts(made []parts.Part) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range made {
		t.made[0] += p.Rows
		t.made[1] += p.Size
	}
}

// committing says that the table waits for a commit from now on, and from the
// call of the returned function on no more.
func (t *tableRun) committing() (done func()) {
	set := func(to bool) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.commits = to
	}
	set(true)
	return func() { set(false) }
}

func (t *tableRun) lookLocked(now time.Time) look {
	if t.flow == nil {
		return look{}
	}
	return t.flow.look(now)
}

// doingLocked returns what the table's time goes to.
func (t *tableRun) doingLocked(l look) string {
	switch {
	case t.commits:
		return event.WaitingCommit
	case l.busy:
		return event.WaitingUpload
	}
	return event.WaitingRead
}

// uploads reports whether the lake has taken anything of the table since it was
// asked before, and whether it has all that there is.
func (t *tableRun) uploads() (moved, idle bool) {
	t.mu.Lock()
	f := t.flow
	t.mu.Unlock()
	if f == nil {
		return false, true
	}
	return f.moves()
}
