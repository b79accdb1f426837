package landing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/kvcatalog"
)

var errCrash = errors.New("the process ended here")

// crash runs f and ends it, as a kill would, the nth time that the lake comes
// to the step: nothing after it runs, no clean-up either. It reports whether
// the lake got there.
func crash(l *Lake, step string, nth int, f func()) (crashed bool) {
	defer func() {
		l.catalog.Seam = nil
		if p := recover(); p != nil {
			if p != errCrash {
				panic(p)
			}
			crashed = true
		}
	}()
	l.catalog.Seam = func(at string) {
		if at == step {
			if nth--; nth == 0 {
				panic(errCrash)
			}
		}
	}
	f()
	return false
}

// source reads the orders below 300, in batches of 50, into a writer, with a
// commit after each.
func source(ctx context.Context, w *encoding) error {
	if _, finished := w.Finished(); finished {
		return nil
	}
	var from int64
	if c := w.Cursor(); c.Value != nil {
		fmt.Sscan(*c.Value, &from)
		from++
	}
	for ; from < 300; from += 50 {
		rec := rows(from, min(from+50, 300))
		err := w.Write(ctx, rec)
		rec.Release()
		if err == nil {
			_, err = w.Commit(ctx, behind(min(from+49, 299)), false)
		}
		if err != nil {
			return err
		}
	}
	_, err := w.Commit(ctx, nil, true)
	return err
}

// After a crash at any step of any commit, the next attempt lands what is
// missing and nothing twice, and sweeps what the crash left.
func TestCrashLosesAndRepeatsNothing(t *testing.T) {
	for _, mode := range []string{Incremental, FullRefresh} {
		for _, step := range []string{"parts", "manifests", "metadata", "swapped"} {
			for nth, more := 1, true; more; nth++ {
				t.Run(fmt.Sprintf("%s/%s/%d", mode, step, nth), func(t *testing.T) {
					l := openLake(t, kvtest.New())
					target := incremental(1, "syn_1")
					target.Mode = mode
					if mode == FullRefresh {
						seed := begin(t, l, full(1, "syn_0"))
						write(t, seed, 1000, 1010)
						commit(t, seed, nil, true)
						target.Fence, target.CursorColumn = 2, ""
					}
					attempt := func() {
						w, err := beginEncoding(t.Context(), l, target)
						if err == nil {
							err = sourceFor(t.Context(), w, mode)
						}
						if err != nil {
							t.Fatal(err)
						}
					}
					crashed := crash(l, step, nth, attempt)
					if nth == 1 && !crashed {
						t.Error("the crash did not happen: the test shows nothing")
					}
					more = crashed && !t.Failed()
					if mode == FullRefresh && crashed && step != "swapped" {
						wantIDs(t, l, span(1000, 1010))
					}
					target.Fence++
					attempt()
					wantIDs(t, l, span(0, 300))
					w := begin(t, l, withFence(target, target.Fence+1))
					if c, finished := w.Finished(); !finished || c.Records != 300 {
						t.Errorf("the finished sync: %+v, %v", c, finished)
					}
					// A file of an older fence that nothing refers to is gone.
					parts, _ := files(t, l)
					live := liveParts(t, l)
					for _, p := range parts {
						if !live[p] {
							t.Errorf("orphan %s", p)
						}
					}
				})
			}
		}
	}
}

func sourceFor(ctx context.Context, w *encoding, mode string) error {
	if mode == Incremental {
		return source(ctx, w)
	}
	if _, finished := w.Finished(); finished {
		return nil
	}
	for from := int64(0); from < 300; from += 50 {
		rec := rows(from, from+50)
		err := w.Write(ctx, rec)
		rec.Release()
		if err == nil {
			_, err = w.Commit(ctx, nil, false)
		}
		if err != nil {
			return err
		}
	}
	_, err := w.Commit(ctx, nil, true)
	return err
}

func withFence(target Target, fence uint64) Target {
	target.Fence = fence
	return target
}

func liveParts(t *testing.T, l *Lake) map[string]bool {
	t.Helper()
	at, err := l.catalog.Load(t.Context(), kvcatalog.IdentifierOf(home, "public", "orders"))
	if err != nil {
		t.Fatal(err)
	}
	live, err := l.sweeper().Needed(at)
	if err != nil {
		t.Fatal(err)
	}
	return live
}

func TestTheStaleWriterIsFenced(t *testing.T) {
	l := openLake(t, kvtest.New())
	old := begin(t, l, incremental(1, "syn_1"))
	write(t, old, 0, 100)
	commit(t, old, behind(99), false)
	write(t, old, 100, 200)

	now := begin(t, l, incremental(2, "syn_1"))
	if c := now.Cursor(); *c.Value != "99" {
		t.Fatalf("the new attempt starts at %s", *c.Value)
	}
	if _, err := old.Commit(t.Context(), behind(199), true); !errors.Is(err, ErrFenced) {
		t.Fatalf("the stale writer's commit: %v", err)
	}
	if err := old.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Begin(t.Context(), incremental(1, "syn_1")); !errors.Is(err, ErrFenced) {
		t.Fatalf("the stale worker's begin: %v", err)
	}
	write(t, now, 100, 250)
	if c := commit(t, now, behind(249), true); c.Records != 250 {
		t.Errorf("records over both attempts: %d", c.Records)
	}
	wantIDs(t, l, span(0, 250))
}

// Two writers of one fence must not both append behind one cursor.
func TestOneFenceCommitsOnce(t *testing.T) {
	l := openLake(t, kvtest.New())
	a := begin(t, l, incremental(1, "syn_1"))
	b := begin(t, l, incremental(1, "syn_1"))
	write(t, a, 0, 100)
	write(t, b, 0, 100)
	commit(t, a, behind(99), true)
	if _, err := b.Commit(t.Context(), behind(99), true); !errors.Is(err, ErrFenced) {
		t.Fatalf("the second writer's commit: %v", err)
	}
	b.Abort(t.Context())
	wantIDs(t, l, span(0, 100))
}

// A swap whose answer is lost is found out, not guessed.
func TestLostAnswers(t *testing.T) {
	lost := errors.New("timeout")
	for name, fault := range map[string]func(kv *kvtest.Memory, times *int){
		"done, answer lost": func(kv *kvtest.Memory, times *int) {
			kv.After = func(string, []byte) error {
				if *times--; *times >= 0 {
					return lost
				}
				return nil
			}
		},
		"not done": func(kv *kvtest.Memory, times *int) {
			kv.Before = func(string, []byte) error {
				if *times--; *times >= 0 {
					return lost
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			kv := kvtest.New()
			l := openLake(t, kv)
			w := begin(t, l, incremental(1, "syn_1"))
			write(t, w, 0, 100)
			times := 2
			fault(kv, &times)
			commit(t, w, behind(99), false)
			write(t, w, 100, 200)
			commit(t, w, behind(199), true)
			wantIDs(t, l, span(0, 200))
		})
	}
}

// When the catalog stays silent the writer says that it does not know, keeps
// the files that may be part of the table, and the next attempt goes on from
// what is true.
func TestUnknownOutcome(t *testing.T) {
	for _, happened := range []bool{true, false} {
		t.Run(fmt.Sprint(happened), func(t *testing.T) {
			kv := kvtest.New()
			l := openLake(t, kv)
			w := begin(t, l, incremental(1, "syn_1"))
			write(t, w, 0, 100)
			silent := func(string, []byte) error { return errors.New("no answer") }
			if happened {
				first := true
				kv.After = silent
				kv.Before = func(string, []byte) error {
					if first {
						first = false
						return nil
					}
					return errors.New("no answer")
				}
			} else {
				kv.Before = silent
			}
			if _, err := w.Commit(t.Context(), behind(99), false); !errors.Is(err, ErrUnknown) {
				t.Fatalf("commit: %v", err)
			}
			if err := w.Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
			kv.Before, kv.After = nil, nil
			w = begin(t, l, incremental(2, "syn_1"))
			if err := source(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			wantIDs(t, l, span(0, 300))
		})
	}
}

func TestCancelledCommitLandsNothing(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, incremental(1, "syn_1"))
	write(t, w, 0, 100)
	ctx, cancel := context.WithCancel(t.Context())
	l.catalog.Seam = func(step string) {
		if step == "metadata" {
			cancel()
		}
	}
	if _, err := w.Commit(ctx, behind(99), false); !errors.Is(err, context.Canceled) {
		t.Fatalf("commit: %v", err)
	}
	l.catalog.Seam = nil
	if err := w.Abort(ctx); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, l, span(0, 0))
	parts, metadata := files(t, l)
	if len(parts) != 0 || len(metadata) != 1 {
		t.Errorf("left behind: %v %v", parts, metadata)
	}
}

// Readers of a table that is refreshed all the time see one whole generation
// each time, never none and never two.
func TestReadersSeeWholeGenerations(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, full(1, "syn_0"))
	write(t, w, 0, 200)
	commit(t, w, nil, true)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	read := make(chan error, 1)
	var reads atomic.Int64
	go func() {
		defer close(read)
		for ctx.Err() == nil {
			found, err := scanIDs(context.WithoutCancel(ctx), l)
			if err != nil {
				read <- err
				return
			}
			// Generation g holds 200 rows from 1000*g.
			if len(found) != 200 || found[199]-found[0] != 199 || found[0]%1000 != 0 {
				read <- fmt.Errorf("half a generation: %d rows from %d", len(found), found[0])
				return
			}
			reads.Add(1)
		}
	}()
	// A few generations, and as many as it takes to be read amid them.
	few, last := time.Now().Add(2*time.Second), time.Now().Add(time.Minute)
	for g := int64(1); g <= 15 && time.Now().Before(few) || reads.Load() == 0 && time.Now().Before(last); g++ {
		w := begin(t, l, full(uint64(g+1), fmt.Sprintf("syn_%d", g)))
		for part := int64(0); part < 4; part++ {
			write(t, w, 1000*g+50*part, 1000*g+50*part+50)
			commit(t, w, nil, false)
		}
		commit(t, w, nil, true)
	}
	stop()
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	if reads.Load() == 0 {
		t.Error("nothing was read meanwhile: the test shows nothing")
	}
}

func TestDrop(t *testing.T) {
	kv := kvtest.New()
	l := openLake(t, kv)
	other := home
	other.Source = "src_10" // a name that begins with the other's
	for i, a := range []struct{ target Target }{{full(1, "syn_1")}, {func() Target { x := full(1, "syn_1"); x.Address = other; return x }()}} {
		w := begin(t, l, a.target)
		write(t, w, 0, int64(10+i))
		commit(t, w, nil, true)
	}
	running := begin(t, l, full(2, "syn_2"))
	write(t, running, 0, 5)
	for range 2 {
		if _, err := l.Drop(t.Context(), home); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Count(t.Context(), home, "public", "orders"); !errors.Is(err, ErrNoTable) {
		t.Errorf("count of a dropped table: %v", err)
	}
	if _, err := running.Commit(t.Context(), nil, true); err == nil {
		t.Error("a commit to a dropped table")
	}
	if n, err := l.Count(t.Context(), other, "public", "orders"); n != 11 || err != nil {
		t.Errorf("the neighbour: %d, %v", n, err)
	}
	keys, _ := kv.Keys(t.Context(), "table")
	if len(keys) != 1 || !strings.Contains(keys[0], "src_10") {
		t.Errorf("keys left: %v", keys)
	}
	tables, err := l.Tables(t.Context(), other)
	if err != nil || len(tables) != 1 || tables[0] != "public.orders" {
		t.Errorf("tables: %v, %v", tables, err)
	}
}

// A tool that works on the table through the catalog neither stops a sync nor
// makes it forget its cursor.
func TestToolsCommitMeanwhile(t *testing.T) {
	l := openLake(t, kvtest.New())
	tool := func(change func(*table.Transaction) error) {
		t.Helper()
		tbl, err := l.Catalog().LoadTable(t.Context(), kvcatalog.IdentifierOf(home, "public", "orders"))
		if err != nil {
			t.Fatal(err)
		}
		txn := tbl.NewTransaction()
		if err := change(txn); err != nil {
			t.Fatal(err)
		}
		if _, err := txn.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i, mode := range []string{Incremental, FullRefresh} {
		target := incremental(uint64(10*i+1), "syn_"+mode)
		target.Mode = mode
		w := begin(t, l, target)
		write(t, w, 0, 100)
		tool(func(txn *table.Transaction) error { return txn.SetProperties(iceberg.Properties{"owner": mode}) })
		commit(t, w, behind(99), mode == FullRefresh)
		tool(func(txn *table.Transaction) error { return txn.AddFiles(t.Context(), nil, nil, true) })
		if mode == Incremental {
			write(t, w, 100, 200)
			commit(t, w, behind(199), true)
			tool(func(txn *table.Transaction) error { return txn.AddFiles(t.Context(), nil, nil, true) })
			wantIDs(t, l, span(0, 200))
			next := begin(t, l, incremental(2, "syn_next"))
			if c := next.Cursor(); c.Value == nil || *c.Value != "199" {
				t.Errorf("after a tool's commit the cursor is %+v", c)
			}
			continue
		}
		wantIDs(t, l, span(0, 100))
	}
	at, err := l.catalog.Load(t.Context(), kvcatalog.IdentifierOf(home, "public", "orders"))
	if err != nil || at.Meta.Properties()["owner"] != FullRefresh || at.Pointer.Fence != 11 {
		t.Errorf("%v %+v %v", at.Meta.Properties(), at.Pointer, err)
	}
}
