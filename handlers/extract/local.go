package extract

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"headwater/connectors/driver"
	"headwater/handlers/landing/border"
	"headwater/handlers/landing/parts"
)

// Local returns a Session over a source in this process. Closing it closes the
// source. A nil log is silent.
func Local(s Source, log *slog.Logger) Session {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &local{Source: s, log: log, wide: wide{c: make(chan struct{})}}
}

type local struct {
	Source
	wide
	log      *slog.Logger
	captured captured
}

func (l *local) Knows() bool {
	k, ok := l.Source.(Knower)
	return ok && k.Knows()
}

func (l *local) Know(tables []driver.Table) {
	if k, ok := l.Source.(Knower); ok {
		k.Know(tables)
	}
}

// Extract reads whole tables in ranges where the source can, and everything
// else in one go.
func (l *local) Extract(ctx context.Context, r Request, to Files) iter.Seq2[Message, error] {
	r = r.withDefaults()
	return func(yield func(Message, error) bool) {
		e := &extraction{apart: func() string { return "" }, l: l, r: r, to: to, told: meter{every: r.TellEvery}, out: make(chan Message), began: time.Now()}
		if r.Largest != "" {
			if _, err := e.track(nil); err != nil {
				yield(Message{}, err)
				return
			}
		}
		e.join()
		if r.Digest != nil {
			e.run(ctx, e.digest, yield)
			return
		}
		work := e.straight
		if r.Whole {
			scan, err := l.Scan(ctx, r.Table, r.Landed)
			if undivided(err) && r.From.Column == "" && r.Largest != "" { // the next read goes on after it
				one, wrong := l.Whole(ctx, r.Table, r.Largest)
				if wrong != nil || one != nil {
					scan, err = one, wrong
				}
			}
			switch {
			case err == nil:
				work = func(ctx context.Context) error { return e.ranges(ctx, scan) }
			case undivided(err):
				// In the order of a cursor it can at least be resumed.
				if e.r.Whole = r.From.Column == ""; !e.r.Whole {
					e.r.Largest = r.From.Column
				}
			default:
				yield(Message{}, err)
				return
			}
		}
		e.run(ctx, work, yield)
	}
}

// extraction is one Extract. What works on it sends Messages, which are yielded
// in the caller's loop.
type extraction struct {
	l    *local
	r    Request
	to   Files
	told meter
	out  chan Message
	// began is the moment of the read: values of cursors that lie beyond it are no
	// place to go on from.
	began time.Time
	start *string // the value of Plan.Start
	apart func() string
}

// track returns what follows the rows of one range, or of a read that goes on at
// from; nil where nobody asks where later reads go on.
func (e *extraction) track(from *string) (*border.Tracker, error) {
	if e.r.Largest == "" {
		return nil, nil
	}
	return border.Track(e.r.Table, e.r.Largest, from, e.start, e.began)
}

// run yields what work sends, and then its error if it has one. It returns when
// work has.
func (e *extraction) run(ctx context.Context, work func(context.Context) error, yield func(Message, error) bool) {
	ctx, stop := context.WithCancel(ctx)
	var failed error
	go func() {
		defer close(e.out)
		failed = work(ctx)
	}()
	defer func() {
		stop()
		for range e.out { // nobody listens any more
		}
	}()
	for m := range e.out {
		if !yield(m, nil) {
			return
		}
	}
	if failed != nil {
		yield(Message{}, failed)
	}
}

// send hands a message to the loop, with what was counted up to now.
func (e *extraction) send(ctx context.Context, m Message) error {
	m.Apart = e.apart()
	select {
	case e.out <- e.told.with(m):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// count notes a batch, of whose rows so many are taken, and tells of it now and
// then.
func (e *extraction) count(ctx context.Context, b driver.Batch, rows int64) error {
	if e.told.add(b, rows); e.told.due() {
		return e.send(ctx, Message{})
	}
	return nil
}

// undivided reports whether an error of Scan means that the table is to be read
// in one go.
func undivided(err error) bool { return errors.Is(err, driver.ErrUnsupported) }

// encode starts an encoder for a run of rows.
func (e *extraction) encode() *parts.Encoder {
	return parts.Start(parts.Config{Files: e.to, Layout: e.r.Layout, Name: e.to.NextName, Size: e.r.PartSize, Log: e.l.log, Fill: true})
}

// ending is an encoder whose last rows become durable while the next one works.
type ending struct {
	done  chan struct{}
	parts []parts.Part
	err   error
}

func end(enc *parts.Encoder) *ending {
	e := &ending{done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.parts, e.err = enc.Finish()
	}()
	return e
}

func (e *ending) wait() ([]parts.Part, error) {
	<-e.done
	return e.parts, e.err
}
