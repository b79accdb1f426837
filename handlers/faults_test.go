package handlers

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
	"headwater/handlers/landing/border"
	"headwater/handlers/landing/parts"
	"headwater/handlers/syncing"
)

// seams kill a worker at a step: from then on it can do nothing that outlasts
// it, until the command is handed out again.
type seams struct {
	mu      sync.Mutex
	step    string
	left    int
	dead    bool
	kills   int
	running atomic.Int64
	handed  map[string]int // deliveries by command
	at      func(step string)
}

var errKilled = errors.New("the worker was killed")

// kill arms the seam: the worker dies when it comes to the step the nth time.
func (s *seams) kill(step string, nth int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.step, s.left = step, nth
}

func (s *seams) reached(step string) {
	s.mu.Lock()
	at := s.at
	if step == s.step && s.left > 0 {
		if s.left--; s.left == 0 {
			s.dead = true
			s.kills++
		}
	}
	s.mu.Unlock()
	if at != nil {
		at(step)
	}
}

func (s *seams) revive(command string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = false
	s.handed[command]++
}

// deliveries returns how often a command of that name was handed out.
func (s *seams) deliveries(command string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handed[command]
}

func (s *seams) alive() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return errKilled
	}
	return nil
}

func (s *seams) killed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kills
}

type faultyEvents struct{ w *world }

func (f faultyEvents) Append(ctx context.Context, after uint64, e *event.Event) (uint64, error) {
	if err := f.w.seams.alive(); err != nil {
		return 0, err
	}
	if hook := f.w.faults.append; hook != nil {
		if err := hook(e); err != nil {
			return 0, err
		}
	}
	return f.w.bus.Append(ctx, after, e)
}

func (f faultyEvents) LastSequence(ctx context.Context, a event.Address) (uint64, error) {
	if err := f.w.seams.alive(); err != nil {
		return 0, err
	}
	return f.w.bus.LastSequence(ctx, a)
}

type faultyLake struct {
	Lake
	w *world
}

func (f faultyLake) Begin(ctx context.Context, t landing.Target) (syncing.Writer, error) {
	if err := f.w.seams.alive(); err != nil {
		return nil, err
	}
	if hook := f.w.faults.begin; hook != nil {
		if err := hook(t); err != nil {
			return nil, err
		}
	}
	if f.w.faults.deaf {
		ctx = context.WithoutCancel(ctx)
	}
	w, err := f.Lake.Begin(ctx, t)
	if err != nil {
		return nil, err
	}
	return &faultyWriter{Writer: w, w: f.w, table: t.Table.Name}, nil
}

func (f faultyLake) Maintain(ctx context.Context, a event.Address, namespace, name string, asked bool) (landing.Maintained, error) {
	if hook := f.w.faults.maintain; hook != nil {
		if err := hook(name); err != nil {
			return landing.Maintained{}, err
		}
	}
	return f.Lake.Maintain(ctx, a, namespace, name, asked)
}

func (f faultyLake) Drop(ctx context.Context, a event.Address) (landing.Dropped, error) {
	if err := f.w.seams.alive(); err != nil {
		return landing.Dropped{Remaining: -1}, err
	}
	if hook := f.w.faults.drop; hook != nil {
		if err := hook(); err != nil {
			return landing.Dropped{Remaining: -1}, err
		}
	}
	return f.Lake.Drop(ctx, a)
}

type faultyWriter struct {
	syncing.Writer
	w     *world
	table string
}

func (f *faultyWriter) Create(name string) (io.WriteCloser, error) {
	if err := f.w.seams.alive(); err != nil {
		return nil, err
	}
	return f.Writer.Create(name)
}

func (f *faultyWriter) Stage(ctx context.Context, r driver.Range, max *driver.Cursor, edge *border.Border, made []parts.Part) error {
	if err := f.w.seams.alive(); err != nil {
		return err
	}
	return f.Writer.Stage(ctx, r, max, edge, made)
}

func (f *faultyWriter) Hold(ctx context.Context, r driver.Range, max *driver.Cursor, edge *border.Border, made []parts.Part) error {
	if err := f.w.seams.alive(); err != nil {
		return err
	}
	return f.Writer.Hold(ctx, r, max, edge, made)
}

func (f *faultyWriter) Commit(ctx context.Context, next *driverCursor, final bool) (landing.Committed, error) {
	if err := f.w.seams.alive(); err != nil {
		return landing.Committed{}, err
	}
	if hook := f.w.faults.commit; hook != nil {
		if err := hook(f.table, final); err != nil {
			return landing.Committed{}, err
		}
	}
	if f.w.faults.deaf {
		ctx = context.WithoutCancel(ctx)
	}
	return f.Writer.Commit(ctx, next, final)
}

// Abort leaves everything lying about when the worker was killed.
func (f *faultyWriter) Abort(ctx context.Context) error {
	if f.w.seams.alive() != nil {
		return nil
	}
	return f.Writer.Abort(ctx)
}
