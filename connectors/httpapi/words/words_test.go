package words

import (
	"slices"
	"testing"
)

func TestPlainNames(t *testing.T) {
	for _, name := range []string{"next_cursor", "nextCursor", "Next-Cursor", "next.cursor", "NEXT CURSOR"} {
		if got := Plain(name); got != "nextcursor" {
			t.Errorf("%q is %q", name, got)
		}
	}
}

// A name tells of a next page by what stands behind "next", and next_billing_at
// does not.
func TestNamesOfANextPage(t *testing.T) {
	for plain, want := range map[string]struct {
		word string
		ok   bool
	}{
		"next": {"", true}, "nextcursor": {"cursor", true}, "nextpagetoken": {"pagetoken", true}, "odatanextlink": {"link", true}, "more": {"url", true},
		"nextbillingat": {"billingat", false}, "nextsynctoken": {"", false}, "context": {"", false}, "count": {"", false},
	} {
		if word, ok := Next(plain); ok != want.ok || ok && word != want.word {
			t.Errorf("%s: %q, %v, want %q, %v", plain, word, ok, want.word, want.ok)
		}
	}
}

func TestParametersOfTokens(t *testing.T) {
	for name, first := range map[string]string{"next_cursor": "cursor", "nextPageToken": "pageToken", "meta.next_page_token": "page_token", "scroll_id": "scroll_id", "endCursor": "after", "last_id": "after"} {
		list := TokenParams(name)
		if len(list) == 0 || list[0] != first || !slices.Equal(list, Unique(list)) {
			t.Errorf("%s: %q, want %s first and none twice", name, list, first)
		}
	}
}

func TestRoundNumbers(t *testing.T) {
	for n, want := range map[int]bool{7: false, 10: true, 20: true, 25: true, 33: false, 50: true, 64: true, 100: true, 101: false, 500: true} {
		if Round(n) != want {
			t.Errorf("%d is round: %v", n, !want)
		}
	}
	if Capped(7) || !Capped(10_000) {
		t.Error("a total of 10,000 may be the most that is counted, one of 7 is not")
	}
}
