// Package sweep removes the files of a table that nothing needs and nothing can need
// any more: what readers of former snapshots, a sync or a maintenance may still open
// stays. It knows keys, snapshots and names of files, and reads no row.
package sweep

import (
	"context"
	"errors"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"golang.org/x/sync/errgroup"

	"headwater/bus/kv"
	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/manifest"
	"headwater/handlers/landing/retain"
	"headwater/handlers/landing/staged"
	"headwater/handlers/landing/storage"
)

// Sweeper removes files of the tables of a catalog. It is safe for concurrent use.
type Sweeper struct {
	catalog *kvcatalog.Catalog
	owner   Owner
	log     *slog.Logger
	now     func() time.Time
}

// Owner knows whether the lake is still this instance's own.
type Owner interface {
	// Owned returns an error if it is not, or if that cannot be known.
	Owned(ctx context.Context) error
}

// New returns a sweeper of the tables of a catalog, which asks owner before each sweep.
func New(catalog *kvcatalog.Catalog, owner Owner, log *slog.Logger, now func() time.Time) *Sweeper {
	return &Sweeper{catalog, owner, log, now}
}

// files are those of the catalog's tables.
func (s *Sweeper) files() storage.Store { return s.catalog.Files }

// Due reports whether a table that is written all the time is to be swept.
func (s *Sweeper) Due(p kvcatalog.Pointer) bool { return s.now().Sub(p.Swept) >= retain.Every }

// Tidy is Sweep for a sync, which does not fail for files that only take room: an
// error is logged. It returns the table as the sweep left its key, and whether
// everything was removed.
func (s *Sweeper) Tidy(ctx context.Context, ident table.Identifier, fence uint64, writer *Beside) (kvcatalog.Loaded, bool) {
	at, removed, err := s.Sweep(ctx, ident, fence, writer)
	if errors.Is(err, kv.ErrConflict) {
		return at, false // somebody else commits: the next sweep finds the same and more
	}
	if err != nil {
		s.log.Warn("files that no snapshot refers to could not be removed", "table", strings.Join(ident, "."), "error", err)
		return at, false
	}
	if removed > 0 {
		s.log.Debug("removed files that no snapshot refers to", "table", strings.Join(ident, "."), "files", removed)
	}
	return at, true
}

// Beside is a writer that goes on while its table is swept: files that it has made
// and not yet committed stay.
type Beside struct {
	Fence uint64
	Names map[string]bool // base names of those files
}

// has reports whether a part is one that the writer may still make part of the table.
func (b *Beside) has(p part, base string) bool {
	return b == nil || p.epoch > 0 || p.fence != b.Fence || b.Names[base]
}

// Sweep removes the files of a table that nothing refers to and nothing can refer to
// any more: parts of fences below the current one, and what was replaced longer ago
// than retain.Grace. fence is that of the writer that is done, 0 for none; writer is
// one that goes on, nil for none. It returns the table as it left its key, and how
// many files it removed.
//
// It lists before it loads, and then changes the key. So a commit conflicts if its
// files were listed and are not referred to yet, however long its worker stood still.
// If such a commit comes first, Sweep returns kv.ErrConflict, and nothing was removed.
// Other errors are the owner's, the catalog's, or parts.ErrStorage.
func (s *Sweeper) Sweep(ctx context.Context, ident table.Identifier, fence uint64, writer *Beside) (at kvcatalog.Loaded, removed int, err error) {
	if err := s.owner.Owned(ctx); err != nil {
		return at, 0, err
	}
	p, _, err := s.catalog.Pointer(ctx, ident)
	if err != nil {
		return at, 0, err
	}
	found, err := storage.List(s.files(), p.Folder())
	if err != nil {
		return at, 0, err
	}
	if at, err = s.catalog.Load(ctx, ident); err != nil {
		return at, 0, err
	}
	garbage, err := s.garbage(at, found, writer)
	if err != nil {
		return at, 0, err
	}
	for _, f := range garbage {
		if p, ok := partOf(path.Base(f)); ok && p.epoch == at.Pointer.Upkeep && p.epoch > 0 {
			at.Pointer.Upkeep++ // a maintenance that stands still for so long is over
			break
		}
	}
	at.Pointer.Swept = s.now()
	if at.Pointer.Fence == fence {
		at.Pointer.Unswept = false
	}
	if at.Revision, err = s.catalog.Swap(ctx, ident, at.Pointer, at.Revision); err != nil {
		return at, 0, err
	}
	s.catalog.At("swept")
	if b, ok := s.files().(*bucket.Bucket); ok {
		err := b.AbortUploads(p.Folder(), func(base string) bool {
			p, isPart := partOf(base)
			return isPart && p.past(at.Pointer)
		})
		if err != nil {
			return at, 0, storage.Wrap("end uploads of former attempts", err)
		}
	}
	return at, len(garbage), storage.Remove(s.files(), garbage...)
}

// garbage returns the names of those listed files that nothing needs. What the
// current snapshot says is mostly all that is to be read for it.
func (s *Sweeper) garbage(at kvcatalog.Loaded, found []storage.Found, writer *Beside) ([]string, error) {
	live, err := s.named(at)
	if err != nil {
		return nil, err
	}
	before := s.now().Add(-retain.Grace)
	former := formerOf(found, before)
	for _, f := range former.inForce {
		live[f.Base] = true
	}
	doomed := slices.DeleteFunc(slices.Clone(found), func(f storage.Found) bool {
		old := !f.Modified.After(before)
		if p, isPart := partOf(f.Base); isPart {
			return !p.past(at.Pointer) && !(old && (p.ended(at.Pointer) || !writer.has(p, f.Base)))
		}
		return !IsMetadata(f.Base) || !old
	})
	steps := []func() error{
		func() error { return nil },
		func() error {
			if now := at.Meta.CurrentSnapshot(); now != nil {
				return s.holdings([]table.Snapshot{*now}, live)
			}
			return nil
		},
		func() error { return s.holdings(at.Meta.Snapshots(), live) },
		func() error { return s.formerly(former, live) },
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

// Needed returns the base names of all files that a table needs now. Base names are
// unique in a table, and do not depend on how a path is spelled. It returns
// parts.ErrStorage if the lake cannot be read.
func (s *Sweeper) Needed(at kvcatalog.Loaded) (map[string]bool, error) {
	live, err := s.named(at)
	if err != nil {
		return nil, err
	}
	if err := s.holdings(at.Meta.Snapshots(), live); err != nil {
		return nil, err
	}
	found, err := storage.List(s.files(), at.Pointer.Folder())
	if err != nil {
		return nil, err
	}
	return live, s.formerly(formerOf(found, s.now().Add(-retain.Grace)), live)
}

// named returns what is referred to without a look at any manifest.
func (s *Sweeper) named(at kvcatalog.Loaded) (map[string]bool, error) {
	live := map[string]bool{path.Base(at.Pointer.Location): true}
	for entry := range at.Meta.PreviousFiles() {
		live[path.Base(entry.MetadataFile)] = true
	}
	for f := range at.Meta.Statistics() {
		live[path.Base(f.StatisticsPath)] = true
	}
	for f := range at.Meta.PartitionStatistics() {
		live[path.Base(f.StatisticsPath)] = true
	}
	segments, names, err := staged.Read(s.files(), at.Pointer.Staged)
	if err != nil {
		return nil, err
	}
	for _, name := range append(names, staged.PartNames(segments)...) {
		live[path.Base(name)] = true
	}
	for _, snapshot := range at.Meta.Snapshots() {
		live[path.Base(snapshot.ManifestList)] = true
	}
	return live, nil
}

// holdings adds what snapshots hold, reading manifests that live does not have
// yet, side by side.
func (s *Sweeper) holdings(snapshots []table.Snapshot, live map[string]bool) error {
	lists := make([][]iceberg.ManifestFile, len(snapshots))
	var g errgroup.Group
	g.SetLimit(manifest.Together)
	for i, snapshot := range snapshots {
		g.Go(func() (err error) {
			lists[i], err = snapshot.Manifests(s.files())
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
		read, err := manifest.Entries(s.files(), some, true)
		if err != nil {
			return err
		}
		for _, entry := range slices.Concat(read...) {
			live[path.Base(entry.DataFile().FilePath())] = true
		}
	}
	return nil
}

// UpkeepMark stands before the number of the maintenance that made a part, in the
// part's name.
const UpkeepMark = ".u"

// part is what the name of a part says, or that of a segment of staged ones.
type part struct {
	fence uint64
	epoch uint64 // of the maintenance that made it, else 0
}

// IsPart reports whether a base name is that of a part, or of a segment of staged ones.
func IsPart(base string) bool {
	_, ok := partOf(base)
	return ok
}

func partOf(base string) (p part, ok bool) {
	digits, _, ok := strings.Cut(base, "-")
	if !ok || len(digits) != 20 || !strings.HasSuffix(base, ".parquet") && !strings.HasSuffix(base, staged.Suffix) {
		return p, false
	}
	var err error
	if p.fence, err = strconv.ParseUint(digits, 10, 64); err != nil {
		return p, false
	}
	if at := strings.LastIndex(base, UpkeepMark); at >= 0 {
		number, _, _ := strings.Cut(base[at+len(UpkeepMark):], "-")
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

// IsMetadata reports whether a base name is that of a file of metadata.
func IsMetadata(base string) bool {
	return strings.HasSuffix(base, ".avro") || strings.HasSuffix(base, kvcatalog.MetadataSuffix) || strings.HasSuffix(base, retain.RecordSuffix)
}
