package throughput

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	var p Pace
	at := time.Unix(0, 0)
	p.Begin(at)
	if got := p.Measure(at.Add(time.Millisecond), 1000); got != 0 {
		t.Errorf("measured in a millisecond: %d", got)
	}
	if got := p.Measure(at.Add(time.Second), 1000); got != 1000 {
		t.Errorf("the first second: %d", got)
	}
	if got := p.Measure(at.Add(2*time.Second), 1000); got != 500 {
		t.Errorf("a second without rows: %d", got)
	}
}
