package pagecache

import (
	"fmt"
	"strings"
	"testing"
)

type text string

func (q text) Size() int { return len(q) }

// An answer of before a reset is not kept behind it, and however much is asked
// for, what is kept is bounded.
func TestKeptPagesAreBounded(t *testing.T) {
	var p Cache
	k := Key{text("w"), 1}
	_, before := p.Get(k)
	p.Reset()
	p.Put(k, before, "an answer", 10)
	if answer, _ := p.Get(k); answer != nil {
		t.Errorf("kept from before the reset: %v", answer)
	}
	_, epoch := p.Get(k)
	p.Put(k, epoch, "an answer", pageBytes+1)
	if answer, _ := p.Get(k); answer != nil {
		t.Error("a page that is too large is kept")
	}
	long := Key{text(strings.Repeat("x", pageBytes)), 1}
	p.Put(long, epoch, "an answer", 1)
	if answer, _ := p.Get(long); answer != nil {
		t.Error("a page with a query that is too large is kept")
	}
	for i := range 10_000 {
		p.Put(Key{text(fmt.Sprint(i)), 1}, epoch, "an answer", 64<<10)
		p.Get(Key{text("0"), 1})
	}
	total := 0
	for _, half := range []map[Key]kept{p.young, p.old} {
		for _, v := range half {
			total += v.size
		}
	}
	if total > pagesBytes {
		t.Errorf("%d bytes are kept", total)
	}
	if answer, _ := p.Get(Key{text("0"), 1}); answer == nil {
		t.Error("what is asked for all the time is forgotten")
	}
}
