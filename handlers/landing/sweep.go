package landing

import (
	"context"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"headwater/bus/kv"
	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/manifest"
	"headwater/handlers/landing/retain"
	"headwater/handlers/landing/storage"
)

// due reports whether a table that is written all the time is to be swept.
func (l *Lake) due(p kvcatalog.Pointer) bool { return l.now().Sub(p.Swept) >= retain.Every }

// retire returns the updates by which a commit keeps the metadata small: it takes
// snapshots from the list, and notes whose files are needed for a while.
func (l *Lake) retire(at kvcatalog.Loaded, made storage.Store) ([]table.Update, error) {
	var updates []table.Update
	if logged := strconv.Itoa(retain.Logged); at.Meta.Properties()[table.MetadataPreviousVersionsMaxKey] != logged {
		updates = append(updates, table.NewSetPropertiesUpdate(iceberg.Properties{table.MetadataPreviousVersionsMaxKey: logged}))
	}
	expired := retain.Expired(at.Meta, l.now())
	if len(expired) == 0 {
		return updates, nil
	}
	record, err := retain.RecordOf(expired, l.now())
	if err == nil && record != nil {
		err = made.WriteFile(at.Meta.Location()+"/metadata/"+uuid.NewString()+retain.RecordSuffix, record)
	}
	if err != nil {
		return nil, storage.Wrap("note what a commit replaces", err)
	}
	gone := make([]int64, len(expired))
	for i, s := range expired {
		gone[i] = s.SnapshotID
	}
	return append(updates, table.NewRemoveSnapshotsUpdate(gone, false)), nil
}

// tidy sweeps, and logs what keeps it from it: a sync does not fail for files
// that only take room. It returns the table as the sweep left its key, and
// whether it swept all. fence is that of the writer that is done, 0 for none; writer one
// that goes on, nil for none.
func (l *Lake) tidy(ctx context.Context, ident table.Identifier, fence uint64, writer *beside) (kvcatalog.Loaded, bool) {
	at, removed, err := l.sweep(ctx, ident, fence, writer)
	if errors.Is(err, kv.ErrConflict) {
		return at, false // somebody else commits: the next sweep finds the same and more
	}
	if err != nil {
		l.log.Warn("files that no snapshot refers to could not be removed", "table", strings.Join(ident, "."), "error", err)
		return at, false
	}
	if removed > 0 {
		l.log.Debug("removed files that no snapshot refers to", "table", strings.Join(ident, "."), "files", removed)
	}
	return at, true
}

// beside is a writer that goes on while its table is swept: what it has not made part
// of the table stays.
type beside struct {
	fence uint64
	names map[string]bool // base names
}

// beside returns what a sweep beside the writer leaves alone.
func (w *Writer) beside() *beside {
	b := &beside{fence: w.target.Fence, names: map[string]bool{}}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range w.names {
		b.names[path.Base(name)] = true
	}
	return b
}

// has reports whether a part is one that the writer may still make part of the table.
func (b *beside) has(p part, base string) bool {
	return b == nil || p.epoch > 0 || p.fence != b.fence || b.names[base]
}

// sweep removes the files of a table that nothing refers to and nothing can
// refer to any more: parts of fences below the current one, and what was replaced
// longer ago than the grace. It lists before it loads, and then changes the key,
// so that a commit conflicts whose files were listed and are not referred to yet,
// however long its worker stood still. That is a kv.ErrConflict here where such a
// commit comes first. It returns how many files it removed.
func (l *Lake) sweep(ctx context.Context, ident table.Identifier, fence uint64, writer *beside) (at kvcatalog.Loaded, removed int, err error) {
	if err := l.Owned(ctx); err != nil {
		return at, 0, err
	}
	p, _, err := l.catalog.Pointer(ctx, ident)
	if err != nil {
		return at, 0, err
	}
	found, err := storage.List(l.files, p.Folder())
	if err != nil {
		return at, 0, err
	}
	if at, err = l.catalog.Load(ctx, ident); err != nil {
		return at, 0, err
	}
	garbage, err := l.garbage(at, found, writer)
	if err != nil {
		return at, 0, err
	}
	for _, f := range garbage {
		if p, ok := partOf(path.Base(f)); ok && p.epoch == at.Pointer.Upkeep && p.epoch > 0 {
			at.Pointer.Upkeep++ // a maintenance that stands still for so long is over
			break
		}
	}
	at.Pointer.Swept = l.now()
	if at.Pointer.Fence == fence {
		at.Pointer.Unswept = false
	}
	if at.Revision, err = l.catalog.Swap(ctx, ident, at.Pointer, at.Revision); err != nil {
		return at, 0, err
	}
	l.catalog.At("swept")
	if b, ok := l.files.(*bucket.Bucket); ok {
		err := b.AbortUploads(p.Folder(), func(base string) bool {
			p, isPart := partOf(base)
			return isPart && p.past(at.Pointer)
		})
		if err != nil {
			return at, 0, storage.Wrap("end uploads of former attempts", err)
		}
	}
	return at, len(garbage), storage.Remove(l.files, garbage...)
}

// garbage returns the names of those listed files that nothing needs. What the
// current snapshot says is mostly all that is to be read for it.
func (l *Lake) garbage(at kvcatalog.Loaded, found []storage.Found, writer *beside) ([]string, error) {
	live, err := l.named(at)
	if err != nil {
		return nil, err
	}
	before := l.now().Add(-retain.Grace)
	former := formerOf(found, before)
	for _, f := range former.inForce {
		live[f.Base] = true
	}
	doomed := slices.DeleteFunc(slices.Clone(found), func(f storage.Found) bool {
		old := !f.Modified.After(before)
		if p, isPart := partOf(f.Base); isPart {
			return !p.past(at.Pointer) && !(old && (p.ended(at.Pointer) || !writer.has(p, f.Base)))
		}
		return !isMetadata(f.Base) || !old
	})
	steps := []func() error{
		func() error { return nil },
		func() error {
			if s := at.Meta.CurrentSnapshot(); s != nil {
				return l.holdings([]table.Snapshot{*s}, live)
			}
			return nil
		},
		func() error { return l.holdings(at.Meta.Snapshots(), live) },
		func() error { return l.formerly(former, live) },
	}
	for _, look := range steps {
		if err := look(); err != nil {
			return nil, err
		}
		doomed = slices.DeleteFunc(doomed, func(f storage.Found) bool { return live[f.Base] })
		if len(doomed) == 0 {
			return nil, nil
		}
	}
	names := make([]string, len(doomed))
	for i, f := range doomed {
		names[i] = f.Name
	}
	return names, nil
}

// referred returns the base names of every file that the table needs. Base
// names are unique in a table, and do not depend on how a path is spelled.
func (l *Lake) referred(at kvcatalog.Loaded) (map[string]bool, error) {
	live, err := l.named(at)
	if err != nil {
		return nil, err
	}
	if err := l.holdings(at.Meta.Snapshots(), live); err != nil {
		return nil, err
	}
	found, err := storage.List(l.files, at.Pointer.Folder())
	if err != nil {
		return nil, err
	}
	return live, l.formerly(formerOf(found, l.now().Add(-retain.Grace)), live)
}

// named returns what is referred to without a look at any manifest.
func (l *Lake) named(at kvcatalog.Loaded) (map[string]bool, error) {
	live := map[string]bool{path.Base(at.Pointer.Location): true}
	for entry := range at.Meta.PreviousFiles() {
		live[path.Base(entry.MetadataFile)] = true
	}
	for s := range at.Meta.Statistics() {
		live[path.Base(s.StatisticsPath)] = true
	}
	for s := range at.Meta.PartitionStatistics() {
		live[path.Base(s.StatisticsPath)] = true
	}
	staged, segments, err := l.readStaged(at.Pointer.Staged)
	if err != nil {
		return nil, err
	}
	for _, name := range append(segments, partNames(staged)...) {
		live[path.Base(name)] = true
	}
	for _, snapshot := range at.Meta.Snapshots() {
		live[path.Base(snapshot.ManifestList)] = true
	}
	return live, nil
}

// holdings adds what snapshots hold, reading manifests that live does not have
// yet, side by side.
func (l *Lake) holdings(snapshots []table.Snapshot, live map[string]bool) error {
	lists := make([][]iceberg.ManifestFile, len(snapshots))
	var g errgroup.Group
	g.SetLimit(manifest.Together)
	for i, s := range snapshots {
		g.Go(func() (err error) {
			lists[i], err = s.Manifests(l.files)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return storage.Wrap("read a manifest list", err)
	}
	var unread []iceberg.ManifestFile
	for _, m := range slices.Concat(lists...) {
		if base := path.Base(m.FilePath()); !live[base] {
			live[base] = true
			unread = append(unread, m)
		}
	}
	// Not all of them are in memory at a time.
	for some := range slices.Chunk(unread, manifest.Together) {
		read, err := manifest.Entries(l.files, some, true)
		if err != nil {
			return err
		}
		for _, entry := range slices.Concat(read...) {
			live[path.Base(entry.DataFile().FilePath())] = true
		}
	}
	return nil
}

// upkeepMark is what the number of the maintenance that made a part follows, in
// its name.
const upkeepMark = ".u"

// part is what the name of a part says, or that of a list of staged ones.
type part struct {
	fence uint64
	epoch uint64 // of the maintenance that made it, else 0
}

func partOf(base string) (p part, ok bool) {
	digits, _, ok := strings.Cut(base, "-")
	if !ok || len(digits) != 20 || !strings.HasSuffix(base, ".parquet") && !strings.HasSuffix(base, stagedSuffix) {
		return p, false
	}
	var err error
	if p.fence, err = strconv.ParseUint(digits, 10, 64); err != nil {
		return p, false
	}
	if at := strings.LastIndex(base, upkeepMark); at >= 0 {
		number, _, _ := strings.Cut(base[at+len(upkeepMark):], "-")
		p.epoch, err = strconv.ParseUint(number, 10, 64)
	}
	return p, err == nil
}

// ended reports whether whoever made a part has come to an end, or stands still:
// the sweep that removes the part sees to it that he commits nothing any more.
func (p part) ended(key kvcatalog.Pointer) bool {
	if p.epoch > 0 {
		return p.epoch == key.Upkeep
	}
	return p.fence == key.Fence && !key.Unswept
}

// past reports whether whoever made a part cannot commit it any more.
func (p part) past(key kvcatalog.Pointer) bool {
	if p.epoch > 0 {
		return p.epoch < key.Upkeep
	}
	return p.fence < key.Fence
}

func isMetadata(base string) bool {
	return strings.HasSuffix(base, ".avro") || strings.HasSuffix(base, kvcatalog.MetadataSuffix) || strings.HasSuffix(base, retain.RecordSuffix)
}
