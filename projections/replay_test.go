package projections

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"headwater/bus/event"
	"headwater/projections/projectionstest"
)

// replayLog is a memoryLog that can replay.
type replayLog struct {
	*projectionstest.Log
	replayed int
	stop     func(sequence uint64) error // before an event, if set
}

func (l *replayLog) Replay(ctx context.Context, after, last uint64, each func(uint64, *event.Event, int, error) error) error {
	for at := after + 1; at <= last; at++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if l.stop != nil {
			if err := l.stop(at); err != nil {
				return err
			}
		}
		l.replayed++
		e := l.At(at)
		var err error
		if e.Data == nil {
			err = event.ErrUnknown
		}
		if err := each(at, &e, 100, err); err != nil {
			return err
		}
	}
	return nil
}

// TestReplayedEqualsAppliedOneByOne: a history that is replayed in any batches,
// from any position, cut off and gone on with, gives the store of a history that
// was applied event by event: the same bytes, now and as of any sequence.
func TestReplayedEqualsAppliedOneByOne(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		events := drawHistory(rt)
		slow := openRapid(rt, vfs.NewMem())
		for _, e := range events {
			applyRapid(rt, slow, e)
		}
		fs := vfs.NewMem()
		fast := openRapid(rt, fs)
		applyRapid(rt, fast, events[:rapid.IntRange(0, len(events)-1).Draw(rt, "applied before")]...)
		log := &replayLog{Log: newLog(events...)}
		cut, enough := uint64(rapid.IntRange(0, len(events)).Draw(rt, "cut")), errors.New("enough")
		log.stop = func(sequence uint64) error {
			if sequence == cut {
				return enough
			}
			return nil
		}
		for fast.Position() < uint64(len(events)) {
			if rapid.Bool().Draw(rt, "forgetful") { // each batch reads what the one before wrote
				fast.cells.Limit = 0
			}
			err := fast.replay(t.Context(), log, uint64(len(events)), rapid.IntRange(1, 70).Draw(rt, "batch"))
			if err != nil && !errors.Is(err, enough) {
				rt.Fatal(err)
			}
			if log.stop = nil; rapid.Bool().Draw(rt, "restart") {
				if err := fast.Close(); err != nil {
					rt.Fatal(err)
				}
				fast = openRapid(rt, fs)
			}
		}
		if want, got := hashRapid(rt, slow), hashRapid(rt, fast); got != want {
			a, _ := slow.HashTables(t.Context())
			b, _ := fast.HashTables(t.Context())
			rt.Fatalf("differs in %v", Differing(a, b))
		}
		then := uint64(rapid.IntRange(1, len(events)).Draw(rt, "then"))
		for _, owner := range []string{"ann", "bob", ""} {
			q := ListQuery{Organization: "acme", Workspace: "w1", Owner: owner, AsOf: then}
			want, wantErr := slow.List(q)
			got, err := fast.List(q)
			if string(got.JSON) != string(want.JSON) || (err == nil) != (wantErr == nil) {
				rt.Fatalf("as of %d: %s (%v), wanted %s (%v)", then, got.JSON, err, want.JSON, wantErr)
			}
		}
	})
}

// TestFollowReplays: a store that is far behind is replayed, then follows; one
// that is not, or a log that cannot, is only followed.
func TestFollowReplays(t *testing.T) {
	h := busy(20, replayLeast+100)
	one := openMem(t)
	for _, e := range h.events {
		apply(t, one, e)
	}
	want := hashOf(t, one)
	for name, before := range map[string]int{"from nothing": 0, "far behind": 100, "near the end": 101} {
		s := openMem(t)
		apply(t, s, h.events[:before]...)
		if before > 0 {
			if err := s.Adopt(epoch.Format("2006-01-02T15:04:05.999999999Z07:00")); err != nil {
				t.Fatal(err)
			}
		}
		log := &replayLog{Log: newLog(h.events...)}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		watched := s.WatchSource(ctx, at("ann", "src_1"))
		go func() { ended <- s.Follow(ctx, log) }()
		<-s.Ready()
		if before <= 100 { // what is replayed is told of, too
			select {
			case <-watched:
			default:
				t.Errorf("%s: a watched source was not told of", name)
			}
		}
		if s.compactions.Held() {
			t.Errorf("%s: ready with its compactions held back", name)
		}
		more := busy(20, len(h.events)+8).events[len(h.events):]
		log.Add(more...)
		if err := s.Wait(ctx, more[len(more)-1].Sequence); err != nil {
			t.Fatal(err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		expected := len(h.events) - before
		if before > 100 {
			expected = 0
		}
		if log.replayed != expected {
			t.Errorf("%s: %d were replayed, wanted %d", name, log.replayed, expected)
		}
		whole := openMem(t)
		apply(t, whole, log.Events...)
		if hashOf(t, s) != hashOf(t, whole) || hashOf(t, whole) == want {
			t.Errorf("%s: not the history", name)
		}
	}
}

// TestPowerLossWhileReplaying: whatever a crash leaves is a true beginning of
// the history, or nothing, and is gone on with.
func TestPowerLossWhileReplaying(t *testing.T) {
	h := life(60)
	hashAt := prefixes(t, h)
	last := uint64(len(h.events))
	begun := 0
	for seed := range uint64(15) {
		mem := vfs.NewCrashableMem()
		s := openOn(t, mem)
		log := &replayLog{Log: newLog(h.events...)}
		crash := 1 + rand.New(rand.NewPCG(seed, 3)).Uint64N(last+1) // beyond the last: when all is done
		var crashed *vfs.MemFS
		clone := func() {
			crashed = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(seed, 1))})
		}
		log.stop = func(sequence uint64) error {
			if sequence == crash {
				clone()
			} else if sequence%13 == 0 {
				return s.db.Flush()
			}
			return nil
		}
		if err := s.replay(t.Context(), log, last, 7); err != nil {
			t.Fatal(err)
		}
		if crashed == nil {
			clone()
		}
		after := openOn(t, crashed)
		p := after.Position()
		if hashOf(t, after) != hashAt(p) {
			t.Errorf("seed %d: what is there at %d is not the history", seed, p)
		}
		if p > 0 && p < last {
			begun++
		}
		if crash > last && p != last {
			t.Errorf("seed %d: a replay that had ended is at %d after a crash", seed, p)
		}
		log.stop = nil
		if err := after.replay(t.Context(), log, last, 7); err != nil {
			t.Fatal(err)
		}
		if hashOf(t, after) != hashAt(last) {
			t.Errorf("seed %d: not the same after going on", seed)
		}
	}
	if begun == 0 {
		t.Error("no crash left a beginning")
	}
}
