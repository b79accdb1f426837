package landing

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headwater/connectors/driver"
	"headwater/handlers/landing/parts"
)

// Writer lands one table of one attempt of a sync. It is used by one goroutine,
// which ends it with a final Commit or with Abort.
type Writer struct {
	lake   *Lake
	target Target
	ident  table.Identifier
	base   loaded // the table as this writer saw it last
	began  state  // what had landed when it began
	schema *iceberg.Schema
	layout parts.Layout
	// replace says that the next commit puts a new generation in the place of
	// everything there is.
	replace bool
	cursor  driver.Cursor

	nonce string
	begun int      // parts
	names []string // of the parts that are not committed
	enc   *parts.Encoder
	// staged parts are durable and not committed.
	staged  []iceberg.DataFile
	landed  Committed
	unswept bool  // commits of this writer left files behind for the sweep
	failed  error // what broke the writer
	closed  bool
}

// Cursor returns where an incremental read goes on: the zero value's column
// alone when it starts from the beginning.
func (w *Writer) Cursor() driver.Cursor { return w.cursor }

// Finished returns what of this sync has landed, and whether an earlier attempt
// has already finished this table. Nothing is to be written then.
func (w *Writer) Finished() (Committed, bool) {
	return w.landed, w.began.Sync == w.target.SyncID && w.began.Final
}

// Landed returns what of this sync has landed up to now.
func (w *Writer) Landed() Committed { return w.landed }

// Write takes the rows of a batch of the target's columns, in their order. It
// returns before they are encoded; what goes wrong then is returned by a later
// Write or by Commit: a driver.ErrBadData for a NULL in a column that has none,
// ErrStorage. It keeps its own reference: the caller releases its own, and must
// not change the memory.
func (w *Writer) Write(ctx context.Context, rec arrow.RecordBatch) error {
	if w.closed {
		return ErrClosed
	}
	if w.failed != nil {
		return w.failed
	}
	if rec.NumRows() == 0 {
		return nil
	}
	if w.enc == nil {
		w.enc = parts.Start(parts.Config{Files: partFiles{w.lake.files}, Layout: w.layout, Name: w.nextName, Size: w.lake.partSize, Log: w.lake.log})
	}
	rec.Retain()
	if err := w.enc.Put(ctx, rec); err != nil {
		return w.wrap(err)
	}
	return nil
}

// nextName names a part so that a sweep can tell whose it was: by the fence.
// The nonce keeps two writers of one fence apart.
func (w *Writer) nextName() string {
	name := fmt.Sprintf("%s/data/%020d-%s-%s-%05d.parquet", w.base.meta.Location(), w.target.Fence, folder(w.target.SyncID), w.nonce, w.begun)
	w.begun++
	w.names = append(w.names, name)
	return name
}

func newNonce() string {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// flush waits until all that was written is in durable files.
func (w *Writer) flush() error {
	if w.enc == nil {
		return nil
	}
	made, err := w.enc.Finish()
	w.enc = nil
	for _, p := range made {
		if err != nil {
			break
		}
		var file iceberg.DataFile
		if file, err = w.dataFile(p); err == nil {
			w.staged = append(w.staged, file)
		}
	}
	if err != nil {
		w.failed = w.wrap(err)
		return w.failed
	}
	return nil
}

// Abort ends the writer and removes the files it did not commit. What was
// committed stays. It is safe to call twice, and does nothing after a final
// Commit. Files that an unanswered commit may refer to stay for the next Begin
// to judge.
func (w *Writer) Abort(context.Context) error {
	if w.closed {
		return nil
	}
	w.closed = true
	if w.enc != nil {
		// Its outcome no longer matters; its files go below.
		w.enc.Finish()
		w.enc = nil
	}
	names := w.names
	w.names, w.staged = nil, nil
	return w.wrap(remove(w.lake.files, names...))
}

func (w *Writer) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("landing %s: %w", w.target.Table, err)
}
