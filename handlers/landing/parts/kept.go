package parts

import (
	"fmt"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
)

// Columns of a part of Changes.Kept behind those of the table.
const (
	keptColumn = "_headwater_kept"
	oldColumn  = "_headwater_old_"
)

// fieldID is the key of a field's metadata that holds its id in the table.
const fieldID = "PARQUET:field_id"

// keptIDs is where the ids of columns begin that are no table's.
const keptIDs = 1 << 30

// FieldID returns the id of a column in the table, 0 where it has none.
func FieldID(f arrow.Field) int {
	text, _ := f.Metadata.GetValue(fieldID)
	id, _ := strconv.Atoi(text)
	return id
}

// KeptLayout is how Changes are laid out whose rows are not whole.
type KeptLayout struct {
	// Layout is that of Changes.Kept: the columns of the rows that land, each of
	// which may hold NULL here; a mark of those whose values are kept, which
	// KeptMark makes; and the key of the row that they are of.
	Layout Layout
	Gone   Layout // that of Changes.Gone: the columns of the key
	Mark   int    // the column of the mark, behind which the old key is
}

// Kept returns the layouts of changes of rows of this layout with a key. It fails for
// a key that is not among the columns.
func (l Layout) Kept(key []string) (KeptLayout, error) {
	fields := l.Schema.Fields()
	k := KeptLayout{Mark: len(fields)}
	for i := range fields {
		fields[i].Nullable = true
	}
	id := func(n int) arrow.Metadata {
		return arrow.NewMetadata([]string{fieldID}, []string{strconv.Itoa(keptIDs + n)})
	}
	fields = append(fields, arrow.Field{Name: keptColumn, Type: arrow.BinaryTypes.Binary, Metadata: id(0)})
	var gone []arrow.Field
	for i, name := range key {
		at := l.Schema.FieldIndices(name)
		if len(at) != 1 {
			return k, fmt.Errorf("a key of %q, which is no column", name)
		}
		field := l.Schema.Field(at[0])
		gone = append(gone, field)
		field.Name, field.Metadata = oldColumn+strconv.Itoa(i), id(i+1)
		fields = append(fields, field)
	}
	k.Layout.Schema, k.Gone.Schema = arrow.NewSchema(fields, nil), arrow.NewSchema(gone, nil)
	return k, nil
}

// KeptMark returns the mark that says that columns are kept: a bit each, by their
// numbers.
func KeptMark(columns []int) []byte {
	var mark []byte
	for _, c := range columns {
		if need := c>>3 + 1; need > len(mark) {
			mark = append(mark, make([]byte, need-len(mark))...)
		}
		mark[c>>3] |= 1 << (c & 7)
	}
	return mark
}

// Keeps reports whether a mark says that a column is kept.
func Keeps(mark []byte, column int) bool {
	return column>>3 < len(mark) && mark[column>>3]&(1<<(column&7)) != 0
}
