package reading

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing/datafiles"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/storage"
	"headwater/handlers/landing/syncstate"
	"headwater/handlers/landing/tableschema"
)

// Bounds of a preview, whatever is asked for.
const (
	previewRows  = 1000
	previewBytes = 8 << 20          // of all values
	previewCell  = 1 << 20          // of one value
	previewTime  = 15 * time.Second // for the lake to give them
	previewBatch = 64               // rows that are decoded at a time
	previewAhead = 64 << 10         // bytes of a file that such a batch takes, about
)

// Moment says as of when a table is read. The zero Moment is now.
type Moment struct {
	SnapshotID int64     // of that snapshot, 0 for none
	Time       time.Time // of the snapshot that was the newest then
}

// Why a preview ended before its limit and before the table's last row.
const (
	EndedBytes = "bytes"
	EndedTime  = "time"
)

// Shown is some rows of a table as one snapshot has it.
type Shown struct {
	SnapshotID int64     // 0 before the first
	At         time.Time // when the snapshot was committed
	Total      int64     // rows that the snapshot has
	Columns    []Column
	Rows       [][]any
	Shortened  []Shortened
	Truncated  bool   // the snapshot has more rows
	Ended      string // EndedBytes or EndedTime; "" at the limit or the table's end
}

// Shortened is a value of which a preview shows the beginning alone.
type Shortened struct {
	Row    int // of Shown.Rows
	Column int // of Shown.Columns
	Bytes  int // of the whole value
}

// Preview returns the columns and rows of Show as of now.
func (l *Reader) Preview(ctx context.Context, a event.Address, namespace, name string, limit int) ([]Column, [][]any, error) {
	shown, err := l.Show(ctx, a, namespace, name, limit, Moment{})
	return shown.Columns, shown.Rows, err
}

// Show returns up to limit rows, at most 1,000 and about 8 MiB, of what readers
// of the table saw at that moment, without the rows that were deleted, in the
// order in which their files were made. It takes at most 15 s, or what Taking says: it then returns
// what it has, and ErrStorage if that is nothing. It decodes a few rows at a
// time, whatever the size of the files. valueAt says what values are; a text or
// bytes of more than 1 MiB are shortened. It returns ErrNoTable for a table that
// was never landed, ErrNoSnapshot for a moment before the first snapshot and
// ErrExpired for a snapshot that is no longer kept.
func (l *Reader) Show(ctx context.Context, a event.Address, namespace, name string, limit int, moment Moment) (shown Shown, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.limit)
	defer cancel()
	l = l.within(ctx)
	at, err := l.current(ctx, a, namespace, name)
	if err != nil {
		return Shown{}, err
	}
	at, s, err := l.at(ctx, a, driver.Table{Namespace: namespace, Name: name}, at, moment)
	if err != nil {
		return Shown{}, err
	}
	p := preview{lake: l, at: at, shown: &shown, limit: min(limit, previewRows), deletes: map[string]bool{}, gone: map[string][]*datafiles.RowSet{}}
	if s != nil {
		if shown.Total, err = syncstate.TotalRecords(s); err != nil {
			return Shown{}, err
		}
		shown.SnapshotID, shown.At = s.SnapshotID, time.UnixMilli(s.TimestampMs).UTC()
		if moment != (Moment{}) {
			p.options = []table.ScanOption{table.WithSnapshotID(s.SnapshotID)}
		}
	}
	if err := p.columns(s); err != nil {
		return Shown{}, err
	}
	shown.Rows = [][]any{}
	if s == nil || p.limit <= 0 {
		shown.Truncated = shown.Total > 0
		return shown, nil
	}
	err = p.read(ctx)
	// What waits for the storage may know of the end before ctx itself does.
	late := errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded)
	if err != nil && late && len(shown.Rows) > 0 {
		shown.Truncated, shown.Ended, err = true, EndedTime, nil
	}
	return shown, storage.Wrap("read "+name, err)
}

// preview is one reading of a table.
type preview struct {
	lake    *Reader
	at      kvcatalog.Loaded
	options []table.ScanOption // that choose the snapshot
	fields  []iceberg.NestedField
	limit   int
	size    int                            // of the values so far
	deletes map[string]bool                // the files of position deletes that were read
	gone    map[string][]*datafiles.RowSet // what they delete, by data file
	shown   *Shown
}

func (p *preview) scan(batch int) *table.Scan {
	return p.lake.catalog.Open(p.at, p.lake.files).Scan(append(slices.Clone(p.options), table.WithMaxConcurrency(1), table.WithArrowBatchSize(batch))...)
}

// columns fills in the columns that the snapshot has.
func (p *preview) columns(s *table.Snapshot) error {
	schema, err := p.scan(previewBatch).Projection()
	if err != nil {
		return err
	}
	var asJSON []int
	if s != nil && s.Summary != nil && s.Summary.Properties[syncstate.PropSync] != "" {
		made, err := syncstate.In(s)
		if err != nil {
			return err
		}
		asJSON = made.JSON
	}
	p.fields = schema.Fields()
	p.shown.Columns = make([]Column, len(p.fields))
	for i, f := range p.fields {
		p.shown.Columns[i] = Column{Name: f.Name, Type: typeName(f.Type)}
		if slices.Contains(asJSON, f.ID) {
			p.shown.Columns[i].Type = driver.Of(driver.JSON).String()
		}
	}
	return nil
}

// read fills in the rows, one file after the other.
func (p *preview) read(ctx context.Context) error {
	tasks, err := p.scan(previewBatch).PlanFiles(ctx)
	if err != nil {
		return err
	}
	slices.SortStableFunc(tasks, func(a, b table.FileScanTask) int {
		return cmp.Or(cmp.Compare(a.File.FilePath(), b.File.FilePath()), cmp.Compare(a.Start, b.Start))
	})
	for _, task := range tasks {
		read := p.readFile
		if !p.plain(task) {
			read = p.readTask
		}
		if err := read(ctx, task); err != nil || p.shown.Truncated {
			return err
		}
	}
	return nil
}

// plain reports whether a file and what is deleted of it are such as we write.
func (p *preview) plain(task table.FileScanTask) bool {
	for _, f := range p.fields {
		if _, ok := tableschema.DriverType(f.Type); !ok {
			return false
		}
	}
	for _, d := range task.DeleteFiles {
		if d.ContentType() != iceberg.EntryContentPosDeletes || d.FileFormat() != iceberg.ParquetFile {
			return false
		}
	}
	return task.File.FileFormat() == iceberg.ParquetFile && len(task.EqualityDeleteFiles) == 0 && len(task.DeletionVectorFiles) == 0 &&
		task.Start == 0 && (task.Length == 0 || task.Length == task.File.FileSizeBytes())
}

// errShown ends the reading of a file whose next rows do not go in.
var errShown = errors.New("the preview is full")

// readFile takes the rows of one file that are not deleted, and reads no page
// behind the last one that it needs.
func (p *preview) readFile(ctx context.Context, task table.FileScanTask) error {
	for _, d := range task.DeleteFiles {
		if p.deletes[d.FilePath()] {
			continue
		}
		gone, err := datafiles.GoneRowsIn(ctx, p.lake.files, d.FilePath())
		if err != nil {
			return err
		}
		p.deletes[d.FilePath()] = true
		for name, set := range gone {
			p.gone[name] = append(p.gone[name], set)
		}
	}
	gone := p.gone[task.File.FilePath()]
	by := parquet.NewReaderProperties(nil)
	by.BufferedStreamEnabled, by.BufferSize = true, max(4<<10, min(datafiles.PieceBytes, previewBytes/int64(len(p.fields))))
	err := datafiles.ColumnsBy(ctx, p.lake.files, task.File.FilePath(), p.fields, by, int64(batchOf(task.File, p.limit)), func(first int64, columns []arrow.Array) error {
		rows := 0
		for _, column := range columns {
			if column != nil {
				rows = column.Len()
			}
		}
		for r := range rows {
			if slices.ContainsFunc(gone, func(set *datafiles.RowSet) bool { return set.Has(first + int64(r)) }) {
				continue
			}
			if p.add(columns, r) {
				return errShown
			}
		}
		return nil
	})
	if errors.Is(err, errShown) {
		return nil
	}
	return err
}

// readTask is readFile for what other tools have made. The scanner goes on to the
// end of the file, though nobody takes what it reads.
func (p *preview) readTask(ctx context.Context, task table.FileScanTask) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, batches, err := p.scan(batchOf(task.File, p.limit)).ReadTasks(ctx, []table.FileScanTask{task})
	if err != nil {
		return err
	}
	for batch, err := range batches {
		if err != nil {
			return err
		}
		full := false
		for r := 0; r < int(batch.NumRows()) && !full; r++ {
			full = p.add(batch.Columns(), r)
		}
		batch.Release()
		if full {
			return nil
		}
	}
	return nil
}

// batchOf returns how many rows of a file are decoded at a time: fewer where they
// are large.
func batchOf(f iceberg.DataFile, limit int) int {
	row := f.FileSizeBytes() / max(1, f.Count())
	return int(max(1, min(int64(limit), previewBatch, previewAhead/max(1, row))))
}

// add takes a row, or reports that it does not go in.
func (p *preview) add(columns []arrow.Array, r int) (full bool) {
	switch {
	case len(p.shown.Rows) >= p.limit:
		p.shown.Truncated = true
		return true
	case p.size >= previewBytes:
		p.shown.Truncated, p.shown.Ended = true, EndedBytes
		return true
	}
	row := make([]any, len(columns))
	for c, column := range columns {
		if column == nil {
			continue // the file is older than the column
		}
		whole := 0
		if row[c], whole = beginning(valueAs(p.fields[c].Type, column, r)); whole > 0 {
			p.shown.Shortened = append(p.shown.Shortened, Shortened{Row: len(p.shown.Rows), Column: c, Bytes: whole})
		}
		p.size += sizeOf(row[c])
	}
	p.shown.Rows = append(p.shown.Rows, row)
	return false
}
