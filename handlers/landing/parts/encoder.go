package parts

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/apache/arrow-go/v18/arrow"
)

// DefaultSize is about how large a part becomes before the next one begins.
const DefaultSize = 96 << 20

// Config is what an Encoder works with.
type Config struct {
	Files  Files
	Layout Layout
	Name   func() string // of the next file
	Size   int64         // of a file, bytes, about; 0 for DefaultSize
	Log    *slog.Logger
	// Fill has columns of the layout behind those of a batch be filled: with false in
	// DeletedColumn, and NULL in others.
	Fill bool
}

// Encoder turns batches into Parquet files beside whoever reads them from the
// source, so that reading and encoding take a core each. At most two batches
// wait or are worked on. One goroutine feeds it.
type Encoder struct {
	Config
	rows   int64 // taken so far
	open   *file // nil between two
	press  *press
	sizes  sizes
	in     chan arrow.RecordBatch
	done   chan struct{}
	parts  []Part // once done
	failed error  // once done
}

// Start starts an encoder. The caller ends it by Finish, whatever happens.
func Start(c Config) *Encoder { return start(c, usual) }

func start(c Config, limit sizes) *Encoder {
	if c.Size <= 0 {
		c.Size = DefaultSize
	}
	e := &Encoder{Config: c, sizes: limit, in: make(chan arrow.RecordBatch, 1), done: make(chan struct{})}
	go e.run()
	return e
}

// Put hands a batch over, which the caller retained for the encoder. It returns
// before the batch is encoded. It fails with what went wrong with an earlier
// one (a driver.ErrBadData for a NULL in a column that has none, ErrStorage), or
// when ctx ends.
func (e *Encoder) Put(ctx context.Context, rec arrow.RecordBatch) error {
	select {
	case e.in <- rec:
		return nil
	case <-e.done:
		rec.Release()
		return e.failed
	case <-ctx.Done():
		rec.Release()
		return ctx.Err()
	}
}

// Finish waits until everything put is in durable files, and returns them. The
// encoder has ended then, whatever the outcome.
func (e *Encoder) Finish() ([]Part, error) {
	close(e.in)
	<-e.done
	for rec := range e.in { // put after the encoder had failed
		rec.Release()
	}
	return e.parts, e.failed
}

func (e *Encoder) run() {
	defer close(e.done)
	defer func() {
		// A value that trips the Parquet library must end its table only.
		if p := recover(); p != nil {
			e.Log.Error("encoding a batch panicked", "stack", string(debug.Stack()))
			e.failed = fmt.Errorf("encoding a batch panicked (%T)", p)
		}
		if e.open != nil {
			e.open.drop()
		} else if e.press != nil {
			e.press.retire()
		}
	}()
	for rec := range e.in {
		if e.failed = e.encode(rec); e.failed != nil {
			return
		}
	}
	if e.open != nil {
		e.failed = e.complete()
	}
}

func (e *Encoder) encode(rec arrow.RecordBatch) error {
	if e.Fill {
		rec = e.Layout.fill(rec)
	}
	defer rec.Release()
	if err := e.Layout.conforms(rec, e.rows+1); err != nil || rec.NumRows() == 0 {
		return err
	}
	e.rows += rec.NumRows()
	if e.press == nil {
		p, err := newPress()
		if err != nil {
			return err
		}
		e.press = p
	}
	if e.open == nil {
		f, err := create(e.Files, e.Layout, e.Name(), rec, e.press, e.sizes)
		if err != nil {
			return err
		}
		e.open = f
	}
	if err := e.open.write(rec); err != nil {
		return err
	}
	if !e.open.full(e.Size) {
		return nil
	}
	return e.complete()
}

// complete ends the open part.
func (e *Encoder) complete() error {
	part, err := e.open.close()
	e.open = nil
	if err != nil {
		return err
	}
	e.parts = append(e.parts, part)
	return nil
}
