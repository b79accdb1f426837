package pgoutput

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/jackc/pglogrepl"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
)

// wire makes messages by hand.
type wire []byte

func (w wire) u8(v byte) wire       { return append(w, v) }
func (w wire) u16(v uint16) wire    { return binary.BigEndian.AppendUint16(w, v) }
func (w wire) u32(v uint32) wire    { return binary.BigEndian.AppendUint32(w, v) }
func (w wire) u64(v uint64) wire    { return binary.BigEndian.AppendUint64(w, v) }
func (w wire) text(s string) wire   { return append(append(w, s...), 0) }
func (w wire) value(s string) wire  { return append(w.u8('t').u32(uint32(len(s))), s...) }
func (w wire) binary(b []byte) wire { return append(w.u8('b').u32(uint32(len(b))), b...) }

func seeds() [][]byte {
	relation := wire{'R'}.u32(7).text("public").text("t").u8('d').u16(2).u8(1).text("id").u32(23).u32(0xffffffff).u8(0).text("v").u32(25).u32(0xffffffff)
	return [][]byte{
		wire{'B'}.u64(100).u64(5).u32(9), wire{'C'}.u8(0).u64(100).u64(120).u64(5), relation,
		wire{'I'}.u32(7).u8('N').u16(2).value("1").u8('n'),
		wire{'I'}.u32(7).u8('N').u16(2).binary([]byte{0, 0, 0, 1}).value("x"),
		wire{'U'}.u32(7).u8('N').u16(2).value("1").u8('u'),
		wire{'U'}.u32(7).u8('K').u16(2).value("1").u8('n').u8('N').u16(2).value("2").u8('u'),
		wire{'U'}.u32(7).u8('O').u16(2).value("1").value("y").u8('N').u16(2).value("2").u8('u'),
		wire{'D'}.u32(7).u8('K').u16(2).value("1").u8('n'), wire{'T'}.u32(2).u8(3).u32(7).u32(8),
		wire{'Y'}.u32(7).text("public").text("mood"), wire{'O'}.u64(1).text("elsewhere"), {'M'}, {},
	}
}

// values takes a row apart, nil if it is malformed.
func values(r Row) []string {
	out := []string{}
	for n := r.Len(); n > 0; n-- {
		kind, v, err := r.Next()
		if err != nil {
			return nil
		}
		out = append(out, string(kind)+string(v))
	}
	return out
}

func theirs(t *pglogrepl.TupleData) []string {
	if t == nil {
		return []string{}
	}
	out := []string{}
	for _, c := range t.Columns {
		out = append(out, string(c.DataType)+string(c.Data))
	}
	return out
}

// FuzzParse holds what is read against the library's reading of the same bytes: what
// both take is the same, and nothing makes ours panic.
func FuzzParse(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		var m Message
		if m.Parse(p) != nil {
			return
		}
		ours := [2][]string{values(m.OldRow), values(m.NewRow)}
		if ours[0] == nil || ours[1] == nil || len(p) > 1<<12 {
			return
		}
		their, err := pglogrepl.Parse(p)
		if err != nil {
			return
		}
		same := true
		switch x := their.(type) {
		case *pglogrepl.BeginMessage:
			same = uint64(x.FinalLSN) == m.LSN && x.CommitTime.UnixMicro() == m.Committed
		case *pglogrepl.CommitMessage:
			same = uint64(x.CommitLSN) == m.LSN && uint64(x.TransactionEndLSN) == m.End
		case *pglogrepl.RelationMessage:
			same = x.RelationID == m.Described.OID && x.RelationName == m.Described.Name && x.ReplicaIdentity == m.Described.Identity && len(x.Columns) == len(m.Described.Columns)
			for i := 0; same && i < len(x.Columns); i++ {
				c, d := x.Columns[i], m.Described.Columns[i]
				same = c.Name == d.Name && c.DataType == d.Type && c.TypeModifier == d.Mod && (c.Flags&1 == 1) == d.Key
			}
		case *pglogrepl.InsertMessage:
			same = x.RelationID == m.Relation && equal(theirs(x.Tuple), ours[1])
		case *pglogrepl.UpdateMessage:
			same = x.RelationID == m.Relation && equal(theirs(x.OldTuple), ours[0]) && equal(theirs(x.NewTuple), ours[1])
		case *pglogrepl.DeleteMessage:
			same = x.RelationID == m.Relation && equal(theirs(x.OldTuple), ours[0])
		case *pglogrepl.TruncateMessage:
			same = len(x.RelationIDs) == len(m.Truncated)
		}
		if !same {
			t.Errorf("%q is read as %+v %q, by the library as %+v", p, m, ours, their)
		}
	})
}

func equal(a, b []string) bool { return strings.Join(a, "\x00") == strings.Join(b, "\x00") }

// FuzzWrite writes whatever comes into columns of several types.
func FuzzWrite(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	column := func(name string, k driver.Kind) driver.Column {
		return driver.Column{Name: name, Type: driver.Of(k), Nullable: true}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		var m Message
		if m.Parse(p) != nil {
			return
		}
		for _, how := range [][2]binarycopy.Decoding{{binarycopy.AsInt4, binarycopy.AsText}, {binarycopy.AsTimestamp, binarycopy.AsBytea}, {binarycopy.AsDate, binarycopy.AsUUID}, {binarycopy.AsFloat8, binarycopy.AsBool}} {
			kinds := map[binarycopy.Decoding]driver.Kind{binarycopy.AsInt4: driver.Int32, binarycopy.AsText: driver.String, binarycopy.AsTimestamp: driver.Timestamp, binarycopy.AsBytea: driver.Bytes,
				binarycopy.AsDate: driver.Date, binarycopy.AsUUID: driver.UUID, binarycopy.AsFloat8: driver.Float64, binarycopy.AsBool: driver.Boolean}
			table := driver.Table{Columns: []driver.Column{column("a", kinds[how[0]]), column("b", kinds[how[1]])}}
			rows := binarycopy.NewRows(table, how[:], make([]binarycopy.Form, 2), false, nil)
			w := Writer{Rows: rows, To: []int{0, 1}, Check: func(int, error) error { return nil }}
			if _, err := w.Write(m.NewRow, nil); err == nil {
				record := rows.Record()
				if record.NumRows() != 1 {
					t.Errorf("%d rows", record.NumRows())
				}
				record.Release()
			}
		}
	})
}

// An update that does not repeat a value keeps it, or takes it from the whole old row.
func TestUnchangedValues(t *testing.T) {
	table := driver.Table{Columns: []driver.Column{{Name: "id", Type: driver.Of(driver.String)}, {Name: "v", Type: driver.Of(driver.String), Nullable: true}}}
	for i, want := range map[int]string{5: "kept", 6: "kept", 7: "y"} {
		var m Message
		if err := m.Parse(seeds()[i]); err != nil {
			t.Fatal(err)
		}
		rows := binarycopy.NewRows(table, make([]binarycopy.Decoding, 2), make([]binarycopy.Form, 2), false, nil)
		w := Writer{Rows: rows, To: []int{0, 1}, Check: func(int, error) error { return nil }}
		var old *Row
		if m.Old != 0 {
			old = &m.OldRow
		}
		kept, err := w.Write(m.NewRow, old)
		if err != nil {
			t.Fatal(err)
		}
		record := rows.Record()
		got := record.Column(1).ValueStr(0)
		if len(kept) == 1 && kept[0] == 1 && record.Column(1).IsNull(0) {
			got = "kept"
		}
		if got != want {
			t.Errorf("message %d: %s, want %s", i, got, want)
		}
		record.Release()
	}
}
