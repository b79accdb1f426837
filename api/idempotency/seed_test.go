package idempotency

import (
	"strings"
	"testing"
	"time"
)

func TestIDs(t *testing.T) {
	s := NewSeed(time.UnixMilli(1_700_000_000_123))
	if a, b := s.ID("op_"), s.ID("op_"); a != b || len(a) != 29 {
		t.Errorf("%s, %s", a, b)
	}
	if s.ID("syn_", "a", "bc") == s.ID("syn_", "ab", "c") {
		t.Error("two texts give one id")
	}
	if u := s.UUID("x"); !strings.HasPrefix(u, "018bcfe5-687b-7") {
		t.Errorf("no UUIDv7 of its time: %s", u)
	}
}
