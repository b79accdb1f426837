package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/outcome"
	"headwater/handlers/readmodel"
)

// Bounds of one command's dealings with a history. Each conflict means that
// somebody else's event was stored, so many in a row are a sign of a defect.
const (
	maxConflicts = 64
	maxMoves     = 16
)

// job is one command in a worker's hands.
type job struct {
	h         *Handlers
	id        string
	name      string
	trace     string
	address   event.Address
	operation event.Operation
	deadline  time.Time // zero for none
	data      command.Data
	log       *slog.Logger
}

func (h *Handlers) newJob(c *command.Command) *job {
	meta := c.Data.Header()
	return &job{
		h: h, id: c.ID, name: c.Name(), trace: c.TraceParent, data: c.Data,
		address: c.Address(), operation: meta.Operation, deadline: meta.Deadline,
		log: h.log.With("command", c.Name(), "command_id", c.ID, "operation", meta.Operation.ID,
			"organization", meta.Organization, "source", meta.SourceID, "traceparent", c.TraceParent),
	}
}

func (j *job) overdue() bool { return !j.deadline.IsZero() && !time.Now().Before(j.deadline) }

// work returns the context of what the command does outside, which ends at the
// command's deadline with outcome.ErrDeadline as its cause.
func (j *job) work(ctx context.Context) (context.Context, context.CancelFunc) {
	if j.deadline.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadlineCause(ctx, j.deadline, outcome.ErrDeadline)
}

// meta begins the payload of an event about the job's target.
func (j *job) meta(final bool) event.Meta {
	op := j.operation
	op.Final = final
	return event.At(j.address, op)
}

// view is a source as its history tells it up to the event at after.
type view struct {
	readmodel.Source
	after uint64
	// ended says that the job's target needs nothing more: it has its outcome,
	// or will get that of a sync it is attached to.
	ended bool
	done  bool // the outcome is what was asked for
	// repeated says that the move before was no news: an earlier delivery had
	// made it, and the history has gone on since.
	repeated bool
}

// restorable reports whether the source was removed and its history still allows
// to restore it; whether its time has passed is another question.
func (v view) restorable() bool { return v.Removal != nil && !v.Removal.Purged }

// load returns the source with every event in it that was stored when load was
// called.
func (j *job) load(ctx context.Context) (view, error) {
	last, err := j.h.events.LastSequence(ctx, j.address)
	if err != nil {
		return view{}, fmt.Errorf("read where the history ends: %w", err)
	}
	if err := j.h.state.Wait(ctx, last); err != nil {
		return view{}, fmt.Errorf("wait for the projection: %w", err)
	}
	v, err := j.recall()
	v.after = last
	return v, err
}

// look returns what this node knows if that is known to be something, or else
// loads and says so.
func (j *job) look(ctx context.Context, known *bool) (view, error) {
	if *known {
		v, err := j.recall()
		if err != nil || v.after > 0 {
			return v, err
		}
		*known = false
	}
	return j.load(ctx)
}

// recall returns the source as this node knows it, which may lack the newest
// events. It asks nobody.
func (j *job) recall() (v view, err error) {
	if v.Source, err = j.h.state.Source(j.address); err != nil {
		return view{}, fmt.Errorf("read the source's state: %w", err)
	}
	v.after = v.Source.Last
	op, err := j.h.state.Operation(j.address, j.operation.ID)
	if err != nil {
		return view{}, fmt.Errorf("read the operation's state: %w", err)
	}
	for _, t := range op.Targets {
		if t.Index == j.operation.Target {
			v.ended, v.done = t.Ended || t.Attached, t.Done
		}
	}
	return v, nil
}

// move is the next event that a command leads to. Without data there is none.
type move struct {
	data          event.Data
	discriminator string // tells events of one name and command apart
	id            string // instead of the derived one
	stop          bool   // no move comes after it
}

// advance appends the moves that next decides on, one after another, each from
// the state in which the one before is applied, until there is none. When
// somebody else's event comes between, next decides again. It returns the
// sequence of the last event appended, 0 if there was none.
func (j *job) advance(ctx context.Context, next func(view) (move, error)) (uint64, error) {
	return j.advanceFrom(ctx, false, next)
}

// advanceKnown is advance that decides first on what this node knows, without
// asking the broker where the history ends: the append asks that too, and
// refuses what was decided on less. Only a target that has ended is believed to
// need no move. What next notes must be the last view's alone.
func (j *job) advanceKnown(ctx context.Context, next func(view) (move, error)) (uint64, error) {
	return j.advanceFrom(ctx, true, next)
}

func (j *job) advanceFrom(ctx context.Context, known bool, next func(view) (move, error)) (uint64, error) {
	var appended uint64
	conflicts, repeated := 0, false
	for moves := 0; ; moves++ {
		v, err := j.look(ctx, &known)
		if err != nil {
			return appended, err
		}
		v.repeated = repeated
		m, err := next(v)
		if known && !v.ended && (err != nil || m.data == nil) {
			known = false
			if v, err = j.load(ctx); err != nil {
				return appended, err
			}
			m, err = next(v)
		}
		if err != nil || m.data == nil {
			return appended, err
		}
		known = false // what was appended meanwhile is to be in the next view
		if moves-conflicts > maxMoves {
			return appended, fmt.Errorf("%s is decided again and again: the state does not follow the history", m.data.EventName())
		}
		m.data.Header().SourceName = sourceName(m.data, v)
		sequence, err := j.append(ctx, v.after, m)
		if errors.Is(err, bus.ErrConflict) && conflicts < maxConflicts {
			conflicts++
			continue
		}
		if err != nil {
			return appended, err
		}
		appended, repeated = sequence, sequence <= v.after
		// What was stored under the id before may not have been final.
		op := m.data.Header().Operation
		if m.stop || !repeated && op.Final && op.ID == j.operation.ID {
			return appended, nil
		}
	}
}

// sourceName returns what the source of an event is called: by the event itself,
// or else as it was before.
func sourceName(data event.Data, v view) string {
	switch d := data.(type) {
	case *event.SourceConnected:
		return d.Name
	case *event.SourceConnectFailed:
		return d.Name
	case *event.SourceRestored:
		return d.Name
	}
	return v.Name
}

// append publishes one event behind the given end of the history.
func (j *job) append(ctx context.Context, after uint64, m move) (uint64, error) {
	name := m.data.EventName()
	id := m.id
	if id == "" {
		id = eventID(j.id, name, m.discriminator)
	}
	e := &event.Event{ID: id, Time: time.Now().UTC(), Causation: j.id, TraceParent: j.trace, Data: m.data}
	sequence, err := j.h.events.Append(ctx, after, e)
	if err != nil {
		return 0, fmt.Errorf("append %s: %w", name, err)
	}
	j.h.seam("appended " + name)
	return sequence, nil
}

// eventID returns the id of an event that a command leads to, in the form of a
// UUID of version 8. It is the same for every delivery of the command, so that
// an event that is published again is known to be the same.
func eventID(command, event, discriminator string) string {
	h := sha256.New()
	for _, part := range []string{command, event, discriminator} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	id := h.Sum(nil)[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	s := hex.EncodeToString(id)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
