package landing

import (
	"context"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"golang.org/x/sync/errgroup"

	"headwater/handlers/landing/bucket"
)

// metadataGrace is how old a metadata file must be to be swept: longer than any
// commit that has written its files and not yet swapped the pointer can take.
const metadataGrace = time.Hour

// expirable returns the snapshots that a commit now should forget: those that
// another replaced longer ago than the retention, unless a tag or branch names
// them. The newest is never among them.
func expirable(meta table.Metadata, now time.Time) []int64 {
	keep := map[int64]bool{}
	for _, ref := range meta.Refs() {
		keep[ref.SnapshotID] = true
	}
	// Snapshots are in the order in which they were added.
	var expired []int64
	snapshots := meta.Snapshots()
	for i := range len(snapshots) - 1 {
		replaced := time.UnixMilli(snapshots[i+1].TimestampMs)
		if !keep[snapshots[i].SnapshotID] && now.Sub(replaced) > retention {
			expired = append(expired, snapshots[i].SnapshotID)
		}
	}
	return expired
}

// tidy sweeps, and logs what keeps it from it: a sync does not fail for files
// that only take room. It reports whether it swept all.
func (l *Lake) tidy(ctx context.Context, ident table.Identifier) bool {
	removed, err := l.sweep(ctx, ident)
	if err != nil {
		l.log.Warn("files that no snapshot refers to could not be removed", "table", strings.Join(ident, "."), "error", err)
		return false
	}
	if removed > 0 {
		l.log.Debug("removed files that no snapshot refers to", "table", strings.Join(ident, "."), "files", removed)
	}
	return true
}

// sweep removes the files of a table that nothing refers to and nothing can
// refer to any more: parts of fences below the current one, and metadata older
// than its grace. It lists before it loads: a file listed and then not referred
// to is either garbage or in the hands of a writer with the current fence.
func (l *Lake) sweep(ctx context.Context, ident table.Identifier) (removed int, err error) {
	if err := l.Owned(ctx); err != nil {
		return 0, err
	}
	p, _, err := l.catalog.pointerOf(ctx, ident)
	if err != nil {
		return 0, err
	}
	found, err := list(l.files, p.folder())
	if err != nil {
		return 0, err
	}
	at, err := l.catalog.load(ctx, ident)
	if err != nil {
		return 0, err
	}
	garbage, err := l.garbage(at, found)
	if err != nil {
		return 0, err
	}
	if b, ok := l.files.(*bucket.Bucket); ok {
		err := b.AbortUploads(p.folder(), func(base string) bool {
			fence, isPart := fenceOf(base)
			return isPart && fence < at.pointer.Fence
		})
		if err != nil {
			return 0, storage("end uploads of former attempts", err)
		}
	}
	return len(garbage), remove(l.files, garbage...)
}

// garbage returns the names of those listed files that nothing needs. What the
// current snapshot says is mostly all that is to be read for it.
func (l *Lake) garbage(at loaded, found []listed) ([]string, error) {
	live, err := l.named(at)
	if err != nil {
		return nil, err
	}
	snapshots := at.meta.Snapshots()
	var current []table.Snapshot
	if s := at.meta.CurrentSnapshot(); s != nil {
		current = append(current, *s)
	}
	for _, some := range [][]table.Snapshot{nil, current, snapshots} {
		if err := l.holdings(some, live); err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(found, func(f listed) bool {
			fence, isPart := fenceOf(f.base)
			old := isPart && fence < at.pointer.Fence || !isPart && isMetadata(f.base) && l.now().Sub(f.modified) > metadataGrace
			return !old || live[f.base]
		})
		if len(found) == 0 {
			return nil, nil
		}
	}
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = f.name
	}
	return names, nil
}

// referred returns the base names of every file that the table needs. Base
// names are unique in a table, and do not depend on how a path is spelled.
func (l *Lake) referred(at loaded) (map[string]bool, error) {
	live, err := l.named(at)
	if err != nil {
		return nil, err
	}
	return live, l.holdings(at.meta.Snapshots(), live)
}

// named returns what is referred to without a look at any manifest.
func (l *Lake) named(at loaded) (map[string]bool, error) {
	live := map[string]bool{path.Base(at.pointer.Location): true}
	for entry := range at.meta.PreviousFiles() {
		live[path.Base(entry.MetadataFile)] = true
	}
	for s := range at.meta.Statistics() {
		live[path.Base(s.StatisticsPath)] = true
	}
	for s := range at.meta.PartitionStatistics() {
		live[path.Base(s.StatisticsPath)] = true
	}
	staged, segments, err := l.readStaged(at.pointer.Staged)
	if err != nil {
		return nil, err
	}
	for _, name := range append(segments, partNames(staged)...) {
		live[path.Base(name)] = true
	}
	for _, snapshot := range at.meta.Snapshots() {
		live[path.Base(snapshot.ManifestList)] = true
	}
	return live, nil
}

// holdings adds what snapshots hold, reading manifests that live does not have
// yet, side by side.
func (l *Lake) holdings(snapshots []table.Snapshot, live map[string]bool) error {
	lists := make([][]iceberg.ManifestFile, len(snapshots))
	var g errgroup.Group
	g.SetLimit(together)
	for i, s := range snapshots {
		g.Go(func() (err error) {
			lists[i], err = s.Manifests(l.files)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return storage("read a manifest list", err)
	}
	var unread []iceberg.ManifestFile
	for _, m := range slices.Concat(lists...) {
		if base := path.Base(m.FilePath()); !live[base] {
			live[base] = true
			unread = append(unread, m)
		}
	}
	// Not all of them are in memory at a time.
	for some := range slices.Chunk(unread, together) {
		read, err := entriesOf(l.files, some, true)
		if err != nil {
			return err
		}
		for _, entry := range slices.Concat(read...) {
			live[path.Base(entry.DataFile().FilePath())] = true
		}
	}
	return nil
}

// fenceOf reads the fence from the name of a part, or of a list of staged ones.
func fenceOf(base string) (uint64, bool) {
	digits, _, ok := strings.Cut(base, "-")
	if !ok || len(digits) != 20 || !strings.HasSuffix(base, ".parquet") && !strings.HasSuffix(base, stagedSuffix) {
		return 0, false
	}
	fence, err := strconv.ParseUint(digits, 10, 64)
	return fence, err == nil
}

func isMetadata(base string) bool {
	return strings.HasSuffix(base, ".avro") || strings.HasSuffix(base, ".metadata.json")
}
