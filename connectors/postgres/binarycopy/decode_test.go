package binarycopy

import (
	"encoding/binary"
	"errors"
	"math/big"
	"testing"

	"headwater/connectors/driver"
)

// digits encodes a numeric as PostgreSQL does.
func digits(sign uint16, weight int16, groups ...uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(groups)))
	b = binary.BigEndian.AppendUint16(b, uint16(weight))
	b = binary.BigEndian.AppendUint16(b, sign)
	b = binary.BigEndian.AppendUint16(b, 0)
	for _, g := range groups {
		b = binary.BigEndian.AppendUint16(b, g)
	}
	return b
}

func TestNumeric(t *testing.T) {
	for name, c := range map[string]struct {
		in               []byte
		precision, scale int32
		want             string
		err              error
	}{
		"zero":            {digits(0, 0), 5, 2, "0.00", nil},
		"integer":         {digits(0, 1, 1, 2345), 15, 2, "12345.00", nil},
		"negative":        {digits(negative, 0, 12, 3400), 15, 2, "-12.34", nil},
		"small":           {digits(0, -2, 1000), 6, 5, "0.00001", nil},
		"gap":             {digits(0, 1, 1), 8, 0, "10000", nil},
		"whole fraction":  {digits(0, -1, 1, 2), 8, 8, "0.00010002", nil},
		"38 digits":       {digits(0, 9, 99, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999), 38, 0, "99999999999999999999999999999999999999", nil},
		"39 digits":       {digits(0, 9, 999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999), 38, 0, "", errTooLarge},
		"40 digits":       {digits(0, 9, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999), 38, 0, "", errTooLarge},
		"past precision":  {digits(0, 1, 1, 0), 4, 0, "", errTooLarge},
		"huge weight":     {digits(0, 32767, 1), 38, 0, "", errTooLarge},
		"past scale":      {digits(0, 0, 1, 2345), 15, 2, "", errTooLarge},
		"groups past it":  {digits(0, 0, 1, 2300, 1), 15, 2, "", errTooLarge},
		"NaN":             {digits(0xC000, 0), 5, 2, "", errNotFinite},
		"infinity":        {digits(0xD000, 0), 5, 2, "", errNotFinite},
		"bad digit":       {digits(0, 0, 10000), 15, 2, "", ErrMalformed},
		"short":           {[]byte{0, 1}, 15, 2, "", ErrMalformed},
		"group too few":   {digits(0, 0, 1)[:8], 15, 2, "", ErrMalformed},
		"odd byte":        {append(digits(0, 0, 1), 1), 15, 2, "", ErrMalformed},
		"overflow in all": {digits(0, 9, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999), 38, 38, "", errTooLarge},
	} {
		got, err := numeric(c.in, c.precision, c.scale)
		if !errors.Is(err, c.err) || err == nil && got.ToString(c.scale) != c.want {
			t.Errorf("%s: %s, %v; want %s, %v", name, got.ToString(c.scale), err, c.want, c.err)
		}
	}
}

// FuzzNumeric compares with the same sum done in big integers.
func FuzzNumeric(f *testing.F) {
	f.Add(digits(0, 1, 1, 2345, 6000), uint8(15), uint8(2))
	f.Add(digits(negative, -2, 1000), uint8(38), uint8(38))
	f.Fuzz(func(t *testing.T, b []byte, precision, scale uint8) {
		p := int32(precision)%38 + 1
		s := int32(scale) % (p + 1)
		got, err := numeric(b, p, s)
		if err != nil {
			return
		}
		// value = sum of group * 10000^(weight-i), here times 10^s.
		want := new(big.Rat)
		weight := int(int16(binary.BigEndian.Uint16(b[2:])))
		for i, at := 0, 8; at < len(b); i, at = i+1, at+2 {
			exponent := weight - i
			power := new(big.Int).Exp(big.NewInt(10000), big.NewInt(int64(max(exponent, -exponent))), nil)
			group := new(big.Rat).SetInt64(int64(binary.BigEndian.Uint16(b[at:])))
			if exponent < 0 {
				group.Quo(group, new(big.Rat).SetInt(power))
			} else {
				group.Mul(group, new(big.Rat).SetInt(power))
			}
			want.Add(want, group)
		}
		want.Mul(want, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(s)), nil)))
		if binary.BigEndian.Uint16(b[4:]) == negative {
			want.Neg(want)
		}
		if !want.IsInt() || want.Num().Cmp(got.BigInt()) != 0 {
			t.Fatalf("%x at scale %d = %s, want %s", b, s, got.BigInt(), want)
		}
	})
}

// FuzzRows throws bytes at the COPY decoder: it must end with batches or an
// error, never with a panic.
func FuzzRows(f *testing.F) {
	kinds := []struct {
		typ driver.Type
		how Decoding
	}{
		{driver.Of(driver.Boolean), AsBool}, {driver.Of(driver.Int32), AsInt2}, {driver.Of(driver.Int32), AsInt4}, {driver.Of(driver.Int64), AsInt8}, {driver.Of(driver.Float32), AsFloat4},
		{driver.Of(driver.Float64), AsFloat8}, {driver.DecimalOf(15, 2), AsNumeric}, {driver.Of(driver.Bytes), AsBytea}, {driver.Of(driver.Date), AsDate}, {driver.Of(driver.Time), AsTime},
		{driver.Of(driver.Timestamp), AsTimestamp}, {driver.Of(driver.UUID), AsUUID}, {driver.Of(driver.JSON), AsJSONB}, {driver.Of(driver.String), AsText},
	}
	header := append(append([]byte{}, signature...), 0, 0, 0, 0, 0, 0, 0, 0)
	for i := range kinds {
		for _, size := range []int{0, 1, 2, 4, 8, 16} {
			row := append([]byte{0, 1, 0, 0, 0, byte(size)}, make([]byte, size)...)
			f.Add(uint8(i), append(append(append([]byte{}, header...), row...), 0xff, 0xff))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		k := kinds[int(kind)%len(kinds)]
		table := driver.Table{Name: "t", Columns: []driver.Column{{Name: "c", Type: k.typ, Nullable: kind >= 128}}}
		cursor := ""
		if k.typ.Ordered() {
			cursor = "c"
		}
		rows := int64(0)
		d := NewDecoder(table, []Decoding{k.how}, cursor, driver.Limits{BatchRows: 2}.WithDefaults(), func(b driver.Batch) error {
			rows += b.Record.NumRows()
			b.Record.Release()
			return nil
		})
		if err := d.Message(data); err != nil {
			return
		}
		if err := d.Finish(); err == nil && rows != d.Row {
			t.Fatalf("%d rows came out of %d", rows, d.Row)
		}
	})
}
