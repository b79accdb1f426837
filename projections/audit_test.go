package projections

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// TestAudit: a sound store passes, and each table that is not what the log says
// is named, whatever was done to it.
func TestAudit(t *testing.T) {
	h := life(200)
	log := newLog(h.events...)
	fs := vfs.NewMem()
	s := openOn(t, fs)
	follow(t, s, log)
	audit := func() AuditResult {
		t.Helper()
		r, err := s.Audit(t.Context(), log, 1)
		if err != nil || r.Sequence != uint64(len(h.events)) || r.Ended.IsZero() {
			t.Fatalf("%+v, %v", r, err)
		}
		if names, err := fs.List(""); err != nil || len(names) != 1 {
			t.Errorf("left behind: %v, %v", names, err)
		}
		return r
	}
	if r := audit(); r.Drift != nil {
		t.Errorf("a sound store drifts in %v", r.Drift)
	}
	for _, table := range layout.Tables() {
		if table.Local || table.Prefix == layout.KeyPosition {
			continue
		}
		it, err := s.scan(s.db, []byte{table.Prefix})
		if err != nil {
			t.Fatal(err)
		}
		if !it.First() {
			if err := it.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		k, v := append([]byte(nil), it.Key()...), append([]byte(nil), it.Value()...)
		changed := append([]byte(nil), v...)
		if len(changed) > 0 {
			changed[len(changed)-1] ^= 1
		} else {
			changed = []byte("x")
		}
		if err := errors.Join(it.Close(), s.db.Set(k, changed, pebble.NoSync)); err != nil {
			t.Fatal(err)
		}
		if r := audit(); !reflect.DeepEqual(r.Drift, []string{table.Name}) {
			t.Errorf("a changed value of %s: drift in %v", table.Name, r.Drift)
		}
		if err := s.db.Set(k, v, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	if r := audit(); r.Drift != nil {
		t.Errorf("put right again, it drifts in %v", r.Drift)
	}
}

// TestAuditGoesOn: an audit that is cut off is gone on with, and one of another
// store is not.
func TestAuditGoesOn(t *testing.T) {
	h := life(400)
	log := newLog(h.events...)
	fs := vfs.NewMem()
	s := openOn(t, fs)
	follow(t, s, log)
	ctx, cut := context.WithCancelCause(t.Context())
	off := errors.New("cut off")
	decoded := 0
	log.decode = func(sequence uint64) error {
		if decoded++; sequence == 1000 {
			cut(off)
		}
		return nil
	}
	if _, err := s.Audit(ctx, log, 1); !errors.Is(err, off) {
		t.Fatalf("cut off: %v", err)
	}
	decoded, log.decode = 0, func(uint64) error { decoded++; return nil }
	if r, err := s.Audit(t.Context(), log, 1); err != nil || r.Drift != nil || decoded > len(h.events)-batchEvents {
		t.Errorf("%+v, %v after %d of %d events", r, err, decoded, len(h.events))
	}

	// What was left is of another log, or knows more than the store.
	left, err := Open(Options{Dir: "store-audit", FS: fs})
	if err == nil {
		err = errors.Join(left.Apply(h.events...), left.Apply(life(900).events...), left.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.Audit(t.Context(), log, 1); err != nil || r.Drift != nil {
		t.Errorf("%+v, %v", r, err)
	}
	for name, bad := range map[string]struct {
		change func(*memoryLog)
		want   error
	}{
		"another log":       {func(l *memoryLog) { l.created = epoch.Add(time.Hour) }, ErrOtherLog},
		"a cut end":         {func(l *memoryLog) { l.events = l.events[:50] }, ErrAhead},
		"without beginning": {func(l *memoryLog) { l.first = 2 }, ErrTruncated},
	} {
		log := newLog(h.events...)
		bad.change(log)
		if r, err := s.Audit(t.Context(), log, 1); !errors.Is(err, bad.want) || r.Drift != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// TestAuditor tells what it found, while the store goes on.
func TestAuditor(t *testing.T) {
	h := life(100)
	log := newLog(h.events[:200]...)
	s := openMem(t)
	follow(t, s, log)
	a := NewAuditor(s, AuditPolicy{First: time.Millisecond, Every: time.Millisecond, Share: 0.5})
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	ended := make(chan struct{})
	go func() { defer close(ended); a.Run(ctx, log) }()
	until := func(what string, met func() bool) {
		t.Helper()
		for !met() {
			select {
			case <-ctx.Done():
				t.Fatalf("%s: %+v", what, a.Last())
			case <-time.After(time.Millisecond):
			}
		}
	}
	until("a first audit", func() bool { return a.Last().Sequence == 200 })
	log.add(h.events[200:]...)
	follow(t, s, log)
	until("the next audit", func() bool { return a.Last().Sequence == uint64(len(h.events)) })
	if err := a.Err(); err != nil {
		t.Error(err)
	}
	k := layout.AddressKey(layout.KeySource, at("ann", "src_1"))
	v, err := s.get(s.db, k)
	if err == nil {
		err = s.db.Delete(k, pebble.NoSync)
	}
	if err != nil {
		t.Fatal(err)
	}
	until("drift", func() bool { return a.Err() != nil })
	if err := a.Err(); !errors.Is(err, ErrDrift) || !strings.Contains(err.Error(), "in sources, as of") {
		t.Error(err)
	}
	if err := s.db.Set(k, v, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	until("no drift", func() bool { return a.Err() == nil })
	stop()
	<-ended
}

// holed is a log that has lost an event until it is mended.
type holed struct {
	*memoryLog
	mended atomic.Bool
}

func (h *holed) Replay(context.Context, uint64, uint64, func(uint64, *event.Event, int, error) error) error {
	if !h.mended.Load() {
		return fmt.Errorf("%w: event 7 cannot be read", ErrLost)
	}
	return errors.New("the log is away")
}

// TestAuditorFindsALostEvent holds that a node whose log cannot be read to its
// end is not taken for sound.
func TestAuditorFindsALostEvent(t *testing.T) {
	log := &holed{memoryLog: newLog(life(10).events...)}
	s := openMem(t)
	follow(t, s, log.memoryLog)
	a := NewAuditor(s, AuditPolicy{First: time.Millisecond, Every: time.Millisecond, Share: 1})
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	ended := make(chan struct{})
	go func() { defer close(ended); a.Run(ctx, log) }()
	for _, lost := range []bool{true, false} {
		for errors.Is(a.Err(), ErrLost) != lost {
			if ctx.Err() != nil {
				t.Fatalf("lost %v: %v", lost, a.Err())
			}
			time.Sleep(time.Millisecond)
		}
		log.mended.Store(true)
	}
	stop()
	<-ended
}

// TestPace rests for as much longer as the share says.
func TestPace(t *testing.T) {
	p := newPace(0.25)
	p.began = time.Now().Add(-20 * time.Millisecond)
	began := time.Now()
	if !p.rest(t.Context()) || time.Since(began) < 60*time.Millisecond {
		t.Errorf("rested %s after 20 ms at a quarter", time.Since(began))
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	p.began = time.Now().Add(-time.Hour)
	if p.rest(ctx) {
		t.Error("went on after the end")
	}
}
