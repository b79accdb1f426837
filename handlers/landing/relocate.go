package landing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
)

// Relocated says what Relocate did.
type Relocated struct {
	Tables  int // that lie in the lake now
	Already int // that lay there before
	Copied  int // files that were brought from where they were
}

// Relocate makes every table of the catalog lie in this lake, and the lake its
// own. Iceberg's files name each other in full, so what names others is written
// anew: metadata, manifest lists, manifests and position deletes. Files of rows
// are used where they lie below the lake's root, as after a move of the folder;
// those that are not there are copied from where the catalog says they are. The
// files at the former place are left as they are.
//
// A table moves in one step, so Relocate may be stopped and called again. What
// a sync had staged is given up. Nothing else may use the catalog meanwhile.
// from opens the former lake where that needs options, such as a bucket's
// endpoint; "" means that its location will do, with the options of this lake where
// both are buckets. It returns a
// *ForeignLakeError when a table's files are in neither place, ErrStorage, or
// the store's error; tables before that one have moved.
func (l *Lake) Relocate(ctx context.Context, home, from string) (done Relocated, err error) {
	idents, err := l.catalog.identifiers(ctx, "table.", nil)
	if err != nil {
		return done, err
	}
	r := &relocation{lake: l, sources: map[string]store{}, done: &done}
	defer func() { err = errors.Join(err, r.close()) }()
	if from != "" {
		files, root, err := openStore(ctx, from, options{})
		if err != nil {
			return done, err
		}
		r.sources[root] = files
	}
	for _, ident := range idents {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		if err := r.table(ctx, ident); err != nil {
			return done, fmt.Errorf("table %s: %w", strings.Join(ident, "."), err)
		}
	}
	return done, l.adopt(ctx, home)
}

// adopt ties the catalog and the lake to each other, whatever they were before.
// The instance is a new one: whoever else has the former one stops.
func (l *Lake) adopt(ctx context.Context, home string) error {
	mine := ownership{Instance: uuid.NewString(), Root: l.root, Home: home}
	value, err := json.Marshal(mine)
	if err != nil {
		return err
	}
	if err := remove(l.files, l.root+"/"+markerName); err != nil {
		return err
	}
	if err := l.mark(mine); err != nil {
		return err
	}
	if err := l.catalog.kv.Erase(ctx, ownerKey); err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	if _, err := l.catalog.kv.Create(ctx, ownerKey, value, 0); err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	return l.check(ctx, mine)
}

// relocation moves tables one after another.
type relocation struct {
	lake    *Lake
	sources map[string]store // former lakes by their roots
	done    *Relocated
}

func (r *relocation) close() error {
	var errs []error
	for _, files := range r.sources {
		if c, ok := files.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// source returns the files of a former lake.
func (r *relocation) source(ctx context.Context, root string) (store, error) {
	if files, ok := r.sources[root]; ok {
		return files, nil
	}
	if strings.HasPrefix(root, "file:") {
		return disk{}, nil // which makes no folder
	}
	query := url.Values{}
	if strings.HasPrefix(root, "s3:") {
		for option, value := range r.lake.bucket {
			query.Set(option, value)
		}
	}
	files, _, err := openStore(ctx, strings.TrimSuffix(root+"?"+query.Encode(), "?"), options{})
	if err != nil {
		return nil, err
	}
	r.sources[root] = files
	return files, nil
}

// table moves one table.
func (r *relocation) table(ctx context.Context, ident table.Identifier) error {
	p, revision, err := r.lake.catalog.pointerOf(ctx, ident)
	if err != nil {
		return err
	}
	if below(p.Location, r.lake.root) {
		r.done.Already++
		return nil
	}
	root, ok := rootOf(p.folder(), ident)
	if !ok {
		return storage("find the former lake", fmt.Errorf("%s is no folder of the table", p.folder()))
	}
	files, err := r.source(ctx, root)
	if err != nil {
		return err
	}
	m := &moving{relocation: r, ctx: ctx, former: files, from: root, to: r.lake.root, manifests: map[string]iceberg.ManifestFile{}, deletes: map[string]iceberg.DataFile{}}
	if err := m.bring(p.Location); err != nil {
		return err
	}
	meta, err := r.lake.catalog.read(m.moved(p.Location))
	if err != nil {
		return err
	}
	next, err := m.metadata(meta)
	if err != nil {
		return err
	}
	if p.Location, err = r.lake.catalog.write(r.lake.files, next, p.Location); err != nil {
		return err
	}
	p.Staged, p.Unswept = nil, true
	if _, err := r.lake.catalog.swap(ctx, ident, p, revision); err != nil {
		return err
	}
	r.done.Tables++
	return nil
}

// rootOf returns the lake that a table's folder is in.
func rootOf(folder string, ident table.Identifier) (string, bool) {
	for _, place := range []string{folders(ident), formerFolders(ident)} {
		if root, ok := strings.CutSuffix(folder, "/"+place); ok {
			return root, true
		}
	}
	return "", false
}

// moving is one table on its way.
type moving struct {
	*relocation
	ctx       context.Context // of the call that moves it
	former    store
	from, to  string
	meta      table.Metadata
	manifests map[string]iceberg.ManifestFile // that are written anew, by their former names
	deletes   map[string]iceberg.DataFile
	lost      error // a file that is in neither place
}

func (m *moving) moved(name string) string {
	if rest, ok := strings.CutPrefix(name, m.from+"/"); ok {
		return m.to + "/" + rest
	}
	return name
}

// bring makes sure that a file is in the lake.
func (m *moving) bring(name string) error {
	there := m.moved(name)
	if f, err := m.lake.files.Open(there); err == nil {
		return f.Close()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return storage("look for "+there, err)
	}
	in, err := m.former.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		m.lost = &ForeignLakeError{fmt.Sprintf("the file %s is neither there nor at %s", name, there), "bring it back to one of the two"}
		return m.lost
	}
	if err != nil {
		return storage("open "+name, err)
	}
	defer in.Close()
	out, err := m.lake.files.Create(there)
	if err != nil {
		return storage("copy a file to the lake", err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return storage("copy a file to the lake", errors.Join(err, remove(m.lake.files, there)))
	}
	m.done.Copied++
	return m.ctx.Err()
}

// metadata returns the metadata of the table in its new place. Snapshots whose
// files are gone, but for the current one, are left out.
func (m *moving) metadata(meta table.Metadata) (table.Metadata, error) {
	m.meta = meta
	raw, err := json.Marshal(meta)
	if err != nil {
		return nil, err
	}
	var doc map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		return nil, err
	}
	lists := map[int64]string{}
	for _, s := range meta.Snapshots() {
		list, err := m.list(s)
		current := meta.CurrentSnapshot() != nil && meta.CurrentSnapshot().SnapshotID == s.SnapshotID
		if err != nil && (current || m.lost == nil) {
			return nil, err
		}
		m.lost = nil
		if err == nil {
			lists[s.SnapshotID] = list
		}
	}
	doc["location"] = m.moved(meta.Location())
	delete(doc, "metadata-log")
	delete(doc, "statistics")
	delete(doc, "partition-statistics")
	var kept []any
	all, _ := doc["snapshots"].([]any)
	for i, s := range meta.Snapshots() {
		if list, ok := lists[s.SnapshotID]; ok && i < len(all) {
			entry, _ := all[i].(map[string]any)
			entry["manifest-list"] = list
			kept = append(kept, entry)
		}
	}
	if doc["snapshots"] != nil {
		doc["snapshots"] = append([]any{}, kept...)
	}
	m.forget(doc, lists)
	if raw, err = json.Marshal(doc); err != nil {
		return nil, err
	}
	return table.ParseMetadataBytes(raw)
}

// forget takes snapshots that are left out from the log and the references.
func (m *moving) forget(doc map[string]any, kept map[int64]string) {
	has := func(entry any) bool {
		e, _ := entry.(map[string]any)
		n, _ := e["snapshot-id"].(json.Number)
		id, err := n.Int64()
		_, ok := kept[id]
		return err == nil && ok
	}
	var log []any
	entries, _ := doc["snapshot-log"].([]any)
	for _, entry := range entries {
		if has(entry) {
			log = append(log, entry)
		}
	}
	if entries != nil {
		doc["snapshot-log"] = append([]any{}, log...)
	}
	refs, _ := doc["refs"].(map[string]any)
	for name, ref := range refs {
		if !has(ref) {
			delete(refs, name)
		}
	}
}

// fresh names a metadata file of the table in its new place.
func (m *moving) fresh(former string) string {
	return m.moved(m.meta.Location()) + "/metadata/" + uuid.NewString() + path.Ext(former)
}

// list writes the manifest list of a snapshot anew, with all that it names.
func (m *moving) list(s table.Snapshot) (string, error) {
	if err := m.bring(s.ManifestList); err != nil {
		return "", err
	}
	in, err := m.lake.files.Open(m.moved(s.ManifestList))
	if err != nil {
		return "", storage("read a manifest list", err)
	}
	former, err := iceberg.ReadManifestList(in)
	if err = errors.Join(err, in.Close()); err != nil {
		return "", storage("read a manifest list", err)
	}
	manifests := make([]iceberg.ManifestFile, 0, len(former))
	for _, f := range former {
		made, err := m.manifest(f)
		if err != nil {
			return "", err
		}
		if made != nil {
			manifests = append(manifests, made)
		}
	}
	var content bytes.Buffer
	if err := iceberg.WriteManifestList(2, &content, s.SnapshotID, s.ParentSnapshotID, &s.SequenceNumber, 0, manifests); err != nil {
		return "", storage("write a manifest list", err)
	}
	name := m.fresh(s.ManifestList)
	return name, storage("write a manifest list", m.lake.files.WriteFile(name, content.Bytes()))
}

// manifest writes a manifest anew, once for all lists that name it. It returns nil
// for one that only says which files went away, as each full refresh leaves one.
func (m *moving) manifest(f iceberg.ManifestFile) (iceberg.ManifestFile, error) {
	if made, ok := m.manifests[f.FilePath()]; ok {
		return made, nil
	}
	if err := m.bring(f.FilePath()); err != nil {
		return nil, err
	}
	in, err := m.lake.files.Open(m.moved(f.FilePath()))
	if err != nil {
		return nil, storage("read a manifest", err)
	}
	entries, err := iceberg.ReadManifest(f, in, true)
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, storage("read a manifest", err)
	}
	if len(entries) == 0 {
		m.manifests[f.FilePath()] = nil
		return nil, nil
	}
	var content bytes.Buffer
	spec := m.meta.PartitionSpec()
	w, err := iceberg.NewManifestWriter(2, &content, spec, m.meta.CurrentSchema(), f.SnapshotID(), iceberg.WithManifestWriterContent(f.ManifestContent()))
	if err != nil {
		return nil, storage("write a manifest", err)
	}
	var files, rows int64
	for _, entry := range entries {
		data, err := m.dataFile(entry.DataFile())
		if err != nil {
			return nil, err
		}
		id, seq := entry.SnapshotID(), entry.SequenceNum()
		fileSeq := entry.FileSequenceNum()
		if fileSeq == nil {
			fileSeq = &seq
		}
		if err := w.Existing(iceberg.NewManifestEntry(iceberg.EntryStatusEXISTING, &id, &seq, fileSeq, data)); err != nil {
			return nil, storage("write a manifest", err)
		}
		files, rows = files+1, rows+data.Count()
	}
	if err := w.Close(); err != nil {
		return nil, storage("write a manifest", err)
	}
	name := m.fresh(f.FilePath())
	if err := m.lake.files.WriteFile(name, content.Bytes()); err != nil {
		return nil, storage("write a manifest", err)
	}
	made := iceberg.NewManifestFile(2, name, int64(content.Len()), f.PartitionSpecID(), f.SnapshotID()).
		SequenceNum(f.SequenceNum(), f.MinSequenceNum()).Content(f.ManifestContent()).
		ExistingFiles(int32(files)).ExistingRows(rows).Partitions(f.Partitions()).Build()
	m.manifests[f.FilePath()] = made
	return made, nil
}

// dataFile returns what a manifest says of a file, in its new place.
func (m *moving) dataFile(f iceberg.DataFile) (iceberg.DataFile, error) {
	switch {
	case f.ContentType() == iceberg.EntryContentPosDeletes && f.FileFormat() == iceberg.ParquetFile:
		return m.positionDeletes(f)
	case f.ContentType() != iceberg.EntryContentData && f.FileFormat() != iceberg.ParquetFile:
		return nil, storage("move deletes", fmt.Errorf("%s has deletes in a form of another program: rewrite the table's data there first", f.FilePath()))
	}
	if err := m.bring(f.FilePath()); err != nil {
		return nil, err
	}
	b, err := iceberg.NewDataFileBuilder(m.meta.PartitionSpec(), f.ContentType(), m.moved(f.FilePath()), f.FileFormat(), f.Partition(), nil, nil, f.Count(), f.FileSizeBytes())
	if err != nil {
		return nil, storage("describe a file", err)
	}
	b.ColumnSizes(f.ColumnSizes()).ValueCounts(f.ValueCounts()).NullValueCounts(f.NullValueCounts()).
		LowerBoundValues(f.LowerBoundValues()).UpperBoundValues(f.UpperBoundValues())
	if counts := f.NaNValueCounts(); len(counts) > 0 {
		b.NaNValueCounts(counts)
	}
	if key := f.KeyMetadata(); key != nil {
		b.KeyMetadata(key)
	}
	if splits := f.SplitOffsets(); splits != nil {
		b.SplitOffsets(splits)
	}
	if ids := f.EqualityFieldIDs(); ids != nil {
		b.EqualityFieldIDs(ids)
	}
	if id := f.SortOrderID(); id != nil {
		b.SortOrderID(*id)
	}
	return b.Build(), nil
}

// positionDeletes writes a file of position deletes anew, once: it names the
// files of the rows.
func (m *moving) positionDeletes(f iceberg.DataFile) (iceberg.DataFile, error) {
	if made, ok := m.deletes[f.FilePath()]; ok {
		return made, nil
	}
	if err := m.bring(f.FilePath()); err != nil {
		return nil, err
	}
	there := m.moved(f.FilePath())
	gone, err := m.lake.goneRowsIn(m.ctx, there)
	if err != nil {
		return nil, err
	}
	moved := positions{}
	for name, rows := range gone {
		moved[m.moved(name)] = rows
	}
	made, err := m.lake.writeDeletes(m.ctx, m.lake.files, func() string {
		return strings.TrimSuffix(there, path.Ext(there)) + "-" + uuid.NewString()[:8] + path.Ext(there)
	}, moved)
	if err != nil {
		return nil, err
	}
	m.deletes[f.FilePath()] = made
	return made, nil
}
