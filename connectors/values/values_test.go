package values

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// TestDatesAndNumbersAreThoseOfTheLibrary compares the parsers with the
// standard library's.
func TestDatesAndNumbersAreThoseOfTheLibrary(t *testing.T) {
	for at := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 10000; at = at.AddDate(0, 0, 1) {
		days, ok := Date([]byte(at.Format("2006-01-02")))
		if !ok || int64(days)*86400 != at.Unix() {
			t.Fatalf("%v is day %d, %v", at, days, ok)
		}
	}
	for _, none := range []string{"2023-02-29", "1900-02-29", "2024-02-30", "2024-04-31", "2024-00-01", "2024-13-01", "2024-01-00", "2024-01-32", "0000-01-01", "2024-1-01"} {
		if _, ok := Date([]byte(none)); ok {
			t.Errorf("%s is a day", none)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		digits := strconv.FormatUint(r.Uint64N(1_000_000_000_000_000)>>(r.Uint64N(50)), 10)
		if at := r.IntN(len(digits) + 1); at > 0 && at < len(digits) {
			digits = digits[:at] + "." + digits[at:]
		}
		if r.IntN(2) == 0 {
			digits = "-" + digits
		}
		want, err := strconv.ParseFloat(digits, 64)
		got, ok := shortFloat([]byte(digits))
		if err != nil || !ok || math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("%s is %v, %v, want %v", digits, got, ok, want)
		}
	}
	for _, slow := range []string{"", "-", ".", "007", "00.5", "+1", "1e5", "1.2.3", ".5", "1234567890123456", "NaN", "0x1"} {
		if f, ok := shortFloat([]byte(slow)); ok {
			t.Errorf("%q is %v", slow, f)
		}
	}
}

// FuzzShortDecimal compares the short way of reading a decimal with the long one.
func FuzzShortDecimal(f *testing.F) {
	for _, s := range []string{"0", "-0.05", "1.10", "007", "12.", ".5", "123456789012345.67", "-", "1e5", "1.2.3", "+1", "9999999999999999.99"} {
		f.Add(s, 2)
	}
	f.Fuzz(func(t *testing.T, text string, scale int) {
		scale = int(uint(scale) % 19)
		short, ok := shortDecimal([]byte(text), scale)
		if !ok {
			return
		}
		long, fits := longDecimal([]byte(text), 17, int32(scale))
		if want, _ := new(big.Rat).SetString(text); fits && new(big.Rat).SetFrac(long.BigInt(), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)).Cmp(want) != 0 {
			t.Fatalf("%q is %v", text, long)
		}
		want, valid := new(big.Rat).SetString(text)
		if !valid || new(big.Rat).SetFrac(big.NewInt(short), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)).Cmp(want) != 0 {
			t.Fatalf("%q of scale %d is %d", text, scale, short)
		}
	})
}
