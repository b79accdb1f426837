package syncing

import (
	"time"

	"headwater/bus/event"
	"headwater/handlers/extract"
	"headwater/handlers/landing/parts"
	"headwater/handlers/throughput"
)

// files returns where the parts of a read go, on a flow of its own.
func (t *tableRun) files(to extract.Files) extract.Files {
	f := throughput.NewFlow(t.read)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flow, t.made = f, [2]int64{}
	return f.Through(to)
}

// read returns how many rows were read.
func (t *tableRun) read() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.result.Records
}

// parts counts parts that are complete in the lake.
func (t *tableRun) parts(made []parts.Part) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range made {
		t.made[0] += p.Rows
		t.made[1] += p.Size
	}
}

// committing notes that the table waits for a commit, until done is called.
func (t *tableRun) committing() (done func()) {
	set := func(to bool) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.commits = to
	}
	set(true)
	return func() { set(false) }
}

func (t *tableRun) lookLocked(now time.Time) throughput.Look {
	if t.flow == nil {
		return throughput.Look{}
	}
	return t.flow.Look(now)
}

// doingLocked returns what the table waits for or does now, for waiting_for.
func (t *tableRun) doingLocked(l throughput.Look) string {
	switch {
	case t.commits:
		return event.WaitingCommit
	case l.Busy:
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
	return f.Moves()
}
