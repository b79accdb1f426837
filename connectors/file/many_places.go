package file

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// The columns that a table of several files has beside theirs, by their
// SourceType.
const (
	fileColumn    = "_file"
	fromFileName  = "file name"
	fromPartition = "partition"
	hiveNull      = "__HIVE_DEFAULT_PARTITION__"
)

// told returns the name of a file as the table's rows have it.
func (g group) told(e entry) string {
	return strings.TrimPrefix(strings.TrimPrefix(e.path, g.base), "/")
}

// partitions returns what the folders of a file are called, key by key.
func (g group) partitions(e entry) (keys []string, values map[string]string) {
	values = map[string]string{}
	for _, part := range strings.Split(path.Dir(g.told(e)), "/") {
		key, value, found := strings.Cut(part, "=")
		if _, twice := values[key]; !found || key == "" || twice {
			continue
		}
		if plain, err := url.PathUnescape(value); err == nil {
			value = plain
		}
		keys = append(keys, key)
		values[key] = value
	}
	return keys, values
}

// addPlaces adds the columns that say where a row comes from: the file's name,
// and the partitions that the folders are named after, where every file has
// them and no file has a column of the name.
func (s *source) addPlaces(table *driver.Table, g group) {
	keys, _ := g.partitions(g.entries[0])
	for _, key := range keys {
		var sniff records.Sniffer
		everywhere := true
		for _, e := range g.entries {
			_, values := g.partitions(e)
			value, ok := values[key]
			if everywhere = everywhere && ok; ok && value != hiveNull && value != "" {
				sniff.Text([]byte(value))
			}
		}
		if _, taken := table.Column(key); taken || !everywhere {
			continue
		}
		c := driver.Column{Name: key, Type: driver.Of(driver.String), SourceType: fromPartition, Nullable: true, Sampled: true}
		if k := sniff.Type().Kind; k == driver.Int64 || k == driver.Date {
			c.Type = sniff.Type()
		}
		table.Columns = append(table.Columns, c)
	}
	if _, taken := table.Column(fileColumn); !taken {
		table.Columns = append(table.Columns, driver.Column{Name: fileColumn, Type: driver.Of(driver.String), SourceType: fromFileName, Nullable: false, Comment: "the file that the row is in"})
	}
}

// place reports whether a column says where a row comes from.
func place(c driver.Column) bool {
	return c.SourceType == fromFileName || c.SourceType == fromPartition
}

// widen yields a batch of a file as one of the table.
func (s *source) widen(g group, e entry, t, part driver.Table, b driver.Batch, yield func(driver.Batch) error) error {
	defer b.Record.Release()
	_, values := g.partitions(e)
	columns := make([]arrow.Array, len(t.Columns))
	rows := int(b.Record.NumRows())
	for i, c := range t.Columns {
		if at := slices.IndexFunc(part.Columns, func(k driver.Column) bool { return k.Name == c.Name }); at >= 0 {
			columns[i] = b.Record.Column(at)
			continue
		}
		value, ok := values[c.Name]
		if ok = ok && c.SourceType == fromPartition && value != hiveNull && (value != "" || c.Type.Kind == driver.String); c.SourceType == fromFileName {
			value, ok = g.told(e), true
		}
		column, err := constant(c, value, ok, rows)
		if err != nil {
			return driver.E(driver.ErrBadData, nil, "%s: the partition %s holds a value that is not %s", e.path, c.Name, c.Type)
		}
		defer column.Release()
		columns[i] = column
	}
	b.Record = array.NewRecordBatch(driver.ArrowSchema(t), columns, int64(rows))
	return yield(b)
}

// constant returns a column of one value, or of NULL. The caller releases it.
func constant(c driver.Column, value string, ok bool, rows int) (arrow.Array, error) {
	b := records.NewBuilder(driver.Table{Columns: []driver.Column{c}}, driver.Limits{})
	defer b.Release()
	for range rows {
		if !ok {
			b.Null(0)
		} else if err := b.Text(0, []byte(value)); err != nil {
			return nil, err
		}
		b.EndRow(0)
	}
	return b.Array(0), nil
}
