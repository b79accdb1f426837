package mysql

import (
	"bytes"
	"errors"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/protocol"
)

func TestConstantsAreQuoted(t *testing.T) {
	for _, c := range []struct {
		typ      driver.Type
		in, want string
	}{
		{driver.Of(driver.Int64), "-9223372036854775808", "-9223372036854775808"},
		{driver.DecimalOf(9, 2), "1.50", "1.50"},
		{driver.Of(driver.Date), "2024-01-02", "'2024-01-02'"},
		{driver.Of(driver.Timestamp), "2024-01-02T03:04:05.000000", "'2024-01-02 03:04:05.000000'"},
		{driver.Of(driver.TimestampTZ), "2024-01-02T03:04:05.000006Z", "'2024-01-02 03:04:05.000006'"},
		{driver.Of(driver.String), `a' OR "1"='1\`, `CAST(_utf8mb4'a'' OR "1"=''1\' AS BINARY)`},
		{driver.Of(driver.Int32), "1; DROP TABLE t", ""},
		{driver.Of(driver.Int64), "1 OR 1=1", ""},
		{driver.DecimalOf(9, 2), "1e9", ""},
		{driver.Of(driver.Date), "2024-01-02' OR '1", ""},
		{driver.Of(driver.Timestamp), "2024-01-02", ""},
	} {
		got, err := constant(driver.Table{Name: "t"}, driver.Column{Name: "c", Type: c.typ}, c.in)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, driver.ErrInvalidConfig) {
			t.Errorf("constant(%s, %q) = %s, %v; want %s", c.typ, c.in, got, err, c.want)
		}
	}
}

// FuzzRows feeds the decoder packets for columns of every kind: it must end with
// a batch or an error, and find the same fields as a plain reader does.
func FuzzRows(f *testing.F) {
	kinds := []driver.Type{
		driver.Of(driver.String), driver.Of(driver.Boolean), driver.Of(driver.Int32), driver.Of(driver.Int64), driver.Of(driver.Float32), driver.Of(driver.Float64), driver.DecimalOf(20, 0), driver.DecimalOf(9, 3),
		driver.Of(driver.Bytes), driver.Of(driver.Date), driver.Of(driver.Timestamp), driver.Of(driver.TimestampTZ), driver.Of(driver.UUID), driver.Of(driver.JSON), driver.Of(driver.Time),
	}
	for i := range kinds {
		f.Add(uint8(i), []byte("\x011\x012"))
		f.Add(uint8(i)|128, []byte("\xfb\xfc\x01\x002"))
	}
	f.Fuzz(func(t *testing.T, kind uint8, packet []byte) {
		typ := kinds[int(kind&127)%len(kinds)]
		table := driver.Table{Name: "t", Columns: []driver.Column{{Name: "c", Type: typ, Nullable: kind >= 128}, {Name: "d", Type: driver.Of(driver.Bytes), Nullable: true}}}
		cursor := ""
		if typ.Ordered() {
			cursor = "c"
		}
		var rows int64
		var second [][]byte
		d := newDecoder(table, cursor, driver.Limits{BatchRows: 2}.WithDefaults(), false, func(b driver.Batch) error {
			rows += b.Record.NumRows()
			column := b.Record.Column(1).(*array.Binary)
			for i := range column.Len() {
				if column.IsNull(i) {
					second = append(second, nil)
				} else {
					second = append(second, bytes.Clone(column.Value(i)))
				}
			}
			b.Record.Release()
			return nil
		})
		defer d.Release()
		for range 5 {
			if d.append(packet) != nil {
				return
			}
		}
		if err := d.finish(); err != nil || rows != 5 {
			t.Fatalf("%d rows of 5: %v", rows, err)
		}
		want, ok := protocol.FieldAt(packet, 1)
		for _, got := range second {
			if !ok || !bytes.Equal(got, want) || (got == nil) != (want == nil) {
				t.Fatalf("%x has the field %x, not %x", packet, want, got)
			}
		}
	})
}
