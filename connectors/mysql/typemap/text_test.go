package typemap

import (
	"bytes"
	"errors"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestParseDecimal(t *testing.T) {
	for _, c := range []struct {
		in               string
		precision, scale int32
		want             string
		err              error
	}{
		{"0", 5, 2, "0.00", nil},
		{"-12.3", 15, 2, "-12.30", nil},
		{"000123", 3, 0, "123", nil},
		{"1.500", 3, 1, "1.5", nil},
		{"1.55", 3, 1, "", ErrRange},
		{"1000", 3, 0, "", ErrRange},
		{"99999999999999999999999999999999999999", 38, 0, "99999999999999999999999999999999999999", nil},
		{"-0.00000000000000000000000000000000000001", 38, 38, "-0.00000000000000000000000000000000000001", nil},
		{"", 5, 2, "", errNumber}, {"-", 5, 2, "", errNumber}, {".5", 5, 2, "", errNumber}, {"5.", 5, 2, "", errNumber}, {"1e3", 5, 2, "", errNumber}, {"1.2.3", 5, 2, "", errNumber}, {"+1", 5, 2, "", errNumber},
	} {
		got, err := parseDecimal([]byte(c.in), c.precision, c.scale)
		if !errors.Is(err, c.err) || err == nil && got.ToString(c.scale) != c.want {
			t.Errorf("parseDecimal(%q, %d, %d) = %s, %v; want %s, %v", c.in, c.precision, c.scale, got.ToString(c.scale), err, c.want, c.err)
		}
	}
}

func TestParseDates(t *testing.T) {
	for _, good := range []string{"0001-01-01", "1900-02-28", "1969-12-31", "1970-01-01", "2000-02-29", "2024-12-31", "9999-12-31"} {
		want, _ := time.Parse(time.DateOnly, good)
		if got, err := parseDate([]byte(good)); err != nil || got*86400 != want.Unix() {
			t.Errorf("parseDate(%s) = %d, %v; want %d", good, got, err, want.Unix()/86400)
		}
	}
	for _, bad := range []string{"0000-00-00", "2024-00-01", "2024-01-00", "2023-02-29", "1900-02-29", "2024-13-01", "2024-04-31", "24-01-01", "2024/01/01", "2024-1-011", ""} {
		if got, err := parseDate([]byte(bad)); err == nil {
			t.Errorf("parseDate(%s) = %d", bad, got)
		}
	}
	for in, want := range map[string]string{"2024-02-29 23:59:59": "2024-02-29T23:59:59Z", "1000-01-01 00:00:00.5": "1000-01-01T00:00:00.5Z", "9999-12-31 23:59:59.999999": "9999-12-31T23:59:59.999999Z"} {
		at, _ := time.Parse(time.RFC3339Nano, want)
		if got, err := parseTimestamp([]byte(in)); err != nil || got != at.UnixMicro() {
			t.Errorf("parseTimestamp(%s) = %d, %v; want %d", in, got, err, at.UnixMicro())
		}
	}
	for _, bad := range []string{"0000-00-00 00:00:00", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01 24:00:00", "2024-01-01 00:60:00", "2024-01-01 00:00:60", "2024-01-01 00:00:00.", "2024-01-01 00:00:00.1234567", "2024-01-01 00:00:00x1"} {
		if got, err := parseTimestamp([]byte(bad)); err == nil {
			t.Errorf("parseTimestamp(%s) = %d", bad, got)
		}
	}
}

// Cursor values are the only text of the caller in a statement.
// FuzzText throws text at every parser: what they accept must mean the same to
// the standard library.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"-12.34", "2024-02-29", "2024-02-29 10:00:00.000001", "00112233-4455-6677-8899-aabbccddeeff", "18446744073709551615"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if n, err := parseDecimal(text, 38, 10); err == nil {
			want, ok := new(big.Rat).SetString(string(text))
			got, _ := new(big.Rat).SetString(n.ToString(10))
			if !ok || want.Cmp(got) != 0 {
				t.Fatalf("decimal %q became %s", text, n.ToString(10))
			}
		}
		if days, err := parseDate(text); err == nil {
			if want, err := time.Parse(time.DateOnly, string(text)); err != nil || want.Unix() != days*86400 {
				t.Fatalf("date %q became day %d (%v)", text, days, err)
			}
		}
		if micros, err := parseTimestamp(text); err == nil {
			if want, err := time.Parse("2006-01-02 15:04:05.999999", string(text)); err != nil || want.UnixMicro() != micros {
				t.Fatalf("timestamp %q became %d (%v)", text, micros, err)
			}
		}
		if n, err := ParseInt(text); err == nil {
			if want, err := strconv.ParseInt(string(text), 10, 64); err != nil || want != n {
				t.Fatalf("integer %q became %d (%v)", text, n, err)
			}
		} else if _, err := strconv.ParseInt(strings.TrimPrefix(string(text), "+"), 10, 64); err == nil && !bytes.HasPrefix(text, []byte("+")) {
			t.Fatalf("integer %q was refused", text)
		}
		if _, err := ParseUUID(text); err == nil && strings.Count(string(text), "-") != 4 {
			t.Fatalf("UUID %q", text)
		}
	})
}
