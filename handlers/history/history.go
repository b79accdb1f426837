// Package history decides commands on the histories of sources: a job loads its source as
// its history tells it, decides which event is missing, and appends that at the history's
// expected end.
package history

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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
	MaxConflicts = 64
	maxMoves     = 16
)

// Histories makes jobs of commands. Its fields are lent. It is safe for concurrent use.
type Histories struct {
	Events Events
	State  readmodel.State
	Log    *slog.Logger
	Seam   func(step string) // called at each step of the durability order; nil for none
}

// Job is one command in a worker's hands. Its methods may be called concurrently.
type Job struct {
	Events    Events
	State     readmodel.State
	atStep    func(step string)
	ID        string
	Name      string
	Trace     string
	Address   event.Address
	Operation event.Operation
	Deadline  time.Time // zero for none
	Data      command.Data
	Log       *slog.Logger
}

// Job returns the job of a command.
func (h *Histories) Job(c *command.Command) *Job {
	meta := c.Data.Header()
	return &Job{
		Events: h.Events, State: h.State, atStep: h.Seam, ID: c.ID, Name: c.Name(), Trace: c.TraceParent, Data: c.Data,
		Address: c.Address(), Operation: meta.Operation, Deadline: meta.Deadline,
		Log: h.Log.With("command", c.Name(), "command_id", c.ID, "operation", meta.Operation.ID,
			"organization", meta.Organization, "source", meta.SourceID, "traceparent", c.TraceParent),
	}
}

// Overdue reports whether the command's deadline has passed.
func (j *Job) Overdue() bool { return !j.Deadline.IsZero() && !time.Now().Before(j.Deadline) }

// Seam marks a step of the durability order, where a test may stop the worker.
func (j *Job) Seam(step string) {
	if j.atStep != nil {
		j.atStep(step)
	}
}

// Work returns the context of what the command does outside, which ends at the
// command's deadline with outcome.ErrDeadline as its cause.
func (j *Job) Work(ctx context.Context) (context.Context, context.CancelFunc) {
	if j.Deadline.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadlineCause(ctx, j.Deadline, outcome.ErrDeadline)
}

// Meta begins the payload of an event about the job's target.
func (j *Job) Meta(final bool) event.Meta {
	op := j.Operation
	op.Final = final
	return event.At(j.Address, op)
}

// View is a source as its history tells it up to the event at After.
type View struct {
	readmodel.Source
	After uint64
	// Ended says that the job's target needs nothing more: it has its outcome,
	// or will get that of a sync it is attached to.
	Ended bool
	done  bool // the outcome is what was asked for
	// Repeated says that the move before was no news: an earlier delivery had
	// made it, and the history has gone on since.
	Repeated bool
}

// Restorable reports whether the source was removed and its history still allows
// to restore it; whether its time has passed is another question.
func (v View) Restorable() bool { return v.Removal != nil && !v.Removal.Purged }

// Left is a server that a source has left, and that may still keep its log of changes.
type Left = readmodel.Left

// MayKeep reports whether the source's server may keep a log for it: a position is known, or a
// sync has begun that may have been killed before it told of one.
func (v View) MayKeep() bool { return v.Changes.Position != "" || v.Taken != nil }

// Captures reports whether a sync that follows the source's log is under way.
func (v View) Captures() bool { return v.Running != nil && v.Running.Mode == command.Capture }

// Keeps reports whether sealed secrets are those of the source, or of a server that it has
// left (see Left).
func (v View) Keeps(ref string, except uint64) bool {
	return ref != "" && (v.SecretRef == ref || v.LeftWith(ref, except))
}

// LeftWith reports whether sealed secrets are those of a server that the source has left and
// that may still keep a log for it; the one that was left at except does not count.
func (v View) LeftWith(ref string, except uint64) bool {
	return slices.ContainsFunc(v.Left, func(l Left) bool { return l.SecretRef == ref && l.Moved != except })
}

// Load returns the source with every event in it that was stored when load was
// called.
func (j *Job) Load(ctx context.Context) (View, error) {
	last, err := j.Last(ctx)
	if err != nil {
		return View{}, err
	}
	if err := j.State.Wait(ctx, last); err != nil {
		return View{}, fmt.Errorf("wait for the projection: %w", err)
	}
	v, err := j.recall()
	v.After = last
	return v, err
}

// Last returns the sequence of the source's last event, 0 if it has none.
func (j *Job) Last(ctx context.Context) (uint64, error) {
	last, err := j.Events.LastSequence(ctx, j.Address)
	if err != nil {
		return 0, fmt.Errorf("read where the history ends: %w", err)
	}
	return last, nil
}

// look returns what this node knows if that is known to be something, or else
// loads and says so.
func (j *Job) look(ctx context.Context, known *bool) (View, error) {
	if *known {
		v, err := j.recall()
		if err != nil || v.After > 0 {
			return v, err
		}
		*known = false
	}
	return j.Load(ctx)
}

// recall returns the source as this node knows it, which may lack the newest
// events. It asks nobody.
func (j *Job) recall() (v View, err error) {
	if v.Source, err = j.State.Source(j.Address); err != nil {
		return View{}, fmt.Errorf("read the source's state: %w", err)
	}
	v.After = v.Source.Last
	op, err := j.State.Operation(j.Address, j.Operation.ID)
	if err != nil {
		return View{}, fmt.Errorf("read the operation's state: %w", err)
	}
	for _, t := range op.Targets {
		if t.Index == j.Operation.Target {
			v.Ended, v.done = t.Ended || t.Attached, t.Done
		}
	}
	return v, nil
}

// Move is the next event that a command leads to. Without data there is none.
type Move struct {
	Data          event.Data
	Discriminator string // tells events of one name and command apart
	ID            string // instead of the derived one
	Stop          bool   // no move comes after it
}

// Advance appends the moves that next decides on, one after another, each from
// the state in which the one before is applied, until there is none. When
// somebody else's event comes between, next decides again. It returns the
// sequence of the last event appended, 0 if there was none.
func (j *Job) Advance(ctx context.Context, next func(View) (Move, error)) (uint64, error) {
	return j.advanceFrom(ctx, false, next)
}

// AdvanceKnown is advance that decides first on what this node knows, without
// asking the broker where the history ends: the append asks that too, and
// refuses what was decided on less. Only a target that has ended is believed to
// need no move. What next notes must be the last view's alone.
func (j *Job) AdvanceKnown(ctx context.Context, next func(View) (Move, error)) (uint64, error) {
	return j.advanceFrom(ctx, true, next)
}

func (j *Job) advanceFrom(ctx context.Context, known bool, next func(View) (Move, error)) (uint64, error) {
	var appended uint64
	conflicts, repeated := 0, false
	for moves := 0; ; moves++ {
		v, err := j.look(ctx, &known)
		if err != nil {
			return appended, err
		}
		v.Repeated = repeated
		m, err := next(v)
		if known && !v.Ended && (err != nil || m.Data == nil) {
			known = false
			if v, err = j.Load(ctx); err != nil {
				return appended, err
			}
			m, err = next(v)
		}
		if err != nil || m.Data == nil {
			return appended, err
		}
		known = false // what was appended meanwhile is to be in the next view
		if moves-conflicts > maxMoves {
			return appended, fmt.Errorf("%s is decided again and again: the state does not follow the history", m.Data.EventName())
		}
		m.Data.Header().SourceName = sourceName(m.Data, v)
		sequence, err := j.Append(ctx, v.After, m)
		if errors.Is(err, bus.ErrConflict) && conflicts < MaxConflicts {
			conflicts++
			continue
		}
		if err != nil {
			return appended, err
		}
		appended, repeated = sequence, sequence <= v.After
		// What was stored under the id before may not have been final.
		op := m.Data.Header().Operation
		if m.Stop || !repeated && op.Final && op.ID == j.Operation.ID {
			return appended, nil
		}
	}
}

// sourceName returns what the source of an event is called: by the event itself,
// or else as it was before.
func sourceName(data event.Data, v View) string {
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

// Append publishes one event behind the given end of the history.
func (j *Job) Append(ctx context.Context, after uint64, m Move) (uint64, error) {
	name := m.Data.EventName()
	id := m.ID
	if id == "" {
		id = EventID(j.ID, name, m.Discriminator)
	}
	e := &event.Event{ID: id, Time: time.Now().UTC(), Causation: j.ID, TraceParent: j.Trace, Data: m.Data}
	sequence, err := j.Events.Append(ctx, after, e)
	if err != nil {
		return 0, fmt.Errorf("append %s: %w", name, err)
	}
	j.Seam("appended " + name)
	return sequence, nil
}

// EventID returns the id of an event that a command leads to, in the form of a
// UUID of version 8. It is the same for every delivery of the command, so that
// an event that is published again is known to be the same.
func EventID(command, event, discriminator string) string {
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

// DerivedID returns an id that a text decides.
func DerivedID(prefix, text string) string {
	sum := sha256.Sum256([]byte(prefix + text))
	return prefix + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}
