package handlers

import (
	"context"
	"log/slog"

	"github.com/apache/arrow-go/v18/arrow"

	"headwater/connectors/driver"
	"headwater/handlers/landing"
	"headwater/handlers/landing/parts"
)

// encoded is a Writer that encodes the batches it is handed in this process.
type encoded struct {
	*landing.Writer
	log     *slog.Logger
	encoder *parts.Encoder // nil between commits
}

// Write takes the rows of a batch and keeps a reference of its own. What goes
// wrong with them is returned by a later Write or by Commit.
func (e *encoded) Write(ctx context.Context, batch arrow.RecordBatch) error {
	if batch.NumRows() == 0 {
		return nil
	}
	if e.encoder == nil {
		e.encoder = parts.Start(parts.Config{Files: e.Files(), Layout: e.Layout(), Name: e.NextName, Log: e.log})
	}
	batch.Retain()
	return e.encoder.Put(ctx, batch)
}

// Commit waits until what was written is in durable parts, and commits them.
func (e *encoded) Commit(ctx context.Context, next *driver.Cursor, final bool) (landing.Committed, error) {
	if e.encoder != nil {
		made, err := e.encoder.Finish()
		e.encoder = nil
		if err == nil {
			err = e.Add(made...)
		}
		if err != nil {
			return e.Landed(), err
		}
	}
	return e.Writer.Commit(ctx, next, final)
}

// Abort ends the encoder, and removes what was not committed.
func (e *encoded) Abort(ctx context.Context) error {
	if e.encoder != nil {
		e.encoder.Finish() // its files go with the writer's
		e.encoder = nil
	}
	return e.Writer.Abort(ctx)
}
