package reuse

import (
	"testing"
	"testing/synctest"
	"time"
)

func lie(p *Pool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.spare)
}

// What is asked for stays, however long; what is not goes.
func TestPoolForgetsWhatNobodyUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		for i := range 10 {
			p.Put(i)
		}
		for range 100 { // three at a time
			time.Sleep(idle / 7)
			a, b, c := p.Get(), p.Get(), p.Get()
			if a == nil || b == nil || c == nil {
				t.Fatal("what is used was forgotten")
			}
			p.Put(a)
			p.Put(b)
			p.Put(c)
		}
		if n := lie(&p); n != 3 {
			t.Errorf("%d lie there where three are used", n)
		}
		time.Sleep(2*idle + idle/7)
		if lie(&p) > 0 {
			t.Error("something lies there that nobody has asked for")
		}
		p.Put(1)
		p.Put(2)
		p.Drop()
		if lie(&p) > 0 || p.Get() != nil {
			t.Error("something lies there that was dropped")
		}
		time.Sleep(2 * idle)
	})
}
