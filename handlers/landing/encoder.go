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
	return e.parts, e.failed
}

func (e *encoder) run() {
	defer close(e.done)
	var open *part
	defer func() {
		// A value that trips the Parquet library must end its table only.
		if p := recover(); p != nil {
			e.failed = fmt.Errorf("encode a batch: panic: %v", p)
			e.log.Error("encoding a batch panicked", "panic", p, "stack", string(debug.Stack()))
		}
		if open != nil {
			open.drop()
		}
		if e.failed != nil {
			// Whoever is in put sees done; what is in the channel is released.
			for {
				select {
				case rec, ok := <-e.in:
					if !ok {
						return
					}
					rec.Release()
				default:
					return
				}
			}
		}
	}()
	for rec := range e.in {
		if open, e.failed = e.encode(open, rec); e.failed != nil {
			return
		}
	}
	if open != nil {
		e.failed = e.complete(open)
		open = nil
	}
}

func (e *encoder) encode(open *part, rec arrow.RecordBatch) (*part, error) {
	defer rec.Release()
	fit, err := e.layout.conform(rec, e.rows+1)
	if err != nil {
		return open, err
	}
	defer fit.Release()
	e.rows += rec.NumRows()
	if open == nil {
		if open, err = createPart(e.files, e.layout, e.name(), fit); err != nil {
			return nil, err
		}
	}
	if err := open.write(fit); err != nil {
		return open, err
	}
	if open.w.TotalCompressedBytes() < e.partSize {
		return open, nil
	}
	return nil, e.complete(open)
}

func (e *encoder) complete(p *part) error {
	file, err := p.close()
	if err != nil {
		return err
	}
	e.parts = append(e.parts, file)
	return nil
}
