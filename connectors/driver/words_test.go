package driver

import "testing"

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0 rows", 1: "1 row", 2: "2 rows", 12345: "12345 rows", -1: "-1 rows"} {
		if got := Count(n, "row"); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	if got := Count(uint64(1)<<63, "byte"); got != "9223372036854775808 bytes" {
		t.Error(got)
	}
}
