package landing

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"

	"headwater/handlers/landing/datafiles"
	"headwater/handlers/landing/keyindex"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/mergekeys"
)

const (
	// indexedRows is from how many rows on a table is worth an index: fewer keys are
	// read in no time.
	indexedRows = 200_000
	// indexedShare is how many rows a table has for each that is merged into it where
	// a look at each key costs less than reading all of them.
	indexedShare = 4
	// kinds of keys that are indexed.
	indexOfKeys = "keys"
	indexOfGone = "gone"
)

// worthIndex reports whether a merge of rows into those that landed looks their keys up.
func worthIndex(rows, landed int64) bool {
	return landed >= indexedRows && rows*indexedShare <= landed
}

// PruneIndex removes from this node's index of keys the tables that another node has
// dropped. Without an index it does nothing. It returns the catalog's error.
func (l *Lake) PruneIndex(ctx context.Context) error {
	if l.index == nil {
		return nil
	}
	tables, err := l.kv.Keys(ctx, "table")
	if err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	l.index.Keep(tables, indexOfKeys, indexOfGone)
	return nil
}

// lookup finds the landed rows of a merge by this node's index of keys. Files that are
// not in it are read once, and are in it then. A nil one finds nothing.
type lookup struct {
	lake       *Lake
	keys, gone *keyindex.Table
	files      []iceberg.DataFile // to be indexed
	deletes    []iceberg.DataFile
	broken     bool // it cannot be used any more
}

// indexed returns how a merge of so many rows looks its keys up, nil where it reads
// those of the table: of few rows, of keys that only their source can compare, of
// versions, or without an index. live are all files of the table.
func (m *merge) indexed(live, deletes []iceberg.DataFile, rows int64) *lookup {
	l := m.w.lake
	if l.index == nil || !m.w.target.merges() || m.older > 0 || m.keys.Alike != nil || m.keys.Lacks >= 0 || !l.worth(rows, rowsIn(live)) {
		return nil
	}
	name, id := kvcatalog.TableKey(m.w.ident), m.w.base.Meta.TableUUID().String()
	x := &lookup{lake: l}
	var removing []iceberg.DataFile
	for _, f := range deletes {
		if datafiles.RemovesRows(f) {
			removing = append(removing, f)
		}
	}
	var ok bool
	x.keys, ok = l.index.Table(keyindex.Definition{Table: name, Kind: indexOfKeys, Keys: id + "\n" + madeOf(m.keys), Narrow: m.keys.Narrow}, indexFiles(live))
	if !ok {
		return nil
	}
	if x.gone, ok = l.index.Table(keyindex.Definition{Table: name, Kind: indexOfGone, Keys: id}, indexFiles(removing)); !ok {
		x.keys.Close()
		return nil
	}
	for _, f := range m.live {
		if !x.keys.Covers(indexFile(f)) {
			x.files = append(x.files, f)
		}
	}
	for _, f := range removing {
		if !x.gone.Covers(indexFile(f)) {
			x.deletes = append(x.deletes, f)
		}
	}
	return x
}

func indexFile(f iceberg.DataFile) keyindex.File {
	return keyindex.File{Name: f.FilePath(), Rows: f.Count(), Size: f.FileSizeBytes()}
}

func indexFiles(files []iceberg.DataFile) []keyindex.File {
	all := make([]keyindex.File, len(files))
	for i, f := range files {
		all[i] = indexFile(f)
	}
	return all
}

// unread returns which of the files that a merge looks through are to be read.
func (x *lookup) unread(live []iceberg.DataFile) []iceberg.DataFile {
	if x == nil {
		return live
	}
	return append(x.files, x.deletes...)
}

// close lets go of the index.
func (x *lookup) close() {
	if x != nil {
		x.keys.Close()
		x.gone.Close()
	}
}

// find finds the landed rows of keys, which may come in several parts. It returns false
// where the index cannot be used: the files tell, then. The error is one of reading the
// lake.
func (x *lookup) find(ctx context.Context, m *merge, newest map[mergekeys.Key]place) (bool, error) {
	if x == nil || x.broken {
		return false, nil
	}
	err := x.complete(ctx, m)
	if err == nil {
		err = x.look(ctx, m, newest)
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	switch {
	case err == nil:
		if err := errors.Join(x.keys.Tidy(ctx), x.gone.Tidy(ctx)); err != nil {
			x.lake.log.Debug("an index of keys could not be made smaller", "table", m.w.target.Table.String(), "error", err)
		}
		x.files, x.deletes = nil, nil // the next part finds them indexed
		return true, nil
	case errors.Is(err, ErrStorage):
		return false, err
	}
	x.broken = true
	switch {
	case errors.Is(err, keyindex.ErrRoom):
		x.lake.log.Debug("there is no room for an index of keys: those of the table are read", "table", m.w.target.Table.String())
	default:
		x.lake.log.Warn("the index of keys is made again: those of the table are read", "table", m.w.target.Table.String(), "error", err)
		x.keys.Discard()
		x.gone.Discard()
	}
	return false, nil
}

// complete reads what is not indexed yet.
func (x *lookup) complete(ctx context.Context, m *merge) error {
	if len(x.files) > 0 {
		build, err := x.keys.Build(ctx, rowsIn(x.files))
		if err != nil {
			return err
		}
		for _, f := range x.files {
			build.File(indexFile(f))
			err := datafiles.Columns(ctx, m.lake.files, f.FilePath(), m.keys.Fields, func(first int64, columns []arrow.Array) error {
				of := m.keys.Keys(columns)
				for row := range datafiles.Rows(columns) {
					if k, null := of(row); null < 0 {
						build.Add(keyindex.Key(k), first+int64(row))
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		if err := build.Close(); err != nil {
			return err
		}
	}
	if len(x.deletes) == 0 {
		return nil
	}
	build, err := x.gone.Build(ctx, rowsIn(x.deletes))
	if err != nil {
		return err
	}
	keys := goneKeys{}
	for _, f := range x.deletes {
		build.File(indexFile(f))
		err := datafiles.EachGone(ctx, m.lake.files, f.FilePath(), func(at int64, file string, row int64) { build.Add(keys.of(file, row), at) })
		if err != nil {
			return err
		}
	}
	return build.Close()
}

// lookedUp is how many keys are looked up at a time.
const lookedUp = 64 << 10

// look finds the rows of keys that are not removed already.
func (x *lookup) look(ctx context.Context, m *merge, newest map[mergekeys.Key]place) error {
	made := goneKeys{}
	some := make([]keyindex.Key, 0, min(len(newest), lookedUp))
	for k := range newest {
		if some = append(some, keyindex.Key(k)); len(some) == lookedUp {
			if err := x.lookAt(ctx, m, made, some); err != nil {
				return err
			}
			some = some[:0]
		}
	}
	return x.lookAt(ctx, m, made, some)
}

func (x *lookup) lookAt(ctx context.Context, m *merge, made goneKeys, keys []keyindex.Key) error {
	places, err := x.keys.Find(ctx, keys)
	if err != nil {
		return err
	}
	rows := make([]keyindex.Key, len(places))
	for i, p := range places {
		rows[i] = made.of(p.File, p.Row)
	}
	removed, err := x.gone.Find(ctx, rows)
	if err != nil {
		return err
	}
	away := make([]bool, len(places))
	for _, p := range removed {
		away[p.Key] = true
	}
	for i, p := range places {
		if !away[i] {
			m.found(mergekeys.Key(keys[p.Key]), p.File, p.Row)
		}
	}
	return nil
}

// goneKeys makes keys of rows of files: the row, and half of a hash of the name, of
// which no two of a table are the same.
type goneKeys map[string]uint64

func (g goneKeys) of(file string, row int64) (k keyindex.Key) {
	name, ok := g[file]
	if !ok {
		sum := sha256.Sum256([]byte(file))
		name = binary.LittleEndian.Uint64(sum[:])
		g[strings.Clone(file)] = name
	}
	binary.LittleEndian.PutUint64(k[:], uint64(row))
	binary.LittleEndian.PutUint64(k[8:], name)
	return k
}

// madeOf says how keys are made of values: whoever makes them otherwise has another
// index.
func madeOf(k *mergekeys.Columns) string {
	var b strings.Builder
	for i, f := range k.Fields {
		fmt.Fprintf(&b, "%d %s %s\n", f.ID, f.Type, k.Compared[i])
	}
	return b.String()
}
