package landing

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"headwater/bus/kv"
	"headwater/connectors/driver"
	"headwater/handlers/landing/border"
	"headwater/handlers/landing/datafiles"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/manifest"
	"headwater/handlers/landing/retain"
	"headwater/handlers/landing/storage"
	"headwater/handlers/landing/syncstate"
	"headwater/handlers/landing/tableschema"
	"headwater/handlers/landing/upkeep"
)

// Commit makes the parts added so far visible, in one step with next, the cursor from
// which the next read goes on. A final commit also makes all staged ranges visible, ends
// the sync of this table and closes the writer; if next is nil it takes StagedMax.
//
// A commit that is not final makes nothing visible, and the parts wait for a later one,
// if next is nil, if ranges are staged, or if the sync replaces all rows. So readers of a
// full refresh, or of an incremental sync that had no cursor to start from, see the old
// generation or the new one, whole.
//
// In mode Changes, next is nil: a commit makes all changes visible up to the position of
// Change or At, and notes it. One that is not final does nothing if nothing is new.
//
// Commit returns how much of the sync has landed, and ErrFenced if a later attempt took
// over, ErrNoCursor if rows were added behind a cursor and there is no new one,
// driver.ErrReplaced if only a whole read can tell the table's rows, ErrSchemaChanged,
// ErrBadKey, ErrStorage or ErrUnknown. After any error the caller aborts; what was
// committed before stays.
func (w *Writer) Commit(ctx context.Context, next *driver.Cursor, final bool) (Committed, error) {
	if w.closed {
		return w.Landed(), ErrClosed
	}
	if w.failed != nil {
		return w.Landed(), w.failed
	}
	w.lake.catalog.At("parts")
	if w.target.Mode == Changes {
		if w.follow.noted == "" {
			return w.Landed(), w.wrap(errUnread)
		}
		if !final && len(w.follow.batches) == 0 && w.follow.position == w.follow.noted {
			return w.Landed(), nil
		}
	} else if !final && (w.replace || next == nil || len(w.stage.list()) > 0) {
		return w.Landed(), nil
	}
	cursor, err := w.advance(next)
	if err == nil && final && w.overlap != nil {
		// Rows that were deleted at the source must not take the cursor back.
		position := cursor.Position
		if cursor, err = w.further(cursor, *w.overlap); position != nil {
			cursor.Position = position // it says what this read saw
		}
	}
	if err != nil {
		return w.Landed(), w.wrap(err)
	}
	if final && w.keepsLanded() {
		cursor = w.keepLanded()
	}
	segments := w.stage.segments
	if err := w.land(ctx, cursor, final); err != nil {
		if errors.Is(err, ErrUnknown) {
			w.forgetAll() // they may be part of the table
		}
		w.failed = w.wrap(err)
		return w.Landed(), w.failed
	}
	w.closed = final
	w.unswept = w.unswept || final && w.base.Pointer.Unswept // the key says so of a final commit that has dropped files
	w.discard(segments)
	if final && (w.unswept || w.lake.sweeper().Due(w.base.Pointer)) {
		w.lake.sweeper().Tidy(ctx, w.ident, w.target.Fence, nil)
	}
	if !final && w.target.Mode == Changes && w.lake.sweeper().Due(w.base.Pointer) {
		if at, _ := w.lake.sweeper().Tidy(ctx, w.ident, 0, w.beside()); at.Pointer.Location == w.base.Pointer.Location {
			w.base = at
		}
	}
	return w.Landed(), nil
}

// advance returns the cursor to commit.
func (w *Writer) advance(next *driver.Cursor) (driver.Cursor, error) {
	if next != nil {
		if next.Column != w.target.CursorColumn || next.Column == "" {
			return driver.Cursor{}, fmt.Errorf("%w: rows by %q came with a cursor of %q", ErrNoCursor, w.target.CursorColumn, next.Column)
		}
		return driver.Cursor{Column: next.Column, Value: next.Value, Position: next.Position}, nil
	}
	largest, err := w.StagedMax()
	if err != nil {
		return driver.Cursor{}, err
	}
	if largest != nil {
		return *largest, nil
	}
	if w.target.Mode == Incremental && w.cursor.Value != nil && len(w.added) > 0 {
		return driver.Cursor{}, fmt.Errorf("%w behind the rows after %q: they would be read again", ErrNoCursor, *w.cursor.Value)
	}
	return w.cursor, nil
}

// land commits what is pending, starting again when the table moves.
func (w *Writer) land(ctx context.Context, cursor driver.Cursor, final bool) error {
	at := w.base
	for range kvcatalog.Tries {
		if err := w.stillOurs(at); err != nil {
			return err
		}
		made := manifest.New(w.lake.files)
		err := w.landOn(ctx, at, made, cursor, final)
		if err == nil || errors.Is(err, ErrUnknown) {
			return err
		}
		if undone := made.Undo(); !errors.Is(err, kv.ErrConflict) {
			return errors.Join(err, undone)
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

// stillOurs refuses a table that was taken over, dropped and made again, or
// written by another sync: the rows at hand follow the state that was read at
// the beginning. A tool that only rearranged files does not matter.
func (w *Writer) stillOurs(at kvcatalog.Loaded) error {
	if at.Pointer.Fence > w.target.Fence || at.Meta.TableUUID() != w.base.Meta.TableUUID() {
		return ErrFenced
	}
	now, err := syncstate.Of(at.Meta)
	if err != nil {
		return err
	}
	before, err := syncstate.Of(w.base.Meta)
	if err != nil {
		return err
	}
	if now.SnapshotID != before.SnapshotID && now.Sync != "" {
		return fmt.Errorf("%w: sync %s committed meanwhile", ErrFenced, now.Sync)
	}
	if !tableschema.Same(at.Meta.CurrentSchema(), w.base.Meta.CurrentSchema()) {
		return fmt.Errorf("%w: its schema was changed in the lake while it was synced", ErrSchemaChanged)
	}
	return nil
}

// landOn commits to the table as it was loaded.
func (w *Writer) landOn(ctx context.Context, at kvcatalog.Loaded, made *manifest.Draft, cursor driver.Cursor, final bool) error {
	was, err := syncstate.Of(at.Meta)
	if err != nil {
		return err
	}
	if err := made.Over(at.Meta); err != nil {
		return err
	}
	c, err := w.change(ctx, at, made)
	if err != nil {
		return err
	}
	now := syncstate.State{
		Sync: w.target.SyncID, Fence: w.target.Fence, Mode: w.target.Mode, Final: final, Cursor: cursor, Moved: w.target.Moved,
		Generation: max(1, was.Generation), JSON: w.json,
		Records: w.landed.Records + c.other, Bytes: w.landed.Bytes, Files: w.landed.Files + len(c.add),
		Origin: w.origin(was), Key: w.distinctBy(was, c), Deleted: w.landed.Deleted + c.deleted,
	}
	w.place(&now)
	if now.Border, err = w.edge(cursor, was); err != nil {
		return err
	}
	if final {
		w.noteBeyond(now.Border)
	} else {
		now.Overlap = w.overlap
	}
	now.AsOf = w.moment(rowsIn(c.add))
	if c.replaces && was.SnapshotID != 0 {
		now.Generation = was.Generation + 1
	}
	if !c.replaces {
		now.Total = was.Total
	}
	for _, f := range c.add {
		now.Records += f.Count()
		now.Total += f.Count()
		now.Bytes += f.FileSizeBytes()
	}
	now.Total -= c.doomed.Count()
	if was.Total > 0 && now.Total == 0 && w.replace {
		w.note(fmt.Sprintf("the table has no row now: what had landed was removed, %s", driver.Count(was.Total, "row")))
	}
	if len(w.target.Key) == 0 && !w.target.merges() { // what is removed are copies of what had landed
		now.Records -= c.doomed.Count()
	}
	now.Notes = w.told
	updates, err := w.updates(ctx, at, made, c, now)
	if err != nil {
		return err
	}
	retired, err := retain.Retire(at.Meta, made, w.lake.now())
	if err != nil {
		return err
	}
	updates = append(updates, retired...)
	next, err := w.lake.catalog.Commit(ctx, at, made, updates, func(p *kvcatalog.Pointer) {
		p.Fence = w.target.Fence
		p.Unswept = !final || w.unswept || len(c.dropped) > 0
		p.Staged = nil
	})
	if err != nil {
		return err
	}
	w.base, w.cursor, w.replace, w.follow.noted = next, cursor, false, now.Position
	w.settled(made.Recorder)
	w.discard(c.dropped)
	w.again, w.reached = border.Kept{}, nil
	w.stage.set(nil, 0, nil)
	w.landed.Records, w.landed.Bytes, w.landed.Files = now.Records, now.Bytes, now.Files
	w.landed.Total, w.landed.Deleted, w.landed.AsOf = now.Total, now.Deleted, now.AsOf
	if s := next.Meta.CurrentSnapshot(); (final || w.target.Mode == Changes) && s.Summary != nil {
		w.landed.Upkeep = upkeep.FilesDue(s) && !w.lake.now().Before(next.Pointer.UpkeepAfter)
	}
	w.landed.SnapshotID, w.landed.Cursor = next.Meta.CurrentSnapshot().SnapshotID, cursor
	return nil
}

// updates are the changes of one commit: the schema, where it changed, and one
// snapshot.
func (w *Writer) updates(ctx context.Context, at kvcatalog.Loaded, made *manifest.Draft, c change, now syncstate.State) ([]table.Update, error) {
	var updates []table.Update
	if !tableschema.Same(at.Meta.CurrentSchema(), w.schema) {
		updates = append(updates,
			table.NewAddSchemaUpdate(iceberg.NewSchema(0, w.schema.Fields()...)),
			table.NewSetCurrentSchemaUpdate(-1))
		meta, err := table.UpdateTableMetadata(at.Meta, updates, at.Pointer.Location)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadTable, err)
		}
		at.Meta = meta
	}
	props, err := now.Properties()
	if err != nil {
		return nil, err
	}
	txn := w.lake.catalog.Open(at, made).NewTransaction()
	if err := w.snapshot(ctx, txn, made, c, props); err != nil {
		return nil, storage.Wrap("write the snapshot", err)
	}
	commit, err := txn.TableCommit()
	if err != nil {
		return nil, err
	}
	for _, u := range commit.Updates {
		// AddFiles brings a mapping of names to ids, for files without ids.
		if u.Action() != table.UpdateSetProperties {
			updates = append(updates, u)
		}
	}
	return updates, nil
}

// change is what a commit does to the rows of a table.
type change struct {
	old, deletes []iceberg.DataFile // what it replaces
	add          []iceberg.DataFile
	doomed       datafiles.Positions // rows that it removes from files that stay or are added
	dropped      []string            // names of parts that hold no new row
	deleted      int64               // rows that were added marked as deleted
	other        int64               // changes that add no row
	replaces     bool                // no row of those before stays
}

// change finds out what a commit to the table as it was loaded does.
func (w *Writer) change(ctx context.Context, at kvcatalog.Loaded, made *manifest.Draft) (c change, err error) {
	if w.target.Mode == Changes {
		return w.changeBy(ctx, at, made)
	}
	c.add, c.replaces = w.pending(), w.replace
	was, err := syncstate.Of(at.Meta)
	if err != nil {
		return c, err
	}
	versions := w.mayHoldVersions(was)
	if !w.replace && !w.rereads() || len(c.add) == 0 && !w.replace && !versions {
		return c, nil
	}
	live, deletes, err := manifest.DataFiles(made, at.Meta.CurrentSnapshot())
	if err != nil {
		return c, err
	}
	if w.replace {
		c.old, c.deletes = live, deletes
		live, deletes = nil, nil
	}
	if !w.merging(live) {
		return c, nil
	}
	if len(w.target.Key) == 0 {
		gone, err := datafiles.GoneRowsAhead(ctx, w.lake.files, deletes)
		if err == nil {
			c.add, c.doomed, c.dropped, err = w.unrepeated(ctx, live, gone)
		}
		return c, err
	}
	c.doomed, c.deleted, err = w.doomedRows(ctx, incomingOf(w.pending()), live, deletes, versions && !w.replace)
	return c, err
}

// snapshot adds a change to a transaction. A snapshot without rows still says
// how far the sync is. Rows that are replaced while some of their successors go
// away at once take two snapshots, of which readers see the second.
func (w *Writer) snapshot(ctx context.Context, txn *table.Transaction, made *manifest.Draft, c change, props iceberg.Properties) error {
	add := c.add
	if len(c.old) > 0 {
		if err := txn.ReplaceFiles(ctx, c.old, add, c.deletes, props, table.WithoutAutoNameMapping()); err != nil || len(c.doomed) == 0 {
			return err
		}
		add = nil
	}
	if len(c.doomed) > 0 {
		deletes, err := datafiles.WriteDeletes(ctx, made, w.NextName, c.doomed, w.lake.log)
		if err != nil {
			return err
		}
		w.lake.catalog.At("deletes")
		return txn.NewRowDelta(props).AddRows(add...).AddDeletes(deletes).Commit(ctx)
	}
	if len(add) > 0 {
		return txn.AddDataFiles(ctx, add, props, table.WithoutAutoNameMapping(), table.WithoutDuplicateCheck())
	}
	return txn.AddFiles(ctx, nil, props, true)
}
