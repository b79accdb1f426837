package extract

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"headwater/connectors/driver"
	"headwater/handlers/extract/collapse"
	"headwater/handlers/landing/parts"
)

// changesMemory is ChangesRequest.Memory where it is not set.
const changesMemory = 16 << 20

// standingEvery is how often a log that does not say so itself is asked how far behind its
// reader is.
var standingEvery = 5 * time.Second // tests shorten it

// Changes reads the log of the last Capture.
func (l *local) Changes(ctx context.Context, r ChangesRequest) iter.Seq2[ChangesMessage, error] {
	return func(yield func(ChangesMessage, error) bool) {
		s, err := l.stream(r)
		if err != nil {
			yield(ChangesMessage{}, err)
			return
		}
		ctx, stop := context.WithCancel(ctx)
		var failed error
		go func() {
			defer close(s.out)
			failed = s.run(ctx)
		}()
		defer func() {
			stop()
			for range s.out { // nobody listens any more
			}
		}()
		for m := range s.out {
			if !yield(m, nil) {
				return
			}
		}
		if failed != nil {
			yield(ChangesMessage{}, failed)
		}
	}
}

func (l *local) stream(r ChangesRequest) (*stream, error) {
	log := l.captured.get()
	if log == nil {
		return nil, errUntaken
	}
	if r.Memory <= 0 {
		r.Memory = changesMemory
	}
	if r.TellEvery <= 0 {
		r.TellEvery = 100 * time.Millisecond
	}
	s := &stream{log: log, memory: r.Memory, told: meter{every: r.TellEvery}, out: make(chan ChangesMessage), tables: make([]*streamed, len(r.Tables))}
	for i, t := range r.Tables {
		if t.Layout.Schema == nil {
			continue
		}
		table, err := collapse.New(collapse.Config{Table: t.Table, Layout: t.Layout, Key: t.Key, Log: t.Log, Files: t.Files, PartSize: r.PartSize, Logger: l.log})
		if err != nil {
			return nil, err
		}
		s.tables[i] = &streamed{Table: table}
	}
	return s, nil
}

// stream is the reading of a log. What works on it sends messages, which are yielded
// in the caller's loop.
type stream struct {
	log      driver.Log
	memory   int64
	tables   []*streamed // nil for one that is left out
	told     meter
	out      chan ChangesMessage
	flushing chan error // the outcome of the flush under way, nil for none
	encoding int64      // bytes that it holds
	resume   string     // the last place
	open     bool       // changes came behind the last place to resume
	last     driver.Changes
}

// streamed is a table and what of it has been sealed since the last flush.
type streamed struct {
	*collapse.Table
	sealed []parts.Changes
	counts collapse.Counts
	failed error       // why no more is taken, to be told with the next flush
	over   atomic.Bool // nothing of it is wanted any more
}

// fail gives a table up whose changes make no rows, and returns any other error.
func (t *streamed) fail(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || errors.Is(err, parts.ErrStorage) {
		return err
	}
	t.failed, t.sealed, t.counts = err, nil, collapse.Counts{}
	t.over.Store(true)
	t.Seal().Release()
	return nil
}

func (s *stream) run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer func() {
		stop(nil)
		if s.flushing != nil {
			<-s.flushing
		}
	}()
	standings := make(chan struct{})
	go func() {
		defer close(standings)
		s.watch(ctx, stop)
	}()
	defer func() {
		stop(nil)
		<-standings
	}()
	for c, err := range s.log.Changes(ctx) {
		if err == nil {
			err = s.take(ctx, c)
		}
		if err != nil {
			if flushed := s.settle(); flushed != nil { // what came before it is told first
				err = flushed
			}
			return s.why(ctx, err)
		}
	}
	// A source may take the end of its context for the end of the changes.
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if s.open {
		return driver.E(driver.ErrBadData, nil, "the log of changes ended behind the last place to resume")
	}
	if err := s.settle(); err != nil {
		return err
	}
	// That nothing more came is the end only if the log is still the one that was read. And
	// a short reading ends before watch asks.
	standing, err := s.log.Standing(ctx)
	if err == nil {
		err = s.send(ctx, ChangesMessage{Standing: &standing})
	}
	if err != nil {
		return s.why(ctx, err)
	}
	return s.send(ctx, ChangesMessage{Flush: &Flush{Position: s.resume, Committed: s.last.Committed, Fresh: s.last.Fresh, Final: true}})
}

// why returns why the reading ends, which was ended with a cause or fails with err.
func (s *stream) why(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if cause != nil && (errors.Is(err, context.Canceled) || errors.Is(cause, driver.ErrReplaced)) {
		return cause
	}
	return err
}

// take takes what the log yields next.
func (s *stream) take(ctx context.Context, c driver.Changes) error {
	if c.Record != nil {
		if err := s.hold(ctx, c); err != nil {
			return err
		}
	}
	s.told.add(driver.Batch{Bytes: c.Bytes, Notes: c.Notes}, 0)
	if c.Standing != nil {
		if err := s.send(ctx, ChangesMessage{Standing: c.Standing}); err != nil {
			return err
		}
	}
	if c.Resume != "" {
		return s.flush(ctx, c)
	}
	if s.told.due() {
		return s.send(ctx, ChangesMessage{})
	}
	return nil
}

// hold takes the changes of one table, and seals the largest ones where too much is
// held.
func (s *stream) hold(ctx context.Context, c driver.Changes) error {
	if c.Table < 0 || c.Table >= len(s.tables) {
		c.Record.Release()
		return fmt.Errorf("changes of table %d of %d", c.Table, len(s.tables))
	}
	t := s.tables[c.Table]
	if t == nil || t.over.Load() {
		c.Record.Release()
		return nil
	}
	s.open = true
	if err := t.Take(c); err != nil {
		return t.fail(ctx, err)
	}
	counts := t.Counted()
	t.counts = t.counts.Plus(counts)
	s.told.add(driver.Batch{}, counts.Rows())
	for s.held()+s.encoding > s.memory {
		if s.flushing != nil {
			if err := s.settle(); err != nil {
				return err
			}
			continue
		}
		largest := s.largest()
		if largest == nil {
			return nil
		}
		made, err := largest.Seal().Encode(ctx)
		if err != nil {
			return largest.fail(ctx, err)
		}
		largest.sealed = append(largest.sealed, made)
	}
	return nil
}

func (s *stream) held() (n int64) {
	for _, t := range s.tables {
		if t != nil {
			n += t.Held()
		}
	}
	return n
}

func (s *stream) largest() (largest *streamed) {
	for _, t := range s.tables {
		if t != nil && t.Sealable() && !t.Empty() && (largest == nil || t.Held() > largest.Held()) {
			largest = t
		}
	}
	return largest
}

// flush begins to encode what came up to a place to resume, once the flush before
// was told of. Reading goes on meanwhile.
func (s *stream) flush(ctx context.Context, c driver.Changes) error {
	if err := s.settle(); err != nil {
		return err
	}
	s.resume, s.last, s.open = c.Resume, c, false
	f := &Flush{Position: c.Resume, Committed: c.Committed, Fresh: c.Fresh}
	var batches []*collapse.Batch
	var of []*streamed
	for i, t := range s.tables {
		if t != nil && t.over.Load() && t.failed == nil { // the flush before has told of it
			t.Seal().Release()
			t, s.tables[i] = nil, nil
		}
		if t == nil || t.Empty() && len(t.sealed) == 0 && t.failed == nil {
			continue
		}
		of = append(of, t)
		if t.failed != nil {
			f.Tables, batches = append(f.Tables, TableChanges{Table: i, Err: t.failed}), append(batches, nil)
			s.tables[i] = nil
			continue
		}
		if !t.Sealable() {
			return driver.E(driver.ErrBadData, nil, "the log of changes can be resumed in the middle of a change")
		}
		s.encoding += t.Held()
		n := t.counts
		f.Tables = append(f.Tables, TableChanges{Table: i, Changes: t.sealed, Inserted: n.Inserted, Updated: n.Updated, Deleted: n.Deleted, Truncated: n.Truncated})
		t.sealed, t.counts = nil, collapse.Counts{}
		if t.Empty() {
			batches = append(batches, nil)
		} else {
			batches = append(batches, t.Seal())
		}
	}
	told := make(chan error, 1)
	s.flushing = told
	go func() { told <- s.encode(ctx, f, batches, of) }()
	return nil
}

// encode encodes the last changes of the tables of a flush, and tells of it.
func (s *stream) encode(ctx context.Context, f *Flush, batches []*collapse.Batch, of []*streamed) (err error) {
	for i, b := range batches {
		if b == nil {
			continue
		}
		if err != nil {
			b.Release()
			continue
		}
		made, failed := b.Encode(ctx)
		if failed == nil {
			f.Tables[i].Changes = append(f.Tables[i].Changes, made)
			continue
		}
		if t := of[i]; ctx.Err() != nil || errors.Is(failed, parts.ErrStorage) {
			err = failed
		} else {
			t.over.Store(true)
			f.Tables[i] = TableChanges{Table: f.Tables[i].Table, Err: failed}
		}
	}
	if err != nil {
		return err
	}
	return s.send(ctx, ChangesMessage{Flush: f})
}

// settle waits until the flush under way, if any, was told of.
func (s *stream) settle() error {
	if s.flushing == nil {
		return nil
	}
	err := <-s.flushing
	s.flushing, s.encoding = nil, 0
	return err
}

// watch asks now and then how far behind the reader is, while the log does not say
// so itself. It ends the reading, by stop, if the log is another one than was read: there
// a reader may wait for ever. What else keeps it from asking, the reading meets as well.
func (s *stream) watch(ctx context.Context, stop context.CancelCauseFunc) {
	ticks := time.NewTicker(standingEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
		standing, err := s.log.Standing(ctx)
		if errors.Is(err, driver.ErrReplaced) {
			stop(err)
			return
		}
		if err == nil && s.send(ctx, ChangesMessage{Standing: &standing}) != nil {
			return
		}
	}
}

// send hands a message to the loop, with what was counted up to now.
func (s *stream) send(ctx context.Context, m ChangesMessage) error {
	counted := s.told.with(Message{})
	m.Rows, m.Bytes, m.Notes = counted.Rows, counted.Bytes, counted.Notes
	select {
	case s.out <- m:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
