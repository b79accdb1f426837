package proof

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
	"headwater/projections"
	"headwater/projections/layout"
	"headwater/projections/projectionstest"
)

// TestAudit: a sound store passes, and each table that is not what the log says
// is named, whatever was done to it.
func TestAudit(t *testing.T) {
	events := projectionstest.Life(200)
	log := projectionstest.NewLog(events...)
	fs := vfs.NewMem()
	s := openOn(t, fs)
	follow(t, s, log)
	audit := func() AuditResult {
		t.Helper()
		r, err := Audit(t.Context(), s, log, 1)
		if err != nil || r.Sequence != uint64(len(events)) || r.Ended.IsZero() {
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
		var k, v, changed []byte
		s = edit(t, s, fs, func(db *pebble.DB) error {
			it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{table.Prefix}, UpperBound: []byte{table.Prefix + 1}})
			if err != nil {
				return err
			}
			if !it.First() {
				return it.Close()
			}
			k, v = append([]byte(nil), it.Key()...), append([]byte(nil), it.Value()...)
			if changed = append([]byte(nil), v...); len(changed) > 0 {
				changed[len(changed)-1] ^= 1
			} else {
				changed = []byte("x")
			}
			return errors.Join(it.Close(), db.Set(k, changed, pebble.NoSync))
		})
		if k == nil {
			continue
		}
		if r := audit(); !reflect.DeepEqual(r.Drift, []string{table.Name}) {
			t.Errorf("a changed value of %s: drift in %v", table.Name, r.Drift)
		}
		s = edit(t, s, fs, func(db *pebble.DB) error { return db.Set(k, v, pebble.NoSync) })
	}
	if r := audit(); r.Drift != nil {
		t.Errorf("put right again, it drifts in %v", r.Drift)
	}
}

// TestAuditGoesOn: an audit that is cut off is gone on with, and one of another
// store is not.
func TestAuditGoesOn(t *testing.T) {
	events := projectionstest.Life(400)
	log := projectionstest.NewLog(events...)
	fs := vfs.NewMem()
	s := openOn(t, fs)
	follow(t, s, log)
	ctx, cut := context.WithCancelCause(t.Context())
	off := errors.New("cut off")
	decoded := 0
	log.Refuse = func(sequence uint64) error {
		if decoded++; sequence == 1000 {
			cut(off)
		}
		return nil
	}
	if _, err := Audit(ctx, s, log, 1); !errors.Is(err, off) {
		t.Fatalf("cut off: %v", err)
	}
	decoded, log.Refuse = 0, func(uint64) error { decoded++; return nil }
	if r, err := Audit(t.Context(), s, log, 1); err != nil || r.Drift != nil || decoded > len(events)-256 {
		t.Errorf("%+v, %v after %d of %d events", r, err, decoded, len(events))
	}

	// What was left is of another log, or knows more than the store.
	left, err := projections.Open(projections.Options{Dir: "store-audit", FS: fs})
	if err == nil {
		err = errors.Join(left.Apply(events...), left.Apply(projectionstest.Life(900)...), left.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Audit(t.Context(), s, log, 1); err != nil || r.Drift != nil {
		t.Errorf("%+v, %v", r, err)
	}
	for name, bad := range map[string]struct {
		change func(*projectionstest.Log)
		want   error
	}{
		"another log":       {func(l *projectionstest.Log) { l.Created = projectionstest.Epoch.Add(time.Hour) }, projections.ErrOtherLog},
		"a cut end":         {func(l *projectionstest.Log) { l.Events = l.Events[:50] }, projections.ErrAhead},
		"without beginning": {func(l *projectionstest.Log) { l.First = 2 }, projections.ErrTruncated},
	} {
		log := projectionstest.NewLog(events...)
		bad.change(log)
		if r, err := Audit(t.Context(), s, log, 1); !errors.Is(err, bad.want) || r.Drift != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// TestAuditor tells what it found, while the store goes on.
func TestAuditor(t *testing.T) {
	events := projectionstest.Life(100)
	log := projectionstest.NewLog(events[:200]...)
	s := openMem(t)
	follow(t, s, log)
	a := NewAuditor(s, AuditPolicy{First: time.Millisecond, Every: time.Millisecond, Share: 0.5})
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
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
	log.Add(events[200:]...)
	follow(t, s, log)
	until("the next audit", func() bool { return a.Last().Sequence == uint64(len(events)) })
	if err := a.Err(); err != nil {
		t.Error(err)
	}
	told := *events[0]
	other := *told.Data.(*event.SourceConnected)
	other.Name = "another"
	say := func(data event.Data) {
		e := told
		e.Data = data
		log.Set(&e)
	}
	say(&other)
	until("drift", func() bool { return a.Err() != nil })
	if err := a.Err(); !errors.Is(err, projections.ErrDrift) || !strings.Contains(err.Error(), "sources") {
		t.Error(err)
	}
	say(told.Data)
	until("no drift", func() bool { return a.Err() == nil })
	stop()
	<-ended
}

// holed is a log that has lost an event until it is mended.
type holed struct {
	*projectionstest.Log
	mended atomic.Bool
}

func (h *holed) Replay(context.Context, uint64, uint64, func(uint64, *event.Event, int, error) error) error {
	if !h.mended.Load() {
		return fmt.Errorf("%w: event 7 cannot be read", projections.ErrLost)
	}
	return errors.New("the log is away")
}

// TestAuditorFindsALostEvent holds that a node whose log cannot be read to its
// end is not taken for sound.
func TestAuditorFindsALostEvent(t *testing.T) {
	log := &holed{Log: projectionstest.NewLog(projectionstest.Life(10)...)}
	s := openMem(t)
	follow(t, s, log.Log)
	a := NewAuditor(s, AuditPolicy{First: time.Millisecond, Every: time.Millisecond, Share: 1})
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	ended := make(chan struct{})
	go func() { defer close(ended); a.Run(ctx, log) }()
	for _, lost := range []bool{true, false} {
		for errors.Is(a.Err(), projections.ErrLost) != lost {
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
