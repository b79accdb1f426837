package sweep

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/retain"
	"headwater/handlers/landing/storage"
)

// former is what tells which files of snapshots that are listed no more are
// needed by those who read them.
type former struct {
	// inForce are the metadata files of which one was the table when the grace
	// began. Every list and manifest that is older than that and was replaced later
	// is named by it.
	inForce []storage.Found
	records []storage.Found
	known   map[string]string // the folder's files by their base names
	now     time.Time
}

// formerOf finds them among the files of a table. Of metadata files that are
// older than the grace the one with the largest version was the table then, or,
// where its commit failed, the one before.
func formerOf(found []storage.Found, before time.Time) former {
	f := former{known: make(map[string]string, len(found)), now: before.Add(retain.Grace)}
	newest := -1
	for _, one := range found {
		f.known[one.Base] = one.Name
		if strings.HasSuffix(one.Base, retain.RecordSuffix) {
			f.records = append(f.records, one)
		} else if !one.Modified.After(before) {
			newest = max(newest, kvcatalog.MetadataVersion(one.Base))
		}
	}
	for _, one := range found {
		if v := kvcatalog.MetadataVersion(one.Base); v >= 0 && v >= newest-1 && !one.Modified.After(before) {
			f.inForce = append(f.inForce, one)
		}
	}
	return f
}

// formerly adds to live what readers of former snapshots need. What somebody has
// removed by hand is passed over.
func (s *Sweeper) formerly(f former, live map[string]bool) error {
	var lists []iceberg.ManifestFile
	for _, one := range f.inForce {
		live[one.Base] = true
		content, err := storage.ReadFile(s.files(), one.Name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return storage.Wrap("read the table's former metadata", err)
		}
		meta, err := table.ParseMetadataBytes(content)
		if err != nil || meta.CurrentSnapshot() == nil {
			continue // nobody can read it, or it has no row
		}
		now := meta.CurrentSnapshot()
		if _, there := f.known[path.Base(now.ManifestList)]; !there {
			continue
		}
		manifests, err := now.Manifests(s.files())
		if err != nil {
			return storage.Wrap("read a former manifest list", err)
		}
		live[path.Base(now.ManifestList)] = true
		lists = append(lists, manifests...)
	}
	var recorded []table.Snapshot
	for _, one := range f.records {
		content, err := storage.ReadFile(s.files(), one.Name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return storage.Wrap("read what was replaced", err)
		}
		for _, base := range retain.Needed(content, f.now) {
			if name, there := f.known[base]; there {
				live[base] = true
				recorded = append(recorded, table.Snapshot{ManifestList: name})
			}
		}
	}
	if err := s.holdings(recorded, live); err != nil {
		return err
	}
	for _, m := range lists { // whose files are those of the current snapshot, or recorded
		live[path.Base(m.FilePath())] = true
	}
	return nil
}
