package landing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"headwater/bus/kv"
	"headwater/connectors/driver"
	"headwater/handlers/landing/datafiles"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/retain"
	"headwater/handlers/landing/storage"
	"headwater/handlers/landing/syncstate"
	"headwater/handlers/landing/tableschema"
)

// Begin takes the table over for one attempt of a sync: it raises the table's
// fence, so that no earlier attempt can commit any more, removes the files that earlier
// attempts left behind, and finds out where to go on. A table that does not exist is
// created, empty. Begin returns ErrFenced if a later attempt has begun already,
// ErrSchemaChanged if an incremental sync cannot append to the table,
// driver.ErrReplaced if the target is to stop at a table that was replaced,
// ErrBadTable, ErrBadKey, ErrNoCursor, ErrStorage, the error of Claimed, or the store's.
// The caller ends the Writer.
func (l *Lake) Begin(ctx context.Context, t Target) (*Writer, error) {
	columns := t.Table.Columns
	if err := t.validate(); err != nil {
		return nil, err
	}
	t = t.extended()
	if err := tableschema.Check(t.Table); err != nil {
		return nil, err
	}
	if err := l.Claimed(ctx); err != nil {
		return nil, err
	}
	l = l.within(ctx)
	w := &Writer{lake: l, target: t, columns: columns, ident: kvcatalog.IdentifierOf(t.Address, t.Table.Namespace, t.Table.Name), nonce: newNonce()}
	unswept, err := w.takeOver(ctx)
	if err != nil {
		return nil, w.wrap(err)
	}
	if unswept {
		at, swept := l.sweeper().Tidy(ctx, w.ident, 0, nil)
		if w.unswept = !swept; swept && at.Pointer.Location == w.base.Pointer.Location {
			w.base = at
		}
	}
	if err := w.resume(); err != nil {
		return nil, w.wrap(err)
	}
	if t.Mode == Changes {
		return w, nil // what a load has staged is the load's
	}
	if err := w.resumeStaged(ctx); err != nil {
		return nil, w.wrap(err)
	}
	return w, nil
}

// takeOver raises the fence and leaves the table in w.base. It reports whether
// files of earlier attempts may lie about.
func (w *Writer) takeOver(ctx context.Context) (unswept bool, err error) {
	for range kvcatalog.Tries {
		found, err := w.lake.catalog.Load(ctx, w.ident)
		if errors.Is(err, catalog.ErrNoSuchTable) {
			w.base, err = w.create(ctx)
			if errors.Is(err, catalog.ErrTableAlreadyExists) {
				continue
			}
			return false, err
		}
		if errors.Is(err, fs.ErrNotExist) && (w.target.Mode == FullRefresh || w.target.Reset) {
			if err = w.startAnew(ctx, err); errors.Is(err, kv.ErrConflict) {
				continue
			}
			return true, err
		}
		if err != nil {
			return false, err
		}
		if found.Pointer.Fence > w.target.Fence {
			return false, ErrFenced
		}
		unswept = found.Pointer.Unswept
		if s := found.Pointer.Staged; s != nil && s.Sync != w.target.SyncID {
			// That sync was given up, and what it staged with it.
			found.Pointer.Staged, unswept = nil, true
		}
		found.Pointer.Fence, found.Pointer.Unswept = w.target.Fence, true
		found.Revision, err = w.lake.catalog.Swap(ctx, w.ident, found.Pointer, found.Revision)
		if errors.Is(err, kv.ErrConflict) {
			continue
		}
		w.base = found
		return unswept, err
	}
	return false, fmt.Errorf("%w again and again", kv.ErrConflict)
}

func (w *Writer) create(ctx context.Context) (kvcatalog.Loaded, error) {
	c := w.lake.catalog
	err := c.CreateNamespace(ctx, catalog.NamespaceFromIdent(w.ident), nil)
	if err != nil && !errors.Is(err, catalog.ErrNamespaceAlreadyExists) {
		return kvcatalog.Loaded{}, err
	}
	p := kvcatalog.Pointer{Fence: w.target.Fence, Unswept: true, Swept: w.lake.now(), Name: w.target.Table.String()}
	return c.Create(ctx, w.ident, p, tableschema.Fresh(w.target.Table), w.config())
}

func (w *Writer) config() catalog.CreateTableCfg {
	cfg := catalog.NewCreateTableCfg()
	cfg.Properties = iceberg.Properties{
		table.PropertyFormatVersion:               "2",
		table.ParquetCompressionKey:               "zstd",
		table.MetadataPreviousVersionsMaxKey:      strconv.Itoa(retain.Logged),
		table.MetadataDeleteAfterCommitEnabledKey: "true",
		"headwater.table":                         w.target.Table.String(),
	}
	return cfg
}

// startAnew puts an empty table in the place of one whose metadata somebody has
// removed: the sync at hand replaces everything anyhow. missing is what says so;
// it is returned where a listing shows the file all the same.
func (w *Writer) startAnew(ctx context.Context, missing error) error {
	c := w.lake.catalog
	p, revision, err := c.Pointer(ctx, w.ident)
	if err != nil {
		return err
	}
	if p.Fence > w.target.Fence {
		return ErrFenced
	}
	found, err := storage.List(w.lake.files, p.Folder()+"/metadata")
	if err != nil {
		return err
	}
	if slices.ContainsFunc(found, func(f storage.Found) bool { return f.Base == path.Base(p.Location) }) {
		return missing
	}
	cfg := w.config()
	meta, err := table.NewMetadata(tableschema.Fresh(w.target.Table), cfg.PartitionSpec, cfg.SortOrder, p.Folder(), cfg.Properties)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadTable, err)
	}
	next := kvcatalog.Pointer{UUID: meta.TableUUID().String(), Fence: w.target.Fence, Unswept: true, Name: w.target.Table.String()}
	if next.Location, err = c.WriteMetadata(c.Files, meta, p.Location); err != nil {
		return err
	}
	if revision, err = c.Swap(ctx, w.ident, next, revision); err != nil {
		return err
	}
	w.base = kvcatalog.Loaded{Ident: w.ident, Pointer: next, Revision: revision, Meta: meta}
	w.note("the table's metadata was removed from the lake by somebody else: the table was started over")
	return nil
}

// resume decides where the writer goes on and how its rows are laid out.
func (w *Writer) resume() error {
	s, err := syncstate.Of(w.base.Meta)
	if err != nil {
		return err
	}
	w.began, w.folder, w.props = s, w.base.Meta.Location(), w.base.Meta.Properties()
	w.landed = Committed{Location: w.base.Meta.Location(), Cursor: s.Cursor, Total: s.Total}
	if s.Sync == w.target.SyncID {
		w.landed.Records, w.landed.Bytes, w.landed.Files, w.landed.SnapshotID = s.Records, s.Bytes, s.Files, s.SnapshotID
		w.landed.Deleted, w.landed.AsOf = s.Deleted, s.AsOf
		w.notes = s.Notes
	}
	if _, finished := w.Finished(); finished {
		w.cursor, w.follow.noted = s.Cursor, s.Position
		return nil
	}
	if w.target.Mode == Changes {
		if err := w.resumeFollowing(s); err != nil {
			return err
		}
		return w.layOut(s)
	}
	w.cursor = driver.Cursor{Column: w.target.CursorColumn}
	if w.target.Mode == FullRefresh || w.target.Reset {
		w.replace, w.restarted = true, w.target.Replaced
	} else if w.replace, err = w.startOver(s); err != nil {
		return err
	} else if !w.replace {
		if err := errors.Join(w.startBehind(s), w.edgeAt(s)); err != nil {
			return err
		}
	}
	w.noteLacking()
	current, last := w.base.Meta.CurrentSchema(), w.base.Meta.LastColumnID()
	w.compare(current)
	if w.replace {
		w.schema = tableschema.Replaced(current, last, w.target.Table)
	} else {
		w.target.Table = tableschema.AsLanded(w.target.Table, w.target.Key, w.target.CursorColumn, current, s.JSON)
		if w.schema, err = tableschema.Evolved(current, last, s.JSON, w.target.Table); err != nil {
			return err
		}
	}
	return w.layOut(s)
}

// layOut says how the target's columns are encoded, by the writer's schema.
func (w *Writer) layOut(s syncstate.State) (err error) {
	w.json = tableschema.JSONFields(w.schema, w.target.Table, s.JSON)
	columns := make([]string, len(w.target.Table.Columns))
	for i, c := range w.target.Table.Columns {
		columns[i] = c.Name
	}
	w.layout, err = datafiles.LayoutOf(w.schema, columns)
	return err
}

// startBehind decides where an incremental sync goes on in a table that is at s.
func (w *Writer) startBehind(s syncstate.State) error {
	known := s.Cursor.Column == w.target.CursorColumn && s.Cursor.Value != nil
	if known {
		w.cursor, w.overlap = s.Cursor, s.Overlap
	}
	var start *driver.Cursor
	switch {
	case known && s.Sync == w.target.SyncID: // an attempt before this one has started
	case w.target.From != nil:
		start = w.target.From
	case known && w.target.Back != nil:
		back := w.target.Back(s.Cursor)
		start = &back
	case !known:
		// There is no place to go on from. Whatever the table holds would be
		// read again, so it has to be replaced, not appended to.
		if w.replace = s.Total > 0; w.replace && s.Cursor.Value != nil {
			w.note(fmt.Sprintf("the cursor is column %q now and was %q: the whole table was read again, and what had landed was replaced", w.target.CursorColumn, s.Cursor.Column))
		}
	}
	if start != nil {
		reached := w.cursor
		if w.overlap != nil {
			var err error
			if reached, err = w.further(reached, *w.overlap); err != nil {
				return err
			}
		}
		w.cursor, w.overlap = *start, &reached
	}
	return nil
}

// further returns that of two cursors of the target's column which is behind the
// other.
func (w *Writer) further(a, b driver.Cursor) (driver.Cursor, error) {
	if a.Value == nil || a.Column != w.target.CursorColumn {
		return b, nil
	}
	if b.Value == nil || b.Column != w.target.CursorColumn {
		return a, nil
	}
	column, _ := w.target.Table.Column(w.target.CursorColumn)
	order, err := driver.CompareCursors(column.Type, *a.Value, *b.Value)
	if err != nil {
		return a, fmt.Errorf("%w: %w", ErrNoCursor, err)
	}
	if order < 0 {
		return b, nil
	}
	return a, nil
}
