package manifest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"headwater/handlers/landing/storage"
)

// Manifests that a commit makes become one with those that name up to fewFiles.
// Larger ones wait until the smaller ones name half as many, so that a file is named anew a
// few times, however many there are, and no merge makes one of more than
// fullManifest.
const (
	fewFiles     = 16
	fullManifest = 4 << 20
)

// Over prepares a draft for a commit to a table: manifests of the current
// snapshot that hold no file any more are not in its list as the commit reads it.
func (d *Draft) Over(meta table.Metadata) error {
	s := meta.CurrentSnapshot()
	if s == nil || meta.Version() != 2 {
		return nil
	}
	manifests, err := s.Manifests(d)
	if err != nil {
		return storage.Wrap("read a manifest list", err)
	}
	live := slices.DeleteFunc(slices.Clone(manifests), func(m iceberg.ManifestFile) bool { return !m.HasAddedFiles() && !m.HasExistingFiles() })
	if len(live) == len(manifests) {
		return nil
	}
	content, err := listOf(s, live)
	if err == nil {
		d.read[s.ManifestList] = content
	}
	return err
}

func listOf(s *table.Snapshot, manifests []iceberg.ManifestFile) ([]byte, error) {
	var out bytes.Buffer
	err := iceberg.WriteManifestList(2, &out, s.SnapshotID, s.ParentSnapshotID, &s.SequenceNumber, 0, manifests)
	return out.Bytes(), err
}

// Settle merges the manifests of the snapshot that a commit has drafted, and
// drafts its list anew. meta is the table as the commit makes it.
func (d *Draft) Settle(meta table.Metadata) error {
	s := meta.CurrentSnapshot()
	if s == nil || meta.Version() != 2 {
		return nil
	}
	list, ok := d.drafted[s.ManifestList]
	if !ok {
		return nil
	}
	manifests, err := iceberg.ReadManifestList(bytes.NewReader(list))
	if err != nil {
		return err
	}
	next := slices.Clone(manifests)
	for _, few := range mergeable(manifests, s.SnapshotID) {
		made, err := d.merge(meta, few)
		if err != nil {
			return err
		}
		next = slices.DeleteFunc(next, func(m iceberg.ManifestFile) bool { return slices.Contains(few, m) })
		if made != nil {
			next = append(next, made)
		}
		for _, m := range few {
			if m.SnapshotID() == s.SnapshotID { // those of an earlier snapshot are in its list, too
				delete(d.drafted, m.FilePath())
			}
		}
	}
	if len(next) == len(manifests) {
		return nil
	}
	content, err := listOf(s, next)
	if err == nil {
		d.put(s.ManifestList, content)
	}
	return err
}

// mergeable returns which manifests of a snapshot are to become one, those of
// each kind and partitioning by themselves, and those by themselves that only say
// that many files were removed: the next commit drops these. What the snapshot itself
// brings is written in any case.
func mergeable(manifests []iceberg.ManifestFile, snapshot int64) (groups [][]iceberg.ManifestFile) {
	type kind struct {
		content iceberg.ManifestContent
		spec    int32
		gone    bool
	}
	alike := map[kind][]iceberg.ManifestFile{}
	for _, m := range manifests {
		k := kind{m.ManifestContent(), m.PartitionSpecID(), !m.HasAddedFiles() && !m.HasExistingFiles() && entriesIn(m) > fewFiles}
		alike[k] = append(alike[k], m)
	}
	for _, group := range alike {
		weight := func(m iceberg.ManifestFile) int {
			if m.SnapshotID() == snapshot {
				return 0
			}
			return entriesIn(m)
		}
		slices.SortStableFunc(group, func(a, b iceberg.ManifestFile) int { return cmp.Compare(weight(a), weight(b)) })
		taken, entries, size := 0, 0, int64(0)
		for _, m := range group {
			if taken > 0 && (weight(m) > max(fewFiles, 2*entries) || size+m.Length() > fullManifest) {
				break
			}
			taken, entries, size = taken+1, entries+entriesIn(m), size+m.Length()
		}
		if taken > 1 {
			groups = append(groups, group[:taken])
		}
	}
	return groups
}

func entriesIn(m iceberg.ManifestFile) int {
	return int(m.AddedDataFiles()) + int(m.ExistingDataFiles()) + int(m.DeletedDataFiles())
}

// merge drafts one manifest of the entries of some, nil where none of them is
// left: files that an earlier snapshot has removed are named no more. A file
// keeps its sequence number, by which deletes count for it, and the snapshot that
// added it.
func (d *Draft) merge(meta table.Metadata, manifests []iceberg.ManifestFile) (iceberg.ManifestFile, error) {
	read, err := Entries(d, manifests, false)
	if err != nil {
		return nil, err
	}
	s := meta.CurrentSnapshot()
	entries := slices.DeleteFunc(slices.Concat(read...), func(e iceberg.ManifestEntry) bool {
		return e.Status() == iceberg.EntryStatusDELETED && e.SnapshotID() != s.SnapshotID
	})
	if len(entries) == 0 {
		return nil, nil
	}
	spec := meta.PartitionSpec()
	for _, one := range meta.PartitionSpecs() {
		if one.ID() == int(manifests[0].PartitionSpecID()) {
			spec = one
		}
	}
	var out bytes.Buffer
	w, err := iceberg.NewManifestWriter(2, &out, spec, meta.CurrentSchema(), s.SnapshotID, iceberg.WithManifestWriterContent(manifests[0].ManifestContent()))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		switch {
		case e.SnapshotID() != s.SnapshotID:
			err = w.Existing(e)
		case e.Status() == iceberg.EntryStatusADDED:
			err = w.Add(e)
		case e.Status() == iceberg.EntryStatusDELETED:
			err = w.Delete(e)
		default:
			err = w.Existing(e)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	folder := s.ManifestList[:strings.LastIndex(s.ManifestList, "/")]
	name := fmt.Sprintf("%s/%s-m0.avro", folder, uuid.New())
	d.put(name, out.Bytes())
	return w.ToManifestFile(name, int64(out.Len()))
}

// Entries reads the entries of manifests, side by side; live leaves out those of
// files that were removed. It returns parts.ErrStorage.
func Entries(files iceio.IO, manifests []iceberg.ManifestFile, live bool) ([][]iceberg.ManifestEntry, error) {
	entries := make([][]iceberg.ManifestEntry, len(manifests))
	var g errgroup.Group
	g.SetLimit(Together)
	for i, m := range manifests {
		g.Go(func() error {
			for e, err := range m.Entries(files, live) {
				if err != nil {
					return err
				}
				entries[i] = append(entries[i], e)
			}
			return nil
		})
	}
	return entries, storage.Wrap("read a manifest", g.Wait())
}

// DataFiles returns the files of a snapshot, none of nil: those of rows, and
// those that delete rows.
func DataFiles(files iceio.IO, s *table.Snapshot) (rows, deletes []iceberg.DataFile, err error) {
	if s == nil {
		return nil, nil, nil
	}
	manifests, err := s.Manifests(files)
	if err != nil {
		return nil, nil, storage.Wrap("read a manifest list", err)
	}
	read, err := Entries(files, manifests, true)
	if err != nil {
		return nil, nil, err
	}
	for _, entries := range read {
		for _, entry := range entries {
			if f := entry.DataFile(); f.ContentType() == iceberg.EntryContentData {
				rows = append(rows, f)
			} else {
				deletes = append(deletes, f)
			}
		}
	}
	return rows, deletes, nil
}
