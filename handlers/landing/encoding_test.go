package landing

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"

	"headwater/connectors/driver"
	"headwater/handlers/landing/parts"
)

// encoding is a Writer together with the encoder that makes its parts.
type encoding struct {
	*Writer
	size int64
	enc  *parts.Encoder
}

// beginEncoding begins an attempt whose rows are handed over as batches.
func beginEncoding(ctx context.Context, l *Lake, target Target) (*encoding, error) {
	w, err := l.Begin(ctx, target)
	if err != nil {
		return nil, err
	}
	return &encoding{Writer: w}, nil
}

func (e *encoding) Write(ctx context.Context, rec arrow.RecordBatch) error {
	if e.closed {
		return ErrClosed
	}
	if e.enc == nil {
		e.enc = encoder(e.Writer, e.size)
	}
	rec.Retain()
	return e.enc.Put(ctx, rec)
}

func encoder(w *Writer, size int64) *parts.Encoder {
	return parts.Start(parts.Config{Files: w.Files(), Layout: w.Layout(), Name: w.NextName, Size: size, Log: w.lake.log})
}

func (e *encoding) Commit(ctx context.Context, next *driver.Cursor, final bool) (Committed, error) {
	if e.enc != nil {
		made, err := e.enc.Finish()
		e.enc = nil
		if err == nil {
			err = e.Add(made...)
		}
		if err != nil {
			e.failed = err
			return e.Landed(), err
		}
	}
	return e.Writer.Commit(ctx, next, final)
}

func (e *encoding) Abort(ctx context.Context) error {
	if e.enc != nil {
		e.enc.Finish()
		e.enc = nil
	}
	return e.Writer.Abort(ctx)
}

// made encodes batches to parts, as a child process does for a range.
func made(ctx context.Context, w *Writer, batches ...arrow.RecordBatch) ([]parts.Part, error) {
	enc := encoder(w, 0)
	var failed error
	for _, rec := range batches {
		if failed == nil {
			failed = enc.Put(ctx, rec)
		}
	}
	done, err := enc.Finish()
	if failed == nil {
		failed = err
	}
	return done, failed
}
