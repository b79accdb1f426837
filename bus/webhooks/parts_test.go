package webhooks

import (
	"encoding/base64"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"
)

// TestSignature holds the example of the convention's own specification.
func TestSignature(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := signature("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`), key)
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := Secret(key); got != "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" {
		t.Error(got)
	}
}

func TestBackoff(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 1 << 30: 5 * time.Minute} {
		seen := map[time.Duration]bool{}
		for range 50 {
			d := backoff(failures, time.Second, 5*time.Minute)
			if d < want/2 || d > want {
				t.Errorf("after %d failures %s, want %s at most", failures, d, want)
			}
			seen[d] = true
		}
		if len(seen) < 2 {
			t.Errorf("after %d failures always the same", failures)
		}
	}
}

func TestRetryAfterHeader(t *testing.T) {
	now := time.Now()
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "9999999": maxRetryAfter,
		now.Add(time.Minute).UTC().Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).UTC().Format(http.TimeFormat): 0,
	} {
		response := &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {text}}}
		if got := retryAfter(response, now); got > want || got < want-time.Second {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestWindow compares the window with a plain list over random histories.
func TestWindow(t *testing.T) {
	for range 200 {
		w := newWindow(State{Floor: 10}, new(share))
		var waiting []*item
		done := map[uint64]bool{}
		last := uint64(10)
		for range 60 {
			if rand.N(2) == 0 && !w.full() {
				last += 1 + uint64(rand.N(3))
				i := &item{sequence: last, body: make([]byte, rand.N(100))}
				if !w.add(i) {
					t.Fatal("a new event is not to be sent")
				}
				waiting = append(waiting, i)
			} else if len(waiting) > 0 {
				at := rand.N(len(waiting))
				w.done(waiting[at])
				done[waiting[at].sequence] = true
				waiting = slices.Delete(waiting, at, at+1)
			}
			bytes := 0
			for _, i := range waiting {
				bytes += len(i.body)
				if i.sequence <= w.floor {
					t.Fatalf("%d waits and the floor is at %d", i.sequence, w.floor)
				}
			}
			for sequence := range done {
				if sequence > w.floor && !slices.Contains(w.taken(), sequence) {
					t.Fatalf("%d was taken, and neither the floor nor the list knows", sequence)
				}
			}
			if bytes != w.bytes {
				t.Fatalf("%d bytes, counted %d", bytes, w.bytes)
			}
		}
		// A restart sends exactly what was not taken.
		again := newWindow(State{Floor: w.floor, Ahead: w.taken()}, new(share))
		for sequence := w.floor + 1; sequence <= last; sequence++ {
			if done[sequence] == again.add(&item{sequence: sequence}) {
				t.Fatalf("%d after a restart: taken before is %v", sequence, done[sequence])
			}
		}
	}
}

func TestWindowIsBounded(t *testing.T) {
	w := newWindow(State{}, new(share))
	for i := range maxWindow {
		if w.full() {
			t.Fatalf("full with %d", i)
		}
		w.add(&item{sequence: uint64(i + 1)})
	}
	if !w.full() {
		t.Error("takes more than it may")
	}
	for _, i := range slices.Clone(w.items[1:]) {
		w.done(i)
	}
	if !w.full() || len(w.taken()) != maxWindow-1 {
		t.Error("what was taken behind one that waits does not count")
	}
	w.done(w.items[0])
	if w.full() || w.floor != maxWindow || len(w.taken()) != 0 {
		t.Errorf("floor %d, %d ahead", w.floor, len(w.taken()))
	}
	w.add(&item{sequence: maxWindow + 1, body: make([]byte, maxWindowBytes)})
	if !w.full() {
		t.Error("takes more bytes than it may")
	}
}

// TestLanes holds that a receiver that is down is probed by one request at a
// time, in turn among its sources, and that one that is back gets everything.
func TestLanes(t *testing.T) {
	o := Options{Backoff: time.Second, Limit: 5 * time.Minute}
	l, now := newLanes(State{}, o), time.Now()
	sources := []string{"a", "b", "c", "d", "e", "f"}
	for i, source := range sources {
		l.add(source, &item{sequence: uint64(i + 1)}, now)
		l.add(source, &item{sequence: uint64(i + 101)}, now)
	}
	var busy []*lane
	for range maxUnderWay {
		one, _ := l.next(now)
		if one == nil || one.source != sources[len(busy)] {
			t.Fatalf("%+v, want the oldest first", one)
		}
		l.begin(one, now)
		busy = append(busy, one)
	}
	if one, at := l.next(now); one != nil || !at.IsZero() {
		t.Error("more at once than may be")
	}
	for _, one := range busy {
		l.refused(one, Attempt{Reason: "no"}, now)
	}
	if !l.down() {
		t.Fatal("not down")
	}
	probed := map[string]bool{}
	for range len(sources) {
		one, at := l.next(now)
		if one == nil {
			now = at
			one, _ = l.next(now)
		}
		l.begin(one, now)
		if more, _ := l.next(now); more != nil {
			t.Fatal("two probes at once")
		}
		probed[one.source] = true
		now = now.Add(time.Millisecond)
		l.refused(one, Attempt{Reason: "no"}, now)
	}
	if len(probed) != len(sources) {
		t.Errorf("probed %v", probed)
	}
	if w := l.waiting(); len(w) != len(sources) || w[0].SourceID != "a" {
		t.Errorf("%+v", w)
	}
	_, now = l.next(now)
	one, _ := l.next(now)
	l.begin(one, now)
	if i := l.taken(one); i.sequence > 6 {
		t.Errorf("took %d, not the first of its source", i.sequence)
	}
	for range maxUnderWay {
		one, _ := l.next(now)
		if one == nil {
			t.Fatal("still waits, though the receiver is back")
		}
		l.begin(one, now)
	}
}
