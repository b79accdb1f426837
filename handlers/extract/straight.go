package extract

import (
	"context"
	"time"

	"headwater/connectors/driver"
	"headwater/handlers/landing/parts"
)

// straight is a read in one go, with a checkpoint wherever one is due and the
// source can resume. The last rows of a checkpoint become durable while the read
// goes on.
type straight struct {
	*extraction
	enc     *parts.Encoder // nil between two
	telling chan error     // the outcome of telling of the checkpoint before, nil for none
	next    *driver.Cursor // where to resume now
	open    bool           // rows were read behind next
	pending int64          // bytes read since the last checkpoint
	since   time.Time      // the last checkpoint
}

func (e *extraction) straight(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	s := &straight{extraction: e, enc: e.encode(), since: time.Now()}
	// Whatever happens, no encoder and no goroutine outlives the read.
	defer func() {
		stop()
		if s.enc != nil {
			s.enc.Finish()
		}
		if s.telling != nil {
			<-s.telling
		}
	}()
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

// take hands a batch to the encoder.
func (s *straight) take(ctx context.Context, b driver.Batch) error {
	defer b.Record.Release()
	s.pending += b.Bytes
	if !s.r.Whole {
		if s.open = b.Resume == nil; !s.open {
			s.next = b.Resume
		}
	}
	if err := s.count(ctx, b); err != nil {
		return err
	}
	if err := s.max.see(b.Record); err != nil || b.Record.NumRows() == 0 {
		return err
	}
	b.Record.Retain()
	return s.enc.Put(ctx, b.Record)
}

// due reports whether a checkpoint should be made, and can.
func (s *straight) due() bool {
	return s.next != nil && !s.open && (s.pending >= s.r.CheckpointBytes || time.Since(s.since) >= s.r.CheckpointEvery)
}

// checkpoint begins one, once the one before was told of.
func (s *straight) checkpoint(ctx context.Context) error {
	if err := s.settle(); err != nil {
		return err
	}
	ending, next, told := end(s.enc), s.next, make(chan error, 1)
	s.enc, s.telling, s.pending, s.since = s.encode(), told, 0, time.Now()
	go func() {
		made, err := ending.wait()
		if err == nil {
			err = s.send(ctx, Message{Checkpoint: &Checkpoint{Next: next, Parts: made}})
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
	if s.r.Whole {
		s.next = s.max.cursor()
	}
	return s.send(ctx, Message{Checkpoint: &Checkpoint{Next: s.next, Parts: made, Final: true}})
}
