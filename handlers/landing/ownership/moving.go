package ownership

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"headwater/handlers/landing/datafiles"
	"headwater/handlers/landing/storage"
)

// moving is one table that is being moved.
type moving struct {
	*relocation
	ctx       context.Context // of the call that moves it
	former    storage.Store
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
	if f, err := m.owner.files().Open(there); err == nil {
		return f.Close()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return storage.Wrap("look for "+there, err)
	}
	in, err := m.former.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		m.lost = &ForeignLakeError{fmt.Sprintf("the file %s is neither there nor at %s", name, there), "bring it back to one of the two"}
		return m.lost
	}
	if err != nil {
		return storage.Wrap("open "+name, err)
	}
	defer in.Close()
	out, err := m.owner.files().Create(there)
	if err != nil {
		return storage.Wrap("copy a file to the lake", err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return storage.Wrap("copy a file to the lake", errors.Join(err, storage.Remove(m.owner.files(), there)))
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
	in, err := m.owner.files().Open(m.moved(s.ManifestList))
	if err != nil {
		return "", storage.Wrap("read a manifest list", err)
	}
	former, err := iceberg.ReadManifestList(in)
	if err = errors.Join(err, in.Close()); err != nil {
		return "", storage.Wrap("read a manifest list", err)
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
		return "", storage.Wrap("write a manifest list", err)
	}
	name := m.fresh(s.ManifestList)
	return name, storage.Wrap("write a manifest list", m.owner.files().WriteFile(name, content.Bytes()))
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
	in, err := m.owner.files().Open(m.moved(f.FilePath()))
	if err != nil {
		return nil, storage.Wrap("read a manifest", err)
	}
	entries, err := iceberg.ReadManifest(f, in, true)
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, storage.Wrap("read a manifest", err)
	}
	if len(entries) == 0 {
		m.manifests[f.FilePath()] = nil
		return nil, nil
	}
	var content bytes.Buffer
	spec := m.meta.PartitionSpec()
	w, err := iceberg.NewManifestWriter(2, &content, spec, m.meta.CurrentSchema(), f.SnapshotID(), iceberg.WithManifestWriterContent(f.ManifestContent()))
	if err != nil {
		return nil, storage.Wrap("write a manifest", err)
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
			return nil, storage.Wrap("write a manifest", err)
		}
		files, rows = files+1, rows+data.Count()
	}
	if err := w.Close(); err != nil {
		return nil, storage.Wrap("write a manifest", err)
	}
	name := m.fresh(f.FilePath())
	if err := m.owner.files().WriteFile(name, content.Bytes()); err != nil {
		return nil, storage.Wrap("write a manifest", err)
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
		return nil, storage.Wrap("move deletes", fmt.Errorf("%s has deletes in a form of another program: rewrite the table's data there first", f.FilePath()))
	}
	if err := m.bring(f.FilePath()); err != nil {
		return nil, err
	}
	b, err := iceberg.NewDataFileBuilder(m.meta.PartitionSpec(), f.ContentType(), m.moved(f.FilePath()), f.FileFormat(), f.Partition(), nil, nil, f.Count(), f.FileSizeBytes())
	if err != nil {
		return nil, storage.Wrap("describe a file", err)
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
	gone, err := datafiles.GoneRowsIn(m.ctx, m.owner.files(), there)
	if err != nil {
		return nil, err
	}
	moved := datafiles.Positions{}
	for name, rows := range gone {
		moved[m.moved(name)] = rows
	}
	made, err := datafiles.WriteDeletes(m.ctx, m.owner.files(), func() string {
		return strings.TrimSuffix(there, path.Ext(there)) + "-" + uuid.NewString()[:8] + path.Ext(there)
	}, moved, m.owner.log)
	if err != nil {
		return nil, err
	}
	m.deletes[f.FilePath()] = made
	return made, nil
}
