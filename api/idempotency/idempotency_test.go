package idempotency

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"headwater/api/web"
)

func TestLargeAnswersAreMadeAgain(t *testing.T) {
	r := Record{Seed: NewSeed(time.Now())}
	c := &Claim{record: r}
	big := &web.Answer{Status: 200, Header: http.Header{}, Body: []byte(rubbish(2 << 20))}
	if err := c.take(big); err != nil || c.record.Body != nil || !c.Settled() {
		t.Errorf("kept %d bytes, %v", len(c.record.Body), err)
	}
	small := &web.Answer{Status: 202, Header: http.Header{"Location": {"/x"}}, Body: []byte("{}")}
	if err := c.take(small); err != nil {
		t.Fatal(err)
	}
	if a, err := c.record.Answer(); err != nil || a.Status != 202 || a.Header.Get("Location") != "/x" || string(a.Body) != "{}" {
		t.Errorf("%+v, %v", a, err)
	}
}

// rubbish does not compress.
func rubbish(n int) string {
	s := NewSeed(time.Now())
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.Write(s.derive(string(rune(i))))
	}
	return b.String()
}
