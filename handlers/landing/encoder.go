package landing

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
)

// encoder turns batches into Parquet files beside whoever reads them from the
// source, so that reading and encoding take a core each. At most two batches
// wait or are worked on. One goroutine feeds it.
type encoder struct {
	files    store
	layout   layout
	name     func() string // of the next file
	partSize int64
	log      *slog.Logger

	rows   int64 // taken so far
	open   *part // nil between two
	in     chan arrow.RecordBatch
	done   chan struct{}
	parts  []iceberg.DataFile // once done
	failed error              // once done
}

func (l *Lake) startEncoder(layout layout, name func() string) *encoder {
	e := &encoder{files: l.files, layout: layout, name: name, partSize: l.partSize, log: l.log,
		in: make(chan arrow.RecordBatch, 1), done: make(chan struct{})}
	go e.run()
	return e
}

// put hands a batch over, which the caller retained for the encoder. It fails
// with what went wrong with an earlier one, or when ctx ends.
func (e *encoder) put(ctx context.Context, rec arrow.RecordBatch) error {
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

// finish waits until everything put is in durable files, and returns them. The
// encoder has ended then, whatever the outcome.
func (e *encoder) finish() ([]iceberg.DataFile, error) {
	close(e.in)
	<-e.done
	for rec := range e.in { // put after the encoder had failed
		rec.Release()
	}
	return e.parts, e.failed
}

func (e *encoder) run() {
	defer close(e.done)
	defer func() {
		// A value that trips the Parquet library must end its table only.
		if p := recover(); p != nil {
			e.log.Error("encoding a batch panicked", "stack", string(debug.Stack()))
			e.failed = fmt.Errorf("encoding a batch panicked (%T)", p)
		}
		if e.open != nil {
			e.open.drop()
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

func (e *encoder) encode(rec arrow.RecordBatch) error {
	defer rec.Release()
	fit, err := e.layout.conform(rec, e.rows+1)
	if err != nil {
		return err
	}
	defer fit.Release()
	e.rows += rec.NumRows()
	if e.open == nil {
		if e.open, err = createPart(e.files, e.layout, e.name(), fit); err != nil {
			return err
		}
	}
	if err := e.open.write(fit); err != nil {
		return err
	}
	if e.open.w.TotalCompressedBytes() < e.partSize {
		return nil
	}
	return e.complete()
}

// complete ends the open part.
func (e *encoder) complete() error {
	file, err := e.open.close()
	e.open = nil
	if err != nil {
		return err
	}
	e.parts = append(e.parts, file)
	return nil
}
