package collapse

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
)

// randomColumn makes a column of a type, some of whose values are NULL, that begins
// amid its buffers.
func randomColumn(r *rand.Rand, kind driver.Type, rows int, nulls bool) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, kind.Arrow())
	defer b.Release()
	skip := r.IntN(70)
	for range skip + rows {
		n := r.Int64N(1 << 20)
		if nulls && n%3 == 0 {
			b.AppendNull()
			continue
		}
		switch b := b.(type) {
		case *array.BooleanBuilder:
			b.Append(n%2 == 0)
		case *array.Int32Builder:
			b.Append(int32(n))
		case *array.Int64Builder:
			b.Append(n)
		case *array.Float32Builder:
			b.Append(float32(n))
		case *array.Float64Builder:
			b.Append(float64(n))
		case *array.Decimal128Builder:
			b.Append(decimal128.FromI64(n))
		case *array.BinaryBuilder:
			b.Append(fmt.Append(nil, n))
		case *array.StringBuilder:
			b.Append(fmt.Sprint(n))
		case *array.Date32Builder:
			b.Append(arrow.Date32(n))
		case *array.Time64Builder:
			b.Append(arrow.Time64(n))
		case *array.TimestampBuilder:
			b.Append(arrow.Timestamp(n))
		case *array.FixedSizeBinaryBuilder:
			b.Append(fmt.Appendf(nil, "%016d", n))
		default:
			if err := b.AppendValueFromString(fmt.Sprintf("00000000-0000-0000-0000-%012d", n)); err != nil {
				panic(err)
			}
		}
	}
	all := b.NewArray()
	defer all.Release()
	return array.NewSlice(all, int64(skip), int64(skip+rows))
}

// Of every type the rows that are picked, and those that are taken one by one, are
// those that were asked for.
func TestPick(t *testing.T) {
	kinds := []driver.Type{driver.DecimalOf(30, 4)}
	for k := driver.String; k <= driver.JSON; k++ {
		if k != driver.Decimal {
			kinds = append(kinds, driver.Of(k))
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		rows := 1 + r.IntN(400)
		mask := array.NewBooleanBuilder(memory.DefaultAllocator)
		var want []int32
		for row := range rows {
			keep := r.IntN(1+round%5) == 0
			if mask.Append(keep); keep {
				want = append(want, int32(row))
			}
		}
		keep := mask.NewBooleanArray()
		for _, kind := range kinds {
			column := randomColumn(r, kind, rows, round%4 > 0)
			picked, err := pick(t.Context(), column, keep)
			if err != nil {
				t.Fatal(err)
			}
			taken, err := take(t.Context(), column, want)
			if err != nil {
				t.Fatal(err)
			}
			for how, got := range map[string]arrow.Array{"picked": picked, "taken": taken} {
				if got.Len() != len(want) {
					t.Fatalf("%s, %s: %d rows, want %d", kind, how, got.Len(), len(want))
				}
				for at, row := range want {
					if is, was := got.ValueStr(at), column.ValueStr(int(row)); is != was || got.IsNull(at) != column.IsNull(int(row)) {
						t.Fatalf("%s, %s, row %d of %d: %s, want %s", kind, how, at, len(want), is, was)
					}
				}
			}
		}
	}
}
