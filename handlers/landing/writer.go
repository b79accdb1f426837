package landing

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headwater/connectors/driver"
	"headwater/handlers/landing/border"
	"headwater/handlers/landing/datafiles"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/parts"
	"headwater/handlers/landing/storage"
	"headwater/handlers/landing/syncstate"
)

// Writer lands one table of one attempt of a sync. NextName, Add and Stage may be
// called concurrently. All other methods are called by one goroutine while none of these
// runs; it ends the writer with a final Commit or with Abort.
type Writer struct {
	lake   *Lake
	target Target
	ident  table.Identifier
	base   kvcatalog.Loaded // the table as this writer saw it last
	began  syncstate.State  // what had landed when it began
	schema *iceberg.Schema
	json   []int              // fields of the schema whose text is JSON
	folder string             // of the table, a URL
	props  iceberg.Properties // of the table
	layout parts.Layout
	// replace says that the next commit replaces all rows by a new generation.
	replace bool
	// overlap, if not nil, is the cursor up to which rows that are read may have
	// landed before.
	overlap *driver.Cursor
	cursor  driver.Cursor
	// restarted says that what landed is replaced because the source shows
	// another table.
	restarted bool
	stays     bool     // what landed stays: the source has nothing to put in its place
	lacking   []string // columns that older rows lack
	notes     []string
	told      []string  // of this sync, to be committed
	asOf      time.Time // when the read at hand began
	// comparable are columns whose values in older rows are those of the source.
	comparable []string
	border     *border.Border  // at which the read goes on, nil for the start
	reached    *border.Border  // what the next commit notes of its own
	again      border.Kept     // of what the next commit adds
	columns    []driver.Column // of the target's table, as they were given
	follow     following

	mu    sync.Mutex // of the next four
	nonce string
	begun int      // names
	names []string // of files that are neither committed nor staged
	added []iceberg.DataFile

	stage   stage
	landed  Committed // without what is staged
	unswept bool      // commits of this writer left files behind for the sweep
	failed  error     // what broke the writer
	closed  bool
}

// Cursor returns where an incremental read goes on. If it starts from the beginning,
// the cursor has a column and no value.
func (w *Writer) Cursor() driver.Cursor { return w.cursor }

// Finished returns what of this sync has landed or is staged, and whether an earlier
// attempt has already finished this table: in this mode, at the server that the source
// still has, and up to the target's position if changes follow. Nothing is added then.
func (w *Writer) Finished() (Committed, bool) {
	s := w.began
	ended := s.Sync == w.target.SyncID && s.Final && (s.Mode == Changes) == (w.target.Mode == Changes) && s.Moved == w.target.Moved
	return w.Landed(), ended && (w.target.Mode == Changes || s.Position == w.target.Position)
}

// Landed returns how much of this sync has landed or is staged until now.
func (w *Writer) Landed() Committed {
	c := w.landed
	for _, r := range w.stage.list() {
		c.Records += r.Rows
		c.Files += len(r.Parts)
		for _, p := range r.Parts {
			c.Bytes += p.Size
		}
	}
	return c
}

// Layout returns how the target's columns are encoded in parts.
func (w *Writer) Layout() parts.Layout { return w.layout }

// Table returns the target's table as it is to be read: a column whose type was found
// in a sample has the type that landed before, if its values can be read as such.
func (w *Writer) Table() driver.Table { return w.read() }

// Files returns where parts are written, under names of NextName.
func (w *Writer) Files() parts.Files { return datafiles.Files{Store: w.lake.files} }

// NextName returns a name for a new part, a URL. It begins with the fence, by which a
// sweep tells whose part it is; a nonce keeps two writers of one fence apart. A name need
// not be used. It is safe for concurrent use.
func (w *Writer) NextName() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nextName("data", ".parquet")
}

func (w *Writer) nextName(in, suffix string) string {
	name := fmt.Sprintf("%s/%s/%020d-%s-%s-%05d%s", w.folder, in, w.target.Fence, kvcatalog.Token(w.target.SyncID), w.nonce, w.begun, suffix)
	w.begun++
	w.names = append(w.names, name)
	return name
}

// Add takes durable parts that the next Commit makes visible: files written to Files
// under names of NextName, encoded by the Layout, in the order of their rows. It returns
// ErrClosed, or ErrStorage if a part's footer is not a Parquet footer of the layout. It
// is safe for concurrent use.
func (w *Writer) Add(made ...parts.Part) error {
	if w.closed {
		return ErrClosed
	}
	files, err := w.dataFiles(made)
	if err != nil {
		return w.wrap(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.added = append(w.added, files...)
	return nil
}

func newNonce() string {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// forget takes names from those that Abort removes.
func (w *Writer) forget(names ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	gone := make(map[string]bool, len(names))
	for _, n := range names {
		gone[n] = true
	}
	left := w.names[:0]
	for _, n := range w.names {
		if !gone[n] {
			left = append(left, n)
		}
	}
	w.names = left
}

func (w *Writer) forgetAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names = nil
}

// settled lets go of what a commit has made part of the table. Names of parts
// that are written meanwhile, behind it, stay.
func (w *Writer) settled(made *storage.Recorder) {
	names := made.Names()
	for _, f := range w.added {
		names = append(names, f.FilePath())
	}
	for _, b := range w.follow.batches {
		names = append(names, b.names()...)
	}
	w.follow.batches = nil
	w.mu.Lock()
	w.added = nil
	w.mu.Unlock()
	w.forget(names...)
}

// Abort ends the writer and removes the files that are neither committed nor staged;
// the next attempt of the sync goes on with what is. Whoever writes to Files ends
// before. After ErrUnknown, files that the commit may refer to stay until the next Begin.
// Abort is safe to call twice, and does nothing after a final Commit. It returns
// ErrStorage if files could not be removed; a later sweep removes them.
func (w *Writer) Abort(context.Context) error {
	if w.closed {
		return nil
	}
	w.closed = true
	names := w.names
	w.names, w.added, w.follow.batches = nil, nil, nil
	return w.wrap(storage.Remove(w.lake.files, names...))
}

func (w *Writer) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("landing %s: %w", w.target.Table, err)
}

// dataFiles returns what a commit says about parts.
func (w *Writer) dataFiles(made []parts.Part) ([]iceberg.DataFile, error) {
	files := make([]iceberg.DataFile, len(made))
	for i, p := range made {
		footer, err := p.Metadata()
		if err != nil {
			return nil, storage.Wrap("read a part's footer", err)
		}
		if footer.NumRows != p.Rows {
			return nil, storage.Wrap("read a part's footer", fmt.Errorf("part %s has %d rows where %d were announced", p.Name, footer.NumRows, p.Rows))
		}
		if files[i], err = datafiles.Describe(w.schema, w.props, p.Name, p.Size, footer); err != nil {
			return nil, err
		}
	}
	return files, nil
}
