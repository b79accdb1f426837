package keys

import (
	"errors"
	"testing"

	"headwater/connectors/driver"
)

func TestCanonicalFormsAreTheSourcesEquality(t *testing.T) {
	for _, c := range []struct {
		equality driver.Equality
		a, b     string
		equal    bool
	}{
		{driver.EqualNumbers, "7.0", "7.00", true},
		{driver.EqualNumbers, "-0.0", "0", true},
		{driver.EqualNumbers, "007", "+7", true},
		{driver.EqualNumbers, "100", "1", false},
		{driver.EqualNumbers, "1.01", "1.10", false},
		{driver.EqualNumbers, "-1", "1", false},
		{driver.EqualNumbers, "NaN", "NaN", true},
		{driver.EqualNumbers, "Infinity", "-Infinity", false},
		{driver.EqualFolded, "Ada", "aDA", true},
		{driver.EqualFolded, "ÉLAN", "élan", true},
		{driver.EqualFolded, "élan", "elan", false},
		{driver.EqualFolded, "a ", "a", false},
		{driver.EqualPadded, "a  ", "a", true},
		{driver.EqualPadded, " a", "a", false},
		{driver.EqualPadded, "A", "a", false},
		{driver.EqualIntervals, "P1M", "P30D", true},
		{driver.EqualIntervals, "P1DT1S", "PT24H1S", true},
		{driver.EqualIntervals, "P1Y", "P12M", true},
		{driver.EqualIntervals, "P1DT-24H", "PT0S", true},
		{driver.EqualIntervals, "PT1M", "P1M", false},
		{driver.EqualIntervals, "PT0.5S", "PT0.500S", true},
		{driver.EqualIntervals, "infinity", "-infinity", false},
	} {
		form, err := Canonical("k", c.equality)
		if err != nil {
			t.Fatal(err)
		}
		if got := form(c.a) == form(c.b); got != c.equal {
			t.Errorf("%s: %q and %q equal: %v, want %v", c.equality, c.a, c.b, got, c.equal)
		}
	}
	_, err := Canonical("k", driver.NotComparable+"its values are of several kinds")
	if !errors.Is(err, ErrBadKey) {
		t.Errorf("a key that cannot be compared: %v", err)
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"", "-", ".", "+.0", "-0.00", "P", "PT", "P1", "P--1D", "P1.5.5D", "é  ", "NaN", "İ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, form := range []func(string) string{plainNumber, plainInterval, lower, unpadded, Resembling} {
			once := form(text)
			if again := form(text); again != once {
				t.Fatalf("%q has two forms, %q and %q", text, once, again)
			}
		}
		if n := plainNumber(text); plainNumber(n) != n {
			t.Fatalf("the form %q of %q has another form", n, text)
		}
	})
}
