package landing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"

	"headwater/bus/kv"
	"headwater/connectors/driver"
	"headwater/handlers/landing/border"
	"headwater/handlers/landing/datafiles"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/parts"
	"headwater/handlers/landing/staged"
	"headwater/handlers/landing/storage"
)

// stage is what a writer has staged. Ranges that are staged while others are
// being written down wait, and are written down together.
type stage struct {
	flushing sync.Mutex // held while a group is written down
	mu       sync.Mutex // of what follows
	waiting  []*staging
	ranges   []staged.Range // never changed in place
	open     int            // the first range of the newest segment
	segments []string       // names of the chain, oldest first
	start    *driver.Cursor // where the next read goes on at the latest, nil where that is not known
}

func (s *stage) list() []staged.Range {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ranges
}

func (s *stage) set(ranges []staged.Range, open int, segments []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ranges, s.open, s.segments = ranges, open, segments
}

// staging is a range that waits to be written down.
type staging struct {
	staged.Range
	done bool // guarded by stage.flushing, as is err
	err  error
}

// Staged returns the ranges of this sync that are staged, each with the number of its
// rows. After Begin these are the ranges of earlier attempts.
func (w *Writer) Staged() []driver.Range {
	list := w.stage.list()
	ranges := make([]driver.Range, len(list))
	for i, r := range list {
		ranges[i] = r.Range
	}
	return ranges
}

// StagedMax returns the largest of the staged ranges' cursors, no further than the start
// of the first read of them; nil if they have none. It fails if a cursor cannot be
// compared.
func (w *Writer) StagedMax() (*driver.Cursor, error) {
	column, _ := w.target.Table.Column(w.target.CursorColumn)
	var largest *driver.Cursor
	for _, r := range w.stage.list() {
		if r.Max == nil || r.Max.Value == nil {
			continue
		}
		if largest == nil {
			largest = r.Max
			continue
		}
		order, err := driver.CompareCursors(column.Type, *r.Max.Value, *largest.Value)
		if err != nil {
			return nil, w.wrap(err)
		}
		if order > 0 {
			largest = r.Max
		}
	}
	return w.bounded(largest)
}

// Stage notes durably that the range r was read to its end into made, zero or more
// durable parts as Add takes them. max is the largest cursor of its rows from which a
// read can go on, nil for none; edge is which of the range's rows such a read returns
// again, nil if that is not known. Readers see nothing before the final Commit; a later
// attempt of the same sync finds the range in Staged. Only a sync that starts from the
// beginning can stage. Stage returns ErrFenced if a later attempt took over, ErrClosed,
// ErrNoCursor, ErrStorage or ErrUnknown; after any error the caller aborts. It is safe
// for concurrent use.
func (w *Writer) Stage(ctx context.Context, r driver.Range, max *driver.Cursor, edge *border.Border, made []parts.Part) error {
	one, err := w.staging(r, max, edge, made)
	if err != nil {
		return err
	}
	w.stage.mu.Lock()
	w.stage.waiting = append(w.stage.waiting, one)
	w.stage.mu.Unlock()

	w.stage.flushing.Lock()
	defer w.stage.flushing.Unlock()
	if one.done {
		return w.wrap(one.err)
	}
	w.stage.mu.Lock()
	group := w.stage.waiting
	w.stage.waiting = nil
	w.stage.mu.Unlock()
	err = w.stageGroup(ctx, group)
	for _, g := range group {
		g.done, g.err = true, err
	}
	return w.wrap(err)
}

// heldBytes is up to where a range that is alone is rather read again than staged.
const heldBytes = 8 << 20

// Hold is Stage for a read of one range: if its parts are small the range only waits for
// the final Commit, and an attempt that ends before reads it again.
func (w *Writer) Hold(ctx context.Context, r driver.Range, max *driver.Cursor, edge *border.Border, made []parts.Part) error {
	size := int64(0)
	for _, p := range made {
		size += p.Size
	}
	if size > heldBytes || len(w.stage.list()) > 0 {
		return w.Stage(ctx, r, max, edge, made)
	}
	one, err := w.staging(r, max, edge, made)
	if err == nil {
		w.stage.set([]staged.Range{one.Range}, 0, nil)
	}
	return err
}

// staging returns what is to be remembered of a range.
func (w *Writer) staging(r driver.Range, max *driver.Cursor, edge *border.Border, made []parts.Part) (*staging, error) {
	if w.closed {
		return nil, ErrClosed
	}
	if w.cursor.Value != nil {
		return nil, w.wrap(errors.New("a sync that goes on behind a cursor reads no ranges"))
	}
	if max != nil && max.Column != w.target.CursorColumn {
		return nil, w.wrap(fmt.Errorf("%w: a range by %q came with a cursor of %q", ErrNoCursor, w.target.CursorColumn, max.Column))
	}
	one := &staging{Range: staged.Range{Range: r, Max: max, Border: edge}}
	one.Rows = 0
	for _, p := range made {
		one.Rows += p.Rows
		one.Parts = append(one.Parts, staged.Part{Name: p.Name, Rows: p.Rows, Size: p.Size})
	}
	var err error
	one.Files, err = w.dataFiles(made)
	return one, w.wrap(err)
}

// stageGroup writes ranges down.
func (w *Writer) stageGroup(ctx context.Context, group []*staging) error {
	if w.failed != nil {
		return w.failed
	}
	next, open := slices.Clip(w.stage.ranges), w.stage.open
	for _, g := range group {
		if slices.ContainsFunc(next, func(r staged.Range) bool { return r.Token == g.Token }) {
			return fmt.Errorf("range %q was staged before", g.Token)
		}
		next = append(next, g.Range)
	}
	older, replaced := w.stage.segments, []string(nil)
	if n := len(older); n > 0 && len(w.stage.ranges)-open < staged.Most {
		older, replaced = older[:n-1], older[n-1:]
	} else {
		open = len(w.stage.ranges)
	}
	if err := w.restage(ctx, next, open, older); err != nil {
		return err
	}
	for _, g := range group {
		w.forget(g.PartNames()...)
	}
	w.discard(replaced)
	return nil
}

// Keep gives up all staged ranges but those of kept, compared by their Tokens, and
// removes the parts of the others. It returns the errors of Stage.
func (w *Writer) Keep(ctx context.Context, kept []driver.Range) error {
	if w.closed {
		return ErrClosed
	}
	if w.failed != nil {
		return w.failed
	}
	var next []staged.Range
	var given []string
	for _, r := range w.stage.ranges {
		if slices.ContainsFunc(kept, func(k driver.Range) bool { return k.Token == r.Token }) {
			next = append(next, r)
		} else {
			given = append(given, r.PartNames()...)
		}
	}
	if len(next) == len(w.stage.ranges) {
		return nil
	}
	given = append(given, w.stage.segments...)
	if err := w.restage(ctx, next, 0, nil); err != nil {
		return w.wrap(err)
	}
	w.discard(given)
	return nil
}

// restage puts a list of staged ranges, of which those from open on are written
// as a new segment behind the older ones, in the place of the present one.
func (w *Writer) restage(ctx context.Context, ranges []staged.Range, open int, older []string) error {
	var head *kvcatalog.StagedHead
	segments := slices.Clone(older)
	if len(ranges) > 0 {
		layout, err := w.layout.Marshal()
		if err != nil {
			return err
		}
		s := staged.Segment{Layout: layout, Start: w.stage.start, Position: w.target.Position, Moved: w.target.Moved, Ranges: ranges[open:]}
		if len(older) > 0 {
			s.Older = older[len(older)-1]
		}
		content, err := json.Marshal(s)
		if err != nil {
			return err
		}
		w.mu.Lock()
		name := w.nextName("metadata", staged.Suffix)
		w.mu.Unlock()
		if err := w.lake.files.WriteFile(name, content); err != nil {
			w.failed = storage.Wrap("write what is staged", err)
			return w.failed
		}
		w.lake.catalog.At("staged")
		head = &kvcatalog.StagedHead{Sync: w.target.SyncID, Segment: name}
		segments = append(segments, name)
	}
	if err := w.point(ctx, head); err != nil {
		if errors.Is(err, ErrUnknown) {
			w.forgetAll() // they may be staged
		}
		w.failed = err
		return err
	}
	w.lake.catalog.At("stage swapped")
	w.forget(segments...)
	w.stage.set(ranges, open, segments)
	return nil
}

// point swaps what the table's key says is staged. The fence is checked by the
// same swap.
func (w *Writer) point(ctx context.Context, head *kvcatalog.StagedHead) error {
	at := w.base
	for range kvcatalog.Tries {
		if err := w.stillOurs(at); err != nil {
			return err
		}
		at.Pointer.Staged, at.Pointer.Unswept = head, true
		revision, err := w.lake.catalog.Swap(ctx, w.ident, at.Pointer, at.Revision)
		if err == nil {
			at.Revision = revision
			w.base = at
			return nil
		}
		if !errors.Is(err, kv.ErrConflict) {
			return err
		}
		at, err = w.lake.catalog.Load(ctx, w.ident)
		if errors.Is(err, catalog.ErrNoSuchTable) {
			return fmt.Errorf("%w: it was dropped", ErrFenced)
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%w again and again", kv.ErrConflict)
}

// discard removes files that nothing refers to any more. What cannot be removed
// is swept later.
func (w *Writer) discard(names []string) {
	if err := storage.Remove(w.lake.files, names...); err != nil {
		w.unswept = true
		w.lake.log.Warn("files that are no longer staged stay until the next sync", "table", w.target.Table.String(), "error", err)
	}
}

// resumeStaged takes over what earlier attempts of this sync staged. It is
// given up when it no longer fits: the sync goes on behind a cursor, the columns
// changed, a part is gone, the source was moved, or changes go on behind another position.
func (w *Writer) resumeStaged(ctx context.Context) error {
	segments, names, err := staged.Read(w.lake.files, w.base.Pointer.Staged)
	if err != nil || len(segments) == 0 {
		return err
	}
	w.stage.segments = names
	layout, err := w.layout.Marshal()
	if err != nil {
		return err
	}
	_, finished := w.Finished()
	fits := !finished && w.cursor.Value == nil
	for _, s := range segments {
		w.stage.open = len(w.stage.ranges)
		w.stage.ranges = append(w.stage.ranges, s.Ranges...)
		w.stage.start = s.Start
		fits = fits && bytes.Equal(s.Layout, layout) && s.Position == w.target.Position && s.Moved == w.target.Moved
	}
	for i := 0; fits && i < len(w.stage.ranges); i++ {
		r := &w.stage.ranges[i]
		r.Files, err = w.reread(r.Parts)
		if errors.Is(err, fs.ErrNotExist) {
			fits = false
		} else if err != nil {
			return err
		}
	}
	if fits {
		return nil
	}
	return w.Keep(ctx, nil)
}

// reread returns what a commit says about parts of an earlier attempt.
func (w *Writer) reread(made []staged.Part) ([]iceberg.DataFile, error) {
	files := make([]iceberg.DataFile, len(made))
	for i, p := range made {
		footer, err := datafiles.Footer(w.lake.files, p.Name)
		if err != nil {
			return nil, err
		}
		if files[i], err = datafiles.Describe(w.schema, w.props, p.Name, p.Size, footer); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// pending returns what the next visible commit adds, in the order of its rows.
func (w *Writer) pending() []iceberg.DataFile {
	var files []iceberg.DataFile
	for _, r := range w.stage.list() {
		files = append(files, r.Files...)
	}
	return append(files, w.added...)
}
