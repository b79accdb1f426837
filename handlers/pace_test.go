package handlers

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	var p pace
	at := time.Unix(0, 0)
	p.begin(at)
	if got := p.measure(at.Add(time.Millisecond), 1000); got != 0 {
		t.Errorf("measured in a millisecond: %d", got)
	}
	if got := p.measure(at.Add(time.Second), 1000); got != 1000 {
		t.Errorf("the first second: %d", got)
	}
	if got := p.measure(at.Add(2*time.Second), 1000); got != 500 {
		t.Errorf("a second without rows: %d", got)
	}
}
