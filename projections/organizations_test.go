package projections

import (
	"slices"
	"testing"

	"headwater/bus/event"
)

func TestOrganizations(t *testing.T) {
	var h history
	want := []string{"", "a\x00b", "acm", "acme", "acme.w1", "é"}
	for _, organization := range want {
		for _, workspace := range []string{"w1", "w2"} {
			for _, owner := range []string{"ann", ""} {
				h.connect(event.Address{Organization: organization, Workspace: workspace, Owner: owner, Source: "src_" + owner}, "op_1", "one")
			}
		}
	}
	s := openMem(t)
	if all, err := s.Organizations(); err != nil || len(all) != 0 {
		t.Errorf("of nothing: %q, %v", all, err)
	}
	apply(t, s, h.events...)
	if all, err := s.Organizations(); err != nil || !slices.Equal(all, want) {
		t.Errorf("got %q, %v", all, err)
	}
}
