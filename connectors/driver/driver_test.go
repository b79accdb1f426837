package driver

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestTypeNamesAreReversible(t *testing.T) {
	types := []Type{DecimalOf(38, 0), DecimalOf(15, 2), DecimalOf(5, 5)}
	for k := String; k <= JSON; k++ {
		if k != Decimal {
			types = append(types, Of(k))
		}
	}
	for _, want := range types {
		got, err := ParseType(want.String())
		if err != nil || got != want {
			t.Errorf("ParseType(%q) = %v, %v", want.String(), got, err)
		}
	}
	for _, bad := range []string{"", "decimal", "decimal(0,0)", "decimal(39,2)", "decimal(5,6)", "int", "decimal(5,2)x"} {
		if got, err := ParseType(bad); err == nil {
			t.Errorf("ParseType(%q) = %v, want an error", bad, got)
		}
	}
}

func TestDecodeNamesWhatIsWrong(t *testing.T) {
	type Written struct {
		Header bool `json:"header"`
	}
	type settings struct {
		Host string `json:"host"`
		Port int    `json:"port"`
		Written
	}
	for in, want := range map[string]string{
		`{"hosts":"x"}`:         `connection_config: json: unknown field "hosts"`,
		`{"port":"hunter2"}`:    `connection_config.port must be int, not string`,
		`{"header":"hunter2"}`:  `connection_config.header must be bool, not string`,
		`{"port":1} {"port":2}`: `connection_config: more than one JSON value`,
	} {
		var s settings
		err := Decode(json.RawMessage(in), &s)
		if !errors.Is(err, ErrInvalidConfig) || err.Error() != want {
			t.Errorf("Decode(%s) = %v, want %q", in, err, want)
		}
	}
}

func TestCompareCursors(t *testing.T) {
	for _, c := range []struct {
		kind Type
		a, b string
		want int
	}{
		{Of(Int64), "9", "10", -1},
		{Of(Int64), "-9", "-10", 1},
		{DecimalOf(10, 2), "1.50", "1.5", 0},
		{Of(Date), "2024-02-29", "2024-03-01", -1},
		{Of(String), "b", "a", 1},
	} {
		got, err := CompareCursors(c.kind, c.a, c.b)
		if err != nil || got != c.want {
			t.Errorf("CompareCursors(%s, %q, %q) = %d, %v; want %d", c.kind, c.a, c.b, got, err, c.want)
		}
	}
	if _, err := CompareCursors(Of(Int64), "x", "1"); err == nil {
		t.Error("a cursor that is no number was compared")
	}
}
