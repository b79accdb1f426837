package datafiles

import "testing"

// A buffer is handed out again once it was freed, and empty; one in use is not.
func TestBuffersAreReused(t *testing.T) {
	r := newReuse()
	a, b := r.Allocate(5000), r.Allocate(5000)
	a[0], a[4999], b[0] = 1, 2, 3
	r.Free(a)
	c, d := r.Allocate(8000), r.Allocate(5000)
	if &c[0] != &a[0] || &d[0] == &a[0] || &d[0] == &b[0] {
		t.Error("a freed buffer is not handed out again, or one in use is")
	}
	if c[0] != 0 || c[4999] != 0 || b[0] != 3 {
		t.Error("what is handed out holds what was there")
	}
	c[0] = 7
	if grown := r.Reallocate(20_000, c); grown[0] != 7 || len(grown) != 20_000 {
		t.Error("a buffer that grows loses what it holds")
	}
	if e := r.Allocate(6000); &e[0] != &c[0] || e[0] != 0 {
		t.Error("what a buffer had before it grew is not handed out again")
	}
	if small := r.Allocate(10); len(small) != 10 {
		t.Error(len(small))
	}
}
