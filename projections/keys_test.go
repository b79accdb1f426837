package projections

import (
	"testing"
)

func TestSourceIDIsFixed(t *testing.T) {
	const want = "src_mtdgenrfpjfz2khg7ifuitwvt4"
	if got := SourceID("acme", "w1", "ann", "a", 7); got != want {
		t.Errorf("SourceID is %s, was %s: every source would get a new id", got, want)
	}
	if SourceID("acme", "w1", "anna", "", 7) == SourceID("acme", "w1", "ann", "a", 7) {
		t.Error("texts run into each other")
	}
}
