// Package upkeep keeps a table quick to read without anybody asking: small files are
// joined, and rows that are deleted go away. A rule decides by what a snapshot says;
// the rows stay the same, and so does all that the next sync goes on from.
package upkeep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headwater/bus/kv"
	"headwater/handlers/landing/datafiles"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/manifest"
	"headwater/handlers/landing/retain"
	"headwater/handlers/landing/storage"
	"headwater/handlers/landing/sweep"
	"headwater/handlers/landing/syncstate"
)

const (
	// Every is how often a table is maintained at most, if nobody asks for it.
	Every = 2 * time.Minute
	// mostBytes is how much one maintenance writes anew at most, but for one file.
	mostBytes = 4 << 30
	// Patience is how long a maintenance waits for a sync of its table to end.
	Patience = 20 * time.Second
)

// Maintainer maintains the tables of a catalog. It is safe for concurrent use.
type Maintainer struct {
	catalog  *kvcatalog.Catalog
	sweeper  *sweep.Sweeper
	idle     *Idle
	log      *slog.Logger
	now      func() time.Time
	patience time.Duration
}

// New returns a maintainer of the tables of a catalog. patience is how long it waits
// for a sync of a table; tables in which there is nothing to do are noted in idle.
func New(catalog *kvcatalog.Catalog, sweeper *sweep.Sweeper, idle *Idle, log *slog.Logger, now func() time.Time, patience time.Duration) *Maintainer {
	return &Maintainer{catalog, sweeper, idle, log, now, patience}
}

// files are those of the catalog's tables.
func (m *Maintainer) files() storage.Store { return m.catalog.Files }

// Maintained says what a maintenance of a table did.
type Maintained struct {
	SnapshotID      int64 // of the table as it is now, 0 where it has none
	Rows            int64 // that readers see, before and after
	FilesBefore     int   // of rows
	FilesAfter      int
	DeletesBefore   int // files of position deletes
	DeletesAfter    int
	BytesBefore     int64 // of all of them
	BytesAfter      int64
	Folded          int64  // deleted rows that are in no file any more
	Expired         int    // snapshots that are listed no more
	Removed         int    // files that nothing needed
	Why             string // it was due, in words, "" if it was not
	Left            string // why it did not do all that there was to do, "" if it did
	snapshotsBefore int
}

// Did reports whether the table is another than before.
func (m Maintained) Did() bool {
	return m.FilesBefore != m.FilesAfter || m.DeletesBefore != m.DeletesAfter || m.BytesBefore != m.BytesAfter || m.Expired > 0 || m.Removed > 0
}

// errYielded ends a maintenance because somebody else committed first.
var errYielded = errors.New("another one came first")

// maintenance is that of one table.
type maintenance struct {
	*Maintainer
	ident   table.Identifier
	rule    Rule
	asked   bool
	epoch   uint64
	made    int    // files so far
	written int64  // bytes
	hurried bool   // a sync came before its last commit
	waited  uint64 // for a sync of that fence, and one more
	at      kvcatalog.Loaded
	done    Maintained
}

// Maintain makes a table quick to read, and small: it joins small files, removes
// deleted rows from them, lists no snapshot for longer than retain.Grace and removes
// the files that nothing needs. Its rows stay the same, and so does all that a sync
// goes on from. Whoever has begun to read can read to the end. A sync of the table
// goes first: what could not be done because of one is in Left. Unless it is asked
// for, a maintenance does what pays, once in two minutes; asked, it does all there is
// to do. It may be called again at any time, also by several at once: the last one
// goes on. It returns catalog.ErrNoSuchTable, parts.ErrStorage or the catalog's error;
// the table is whole then.
func (m *Maintainer) Maintain(ctx context.Context, ident table.Identifier, asked bool) (Maintained, error) {
	one := &maintenance{Maintainer: m, ident: ident, rule: Asked, asked: asked}
	err := one.run(ctx)
	if errors.Is(err, errYielded) {
		one.done.Left, err = "a sync or another maintenance of the table came first", nil
	}
	return one.done, err
}

func (m *maintenance) run(ctx context.Context) error {
	due, err := m.begin(ctx)
	if err != nil || !due {
		return err
	}
	if err := m.rewriteAll(ctx); err != nil {
		if swept := m.sweep(ctx); !errors.Is(err, errYielded) {
			return errors.Join(err, swept)
		}
		return err
	}
	if err := m.expire(ctx); err != nil {
		return err
	}
	return m.sweep(ctx)
}

// begin takes the table's upkeep over from whoever had it, and tells how the table
// is. Nothing is due where it was maintained a moment ago.
func (m *maintenance) begin(ctx context.Context) (due bool, err error) {
	for range kvcatalog.Tries {
		at, err := m.quiet(ctx)
		if err != nil {
			return false, err
		}
		if m.at = at; !m.asked && m.now().Before(at.Pointer.UpkeepAfter) {
			m.done.Left = "it was maintained a moment ago"
			return false, m.tell(ctx, true)
		}
		at.Pointer.Upkeep++
		at.Pointer.UpkeepAfter = m.now().Add(Every)
		at.Revision, err = m.catalog.Swap(ctx, m.ident, at.Pointer, at.Revision)
		if errors.Is(err, kv.ErrConflict) {
			continue
		}
		m.at, m.epoch = at, at.Pointer.Upkeep
		return err == nil, errors.Join(err, m.tell(ctx, true))
	}
	return false, fmt.Errorf("%w again and again", kv.ErrConflict)
}

// quiet returns the table once no sync of it is under way. One that was killed
// looks as if it were: who asks does not wait for it for ever.
func (m *maintenance) quiet(ctx context.Context) (kvcatalog.Loaded, error) {
	for began := time.Now(); ; {
		at, err := m.catalog.Load(ctx, m.ident)
		if err != nil {
			return at, err
		}
		if m.epoch > 0 && at.Pointer.Upkeep != m.epoch {
			return at, errYielded
		}
		late := m.hurried || time.Since(began) >= m.patience
		if !at.Pointer.Unswept || goesOn(at) || !m.asked && !underWay(at, m.now()) || m.asked && (late || m.waited == at.Pointer.Fence+1) {
			m.waited = at.Pointer.Fence + 1
			return at, nil
		}
		if late {
			return at, errYielded
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return at, ctx.Err()
		}
	}
}

// goesOn reports whether changes are being applied to the table: their writer commits
// for hours, and looks again where somebody commits beside it.
func goesOn(at kvcatalog.Loaded) bool {
	s, err := syncstate.Of(at.Meta)
	return err == nil && s.Mode == syncstate.Changes && !s.Final && s.Fence == at.Pointer.Fence
}

// tell notes how the table is, before or after.
func (m *maintenance) tell(ctx context.Context, before bool) error {
	s := m.at.Meta.CurrentSnapshot()
	if s == nil {
		return nil
	}
	if s.Summary == nil {
		return fmt.Errorf("snapshot %d has no summary", s.SnapshotID)
	}
	t := TotalsOf(s.Summary.Properties)
	m.done.SnapshotID, m.done.FilesAfter, m.done.DeletesAfter, m.done.BytesAfter = s.SnapshotID, t.Files, t.Deletes, t.Size
	if before {
		m.done.FilesBefore, m.done.DeletesBefore, m.done.BytesBefore = t.Files, t.Deletes, t.Size
		m.done.snapshotsBefore = len(m.at.Meta.Snapshots())
	}
	var err error
	m.done.Rows, err = syncstate.TotalRecords(s)
	return err
}

// rewriteAll writes files anew until there is nothing left that pays.
func (m *maintenance) rewriteAll(ctx context.Context) error {
	s := m.at.Meta.CurrentSnapshot()
	if s == nil {
		return nil
	}
	if !m.asked {
		m.rule = RuleFor(s)
	}
	if !m.rule.Due(TotalsOf(s.Summary.Properties)) {
		return nil
	}
	for {
		now, err := m.look(ctx, m.at)
		if err != nil || now.foreign {
			return err
		}
		files := make([]File, len(now.files))
		for i, f := range now.files {
			files[i] = File{Name: f.FilePath(), Rows: f.Count(), Size: f.FileSizeBytes()}
			if set := now.gone[f.FilePath()]; set != nil {
				files[i].Gone = set.N
			}
		}
		groups := m.rule.Groups(files)
		why := m.rule.Why(files, len(now.deletes), groups)
		if m.done.Why == "" {
			m.done.Why = why
		}
		if why == "" {
			return nil
		}
		var group []File
		if len(groups) > 0 {
			group = groups[0]
		}
		if m.written > mostBytes {
			m.done.Left = "the rest is done by the next one"
			return nil
		}
		if err := m.replace(ctx, now, group); err != nil {
			return err
		}
		if err := m.tell(ctx, false); err != nil {
			return err
		}
	}
}

// expire takes snapshots from the list that were replaced before the grace, as
// they stay in it until the next commit.
func (m *maintenance) expire(ctx context.Context) error {
	at, err := m.quiet(ctx)
	if err != nil {
		return err
	}
	m.at = at
	var ids []int64
	for _, s := range retain.Expired(at.Meta, m.now()) {
		if m.now().Sub(s.At) > retain.Grace {
			ids = append(ids, s.SnapshotID)
		}
	}
	if len(ids) > 0 {
		made := manifest.New(m.files())
		next, err := m.catalog.Commit(ctx, at, made, []table.Update{table.NewRemoveSnapshotsUpdate(ids, false)}, func(*kvcatalog.Pointer) {})
		if errors.Is(err, kv.ErrConflict) {
			return errors.Join(errYielded, made.Undo())
		}
		if err != nil {
			return err
		}
		m.at = next
	}
	m.done.Expired = max(0, m.done.snapshotsBefore-len(m.at.Meta.Snapshots()))
	return m.tell(ctx, false)
}

func (m *maintenance) sweep(ctx context.Context) error {
	_, removed, err := m.sweeper.Sweep(ctx, m.ident, 0, nil)
	if errors.Is(err, kv.ErrConflict) {
		return nil // the sync that came first sweeps
	}
	m.done.Removed = removed
	return err
}

// holding is what a snapshot of a table holds.
type holding struct {
	files    []iceberg.DataFile // of rows, in the order in which they landed
	deletes  []iceberg.DataFile
	sequence map[string]int64 // data sequence numbers
	gone     datafiles.Positions
	foreign  bool // deletes of a kind that only other programs write
}

// look reads what the current snapshot holds.
func (m *maintenance) look(ctx context.Context, at kvcatalog.Loaded) (holding, error) {
	h := holding{sequence: map[string]int64{}}
	s := at.Meta.CurrentSnapshot()
	if s == nil {
		return h, nil
	}
	manifests, err := s.Manifests(m.files())
	if err != nil {
		return h, storage.Wrap("read a manifest list", err)
	}
	read, err := manifest.Entries(m.files(), manifests, true)
	if err != nil {
		return h, err
	}
	for _, e := range slices.Concat(read...) {
		f := e.DataFile()
		h.sequence[f.FilePath()] = e.SequenceNum()
		switch {
		case f.ContentType() == iceberg.EntryContentData:
			h.files = append(h.files, f)
		case f.ContentType() == iceberg.EntryContentPosDeletes && f.FileFormat() == iceberg.ParquetFile:
			h.deletes = append(h.deletes, f)
		default:
			h.foreign = true
		}
	}
	h.files = datafiles.InOrder(h.files)
	gone, err := datafiles.GoneRows(ctx, m.files(), h.deletes)
	if err != nil {
		return h, err
	}
	h.gone = datafiles.Positions{}
	rows, named := int64(0), int64(0)
	for _, f := range h.files {
		if rows += f.Count(); gone[f.FilePath()] != nil {
			h.gone[f.FilePath()] = gone[f.FilePath()]
		}
	}
	for _, f := range h.deletes {
		named += f.Count()
	}
	total, err := syncstate.TotalRecords(s)
	if err != nil {
		return h, err
	}
	if h.foreign || named != h.gone.Count() || total != rows-named || at.Meta.Version() != 2 || len(at.Meta.PartitionSpecs()) != 1 || !at.Meta.PartitionSpec().IsUnpartitioned() {
		h.foreign, m.done.Left = true, "another program has arranged the table in a way of its own"
	}
	return h, nil
}

// name names a file that a maintenance makes: after the last of those that it
// takes the place of, so that it is in their place in the order of the files.
func (m *maintenance) name(after string) string {
	stem := strings.TrimSuffix(path.Base(after), ".parquet")
	if cut := strings.LastIndex(stem, sweep.UpkeepMark); cut >= 0 {
		stem = stem[:cut]
	}
	m.made++
	return fmt.Sprintf("%s/data/%s%s%010d-%05d.parquet", m.at.Meta.Location(), stem, sweep.UpkeepMark, m.epoch, m.made)
}
