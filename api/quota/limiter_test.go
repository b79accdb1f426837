package quota

import "testing"

func TestLimiter(t *testing.T) {
	var l Limiter
	a, b := Share{"a", 2, "A has"}, Share{"b", 3, "B has"}
	for range 2 {
		if full := l.Enter(1, a, b); full != nil {
			t.Fatal(full)
		}
	}
	if full := l.Enter(1, b, a); full == nil || full.Key != "a" {
		t.Errorf("got %v", full)
	}
	if full := l.Enter(1, b); full != nil {
		t.Errorf("the refused one took of b: %v", full)
	}
	if full := l.Enter(1, b); full == nil {
		t.Error("b has more than its share")
	}
	l.Leave(1, a, b)
	l.Leave(1, a, b)
	l.Leave(1, b)
	if len(l.taken) > 0 {
		t.Errorf("left %v", l.taken)
	}
	if full := l.Enter(9, a); full != nil {
		t.Error("one that is too large alone finds no place ever")
	}
}
