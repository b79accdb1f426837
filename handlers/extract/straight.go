package extract

import (
	"context"
	"encoding/json"
	"time"

	"headwater/connectors/driver"
	"headwater/handlers/landing/border"
	"headwater/handlers/landing/parts"
)

// straight is a read in one go, with a checkpoint wherever one is due and the
// source can resume. The last rows of a checkpoint become durable while the read
// goes on.
type straight struct {
	*extraction
	seen    *border.Tracker // nil where nobody asks where later reads go on
	filter  *border.Filter  // nil where nothing landed before
	kept    border.Kept     // of what was read since the last checkpoint
	enc     *parts.Encoder  // nil between two
	telling chan error      // the outcome of telling of the checkpoint before, nil for none
	next    *driver.Cursor  // where to resume now
	noted   json.RawMessage // of a whole read: what the source noted of it
	open    bool            // rows were read behind next
	aside   bool            // rows without a cursor were read, which are no place
	pending int64           // bytes read since the last checkpoint
	since   time.Time       // the last checkpoint
}

func (e *extraction) straight(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	s := &straight{extraction: e, since: time.Now()}
	// Whatever happens, no encoder and no goroutine outlives the read.
	defer func() {
		stop()
		if s.enc != nil {
			_, _ = s.enc.Finish()
		}
		if s.telling != nil {
			<-s.telling
		}
	}()
	if err := s.watch(); err != nil {
		return err
	}
	s.enc = e.encode()
	from := e.r.From
	if e.r.Whole {
		from = driver.Cursor{}
	}
	for batch, err := range e.l.Read(ctx, e.r.Table, from) {
		if err == nil {
			err = s.take(ctx, batch)
		}
		if err == nil && s.due() {
			err = s.checkpoint(ctx)
		}
		if err != nil {
			return err
		}
	}
	// A source may take the end of its context for the end of the rows.
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return s.finish(ctx)
}

// watch makes what tells rows that landed from new ones.
func (s *straight) watch() (err error) {
	var from *string
	if b := s.r.Border; b != nil && !s.r.Whole {
		from = b.Value
		if s.filter, err = border.Drop(s.r.Table, s.r.From.Column, b); err != nil {
			return err
		}
	}
	s.seen, err = s.track(from)
	return err
}

// take hands the rows of a batch that have not landed to the encoder.
func (s *straight) take(ctx context.Context, b driver.Batch) error {
	defer b.Record.Release()
	s.pending += b.Bytes
	if !s.r.Whole {
		if b.Resume != nil {
			s.next, s.open = b.Resume, false
		} else if s.seen == nil || s.seen.Valued(b.Record) { // rows without a value are asked for each time
			s.open = true
		} else {
			s.aside = true
		}
	} else if b.Resume != nil {
		s.noted = b.Resume.Position
	}
	if s.seen != nil {
		s.seen.See(b.Record)
	}
	runs, kept := s.filter.Keep(b.Record)
	s.kept.Add(kept)
	var rows int64
	for _, run := range runs {
		rows += run.NumRows()
	}
	err := s.count(ctx, b, rows)
	for _, run := range runs {
		if err != nil || run.NumRows() == 0 {
			run.Release()
			continue
		}
		err = s.enc.Put(ctx, run)
	}
	return err
}

// place returns where a later read goes on once everything up to now is kept,
// nil for nowhere yet, and what of the rows that it shows will have landed.
func (s *straight) place(final bool) (*driver.Cursor, *border.Border) {
	if s.seen == nil {
		return s.next, nil
	}
	reached := s.seen.Border()
	if s.next == nil && final && s.aside && !s.open && s.r.From.Value != nil {
		s.next = &s.r.From // no row at the place is left, nor behind it
	}
	if s.r.Whole || s.next == nil {
		if !s.r.Whole || reached.Value == nil {
			return nil, reached
		}
		return &driver.Cursor{Column: s.r.Largest, Value: reached.Value, Position: s.noted}, reached
	}
	next := *s.next
	switch before, err := s.seen.Before(next.Value); {
	case err != nil || reached.Value == nil:
		next.Value = reached.Value
	case before && (!final || !s.looksBack()):
		// The source goes back to find what it could not see yet.
		reached.Value, reached.Rows = next.Value, border.Set{Full: true}
	default: // what lies beyond now is no place
		next.Value = reached.Value
	}
	if b := s.r.Border; !final || b != nil && b.Value != nil && reached.Value != nil && *b.Value == *reached.Value {
		s.filter.Left(reached, s.r.Keyless)
	}
	if next.Value == nil {
		return nil, reached
	}
	return &next, reached
}

// looksBack reports whether the read begins before the place that was reached.
func (s *straight) looksBack() bool {
	b := s.r.Border
	return b != nil && b.Value != nil && s.r.From.Value != nil && *b.Value != *s.r.From.Value
}

// due reports whether a checkpoint should be made, and can.
func (s *straight) due() bool {
	return s.next != nil && !s.open && (s.seen == nil || s.seen.Place() != nil) && (s.pending >= s.r.CheckpointBytes || time.Since(s.since) >= s.r.CheckpointEvery)
}

// checkpoint begins one, once the one before was told of.
func (s *straight) checkpoint(ctx context.Context) error {
	if err := s.settle(); err != nil {
		return err
	}
	ending, told := end(s.enc), make(chan error, 1)
	next, reached := s.place(false)
	point := &Checkpoint{Next: next, Border: reached, Kept: s.kept}
	s.enc, s.telling, s.pending, s.since, s.kept = s.encode(), told, 0, time.Now(), border.Kept{}
	go func() {
		made, err := ending.wait()
		if err == nil {
			point.Parts = made
			err = s.send(ctx, Message{Checkpoint: point})
		}
		told <- err
	}()
	return nil
}

// settle waits until the checkpoint before, if any, was told of.
func (s *straight) settle() error {
	if s.telling == nil {
		return nil
	}
	err := <-s.telling
	s.telling = nil
	return err
}

func (s *straight) finish(ctx context.Context) error {
	if s.open {
		return driver.E(driver.ErrBadData, nil, "the last rows of %s came without the cursor that resumes behind them", s.r.Table)
	}
	if err := s.settle(); err != nil {
		return err
	}
	made, err := s.enc.Finish()
	s.enc = nil
	if err != nil {
		return err
	}
	next, reached := s.place(true)
	return s.send(ctx, Message{Checkpoint: &Checkpoint{Next: next, Parts: made, Border: reached, Kept: s.kept, Final: true}})
}
