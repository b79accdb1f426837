package landing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/parts"
	"headwater/handlers/landing/staged"
	"headwater/handlers/landing/storage"
	"headwater/handlers/landing/sweep"
)

// stageSpan stages the orders from one id up to another as one range.
func stageSpan(ctx context.Context, w *Writer, from, to int64) error {
	var done []parts.Part
	if from < to {
		var err error
		if done, err = made(ctx, w, rows(from, to)); err != nil {
			return err
		}
	}
	at := behind(to - 1)
	if w.target.CursorColumn == "" {
		at = nil
	}
	return w.Stage(ctx, driver.Range{Token: fmt.Sprintf("%d-%d", from, to), Rows: -1}, at, nil, done)
}

func mustStage(t *testing.T, w *encoding, from, to int64) {
	t.Helper()
	if err := stageSpan(t.Context(), w.Writer, from, to); err != nil {
		t.Fatal(err)
	}
}

func tokens(w *encoding) string {
	var all []string
	for _, r := range w.Staged() {
		all = append(all, fmt.Sprintf("%s:%d", r.Token, r.Rows))
	}
	return strings.Join(all, " ")
}

// load is a target whose first sync reads the whole table.
func load(mode string, fence uint64, sync string) Target {
	target := incremental(fence, sync)
	target.Mode = mode
	return target
}

// noOrphans fails when files lie about that neither a snapshot nor the staged
// ranges refer to.
func noOrphans(t *testing.T, l *Lake) {
	t.Helper()
	if found, err := orphans(t.Context(), l, "orders"); err != nil || len(found) > 0 {
		t.Errorf("orphans %v, %v", found, err)
	}
}

func orphans(ctx context.Context, l *Lake, name string) (found []string, err error) {
	at, err := l.catalog.Load(ctx, kvcatalog.IdentifierOf(home, "public", name))
	if err != nil {
		return nil, err
	}
	live, err := l.sweeper().Needed(at)
	if err != nil {
		return nil, err
	}
	all, err := storage.List(l.files, at.Meta.Location())
	for _, f := range all {
		if sweep.IsPart(f.Base) && !live[f.Base] {
			found = append(found, f.Base)
		}
	}
	return found, err
}

func TestALoadGoesOnWhereItsRangesEnd(t *testing.T) {
	for _, mode := range []string{FullRefresh, Incremental} {
		t.Run(mode, func(t *testing.T) {
			l := openLake(t, kvtest.New())
			if mode == FullRefresh {
				w := begin(t, l, load(mode, 1, "syn_0"))
				write(t, w, 1000, 1010)
				commit(t, w, behind(1009), true)
			}
			before := ids(t, l2orders(t, l, load(mode, 2, "syn_1")))
			w := begin(t, l, load(mode, 3, "syn_1"))
			mustStage(t, w, 0, 100)
			mustStage(t, w, 200, 300)
			mustStage(t, w, 500, 500)
			if c := w.Landed(); c.Records != 200 || c.Files != 2 || c.Bytes == 0 {
				t.Errorf("staged: %+v", c)
			}
			if err := stageSpan(t.Context(), w.Writer, 0, 100); err == nil {
				t.Error("a range was staged twice")
			}
			if err := w.Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantIDs(t, l, before)

			w = begin(t, l, load(mode, 4, "syn_1"))
			if got := tokens(w); got != "0-100:100 200-300:100 500-500:0" {
				t.Fatalf("staged: %s", got)
			}
			if c, finished := w.Finished(); finished || c.Records != 200 || c.Files != 2 {
				t.Errorf("%+v %v", c, finished)
			}
			noOrphans(t, l)
			mustStage(t, w, 300, 350)
			// The source says that one range no longer holds what was read.
			if err := w.Keep(t.Context(), []driver.Range{{Token: "200-300"}, {Token: "300-350"}, {Token: "500-500"}}); err != nil {
				t.Fatal(err)
			}
			noOrphans(t, l)
			if c := w.Landed(); c.Records != 150 || c.Files != 2 {
				t.Errorf("after one was given up: %+v", c)
			}
			mustStage(t, w, 0, 120)
			write(t, w, 120, 130) // what was not read in ranges
			if c := commit(t, w, nil, false); c.SnapshotID != 0 {
				t.Errorf("staged ranges show before the end: %+v", c)
			}
			wantIDs(t, l, before)
			c := commit(t, w, nil, true)
			want := slices.Concat(span(0, 130), span(200, 350))
			if c.Records != 280 || c.Files != 4 || c.Total != 280 || c.Cursor.Value == nil || *c.Cursor.Value != "499" {
				t.Errorf("%+v %v", c, *c.Cursor.Value)
			}
			wantIDs(t, l, want)

			w = begin(t, l, incremental(5, "syn_2"))
			if at := w.Cursor(); at.Value == nil || *at.Value != "499" {
				t.Fatalf("the next sync is not incremental: %+v", at)
			}
			if got := tokens(w); got != "" {
				t.Errorf("still staged: %s", got)
			}
			if err := stageSpan(t.Context(), w.Writer, 500, 600); err == nil {
				t.Error("a range was staged by a sync that goes on behind a cursor")
			}
			w.Abort(t.Context())
			noOrphans(t, l)
			wantIDs(t, l, want)
		})
	}
}

// l2orders makes sure that the table exists.
func l2orders(t *testing.T, l *Lake, target Target) *Lake {
	t.Helper()
	begin(t, l, target).Abort(t.Context())
	return l
}

// What another sync staged, or this one for other columns, is given up with its
// files.
func TestStagedIsGivenUp(t *testing.T) {
	wider := orders()
	wider.Columns = append(slices.Clone(wider.Columns), driver.Column{Name: "more", Type: driver.Of(driver.Int64), Nullable: true})
	for name, change := range map[string]func(t *testing.T, l *Lake, target *Target){
		"another sync":  func(_ *testing.T, _ *Lake, x *Target) { x.SyncID = "syn_2" },
		"a reset":       func(_ *testing.T, _ *Lake, x *Target) { x.SyncID, x.Mode, x.Reset = "syn_2", Incremental, true },
		"other columns": func(_ *testing.T, _ *Lake, x *Target) { x.Table = wider },
		"a part is gone": func(t *testing.T, l *Lake, x *Target) {
			names, _ := files(t, l)
			path, err := storage.LocalPath(l.catalog.Place(kvcatalog.IdentifierOf(home, "public", "orders")) + "/data/" + names[0])
			if err == nil {
				err = os.Remove(path)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := openLake(t, kvtest.New())
			target := load(FullRefresh, 1, "syn_1")
			w := begin(t, l, target)
			for i := range int64(70) { // more than one segment
				mustStage(t, w, 10*i, 10*i+1)
			}
			w.Abort(t.Context())
			target.Fence = 2
			change(t, l, &target)
			w = begin(t, l, target)
			if got := tokens(w); got != "" {
				t.Errorf("still staged: %s", got)
			}
			if c := w.Landed(); c.Records != 0 {
				t.Errorf("%+v", c)
			}
			parts, metadata := files(t, l)
			if len(parts) != 0 || slices.ContainsFunc(metadata, func(n string) bool { return strings.HasSuffix(n, staged.Suffix) }) {
				t.Errorf("left behind: %v %v", parts, metadata)
			}
			commit(t, w, nil, true)
			wantIDs(t, l, span(0, 0))
		})
	}
}

func TestManyRangesAtOnce(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, load(FullRefresh, 1, "syn_1"))
	const n = 200
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for i := range int64(n) {
		wg.Go(func() { errs <- stageSpan(t.Context(), w.Writer, 10*i, 10*i+10) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.Abort(t.Context())
	noOrphans(t, l)
	w = begin(t, l, load(FullRefresh, 2, "syn_1"))
	if got := len(w.Staged()); got != n {
		t.Fatalf("%d ranges staged", got)
	}
	if c := commit(t, w, behind(10*n), true); c.Files != n || c.Records != 10*n || *c.Cursor.Value != "2000" {
		t.Errorf("%+v", c)
	}
	wantIDs(t, l, span(0, 10*n))
	noOrphans(t, l)
}

func TestTheStaleWriterStagesNothing(t *testing.T) {
	l := openLake(t, kvtest.New())
	old := begin(t, l, load(FullRefresh, 1, "syn_1"))
	mustStage(t, old, 0, 10)
	now := begin(t, l, load(FullRefresh, 2, "syn_1"))
	if err := stageSpan(t.Context(), old.Writer, 10, 20); !errors.Is(err, ErrFenced) {
		t.Fatalf("the stale writer staged: %v", err)
	}
	if err := old.Keep(t.Context(), nil); !errors.Is(err, ErrFenced) {
		t.Fatalf("the stale writer gave ranges up: %v", err)
	}
	old.Abort(t.Context())
	mustStage(t, now, 10, 20)
	commit(t, now, behind(19), true)
	wantIDs(t, l, span(0, 20))
	noOrphans(t, l)
}

// After a crash at any step of staging, giving up or the last commit, the next
// attempt reads again what was not staged, and nothing lands twice.
func TestCrashWhileStaging(t *testing.T) {
	for _, mode := range []string{FullRefresh, Incremental} {
		for _, step := range []string{"staged", "stage swapped", "parts", "metadata", "swapped"} {
			for nth, more := 1, true; more; nth++ {
				t.Run(fmt.Sprintf("%s/%s/%d", mode, step, nth), func(t *testing.T) {
					l := openLake(t, kvtest.New())
					target := load(mode, 1, "syn_1")
					read := 0
					attempt := func() {
						w, err := beginEncoding(t.Context(), l, target)
						if err != nil {
							t.Fatal(err)
						}
						if _, finished := w.Finished(); finished {
							return
						}
						// The first of what was staged no longer holds.
						staged := w.Staged()
						if len(staged) > 0 && target.Fence == 2 {
							if err := w.Keep(t.Context(), staged[1:]); err != nil {
								t.Fatal(err)
							}
						}
						staged = w.Staged()
						for from := int64(0); from < 250; from += 50 {
							token := fmt.Sprintf("%d-%d", from, from+50)
							if slices.ContainsFunc(staged, func(r driver.Range) bool { return r.Token == token }) {
								continue
							}
							read++
							mustStage(t, w, from, from+50)
						}
						commit(t, w, nil, true)
					}
					crashed := crash(l, step, nth, attempt)
					if nth == 1 && !crashed {
						t.Error("the crash did not happen: the test shows nothing")
					}
					more = crashed && !t.Failed()
					if crashed && step != "swapped" {
						wantIDs(t, l, span(0, 0))
					}
					target.Fence++
					if crashed && strings.HasPrefix(step, "stage") { // crash the second attempt where it gives up
						crash(l, step, 1, attempt)
						target.Fence++
					}
					attempt()
					wantIDs(t, l, span(0, 250))
					if read > 8 {
						t.Errorf("%d ranges were read for 5", read)
					}
					w := begin(t, l, withFence(target, target.Fence+1))
					if c, finished := w.Finished(); !finished || c.Records != 250 || *c.Cursor.Value != "249" {
						t.Errorf("the finished sync: %+v, %v", c, finished)
					}
					noOrphans(t, l)
				})
			}
		}
	}
}

// Ranges that were staged with columns that the table does not have yet land
// with them, after a crash too.
func TestStagedRangesOfAnotherSchema(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, full(1, "syn_0"))
	write(t, w, 1000, 1010)
	commit(t, w, nil, true)
	target := load(FullRefresh, 2, "syn_1")
	target.Table.Columns = append(slices.Clone(target.Table.Columns), driver.Column{Name: "more", Type: driver.Of(driver.Int64)})
	target.Table.Columns[1].Type = driver.Of(driver.Int32) // was text
	for i := range int64(3) {
		w := begin(t, l, withFence(target, 2+uint64(i)))
		if got := len(w.Staged()); got != int(i) {
			t.Fatalf("%d ranges staged, want %d", got, i)
		}
		b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(target.Table))
		if err := b.UnmarshalJSON(fmt.Appendf(nil, `{"id":%d,"note":7,"more":8}`, i)); err != nil {
			t.Fatal(err)
		}
		done, err := made(t.Context(), w.Writer, b.NewRecordBatch())
		if err == nil {
			err = w.Stage(t.Context(), driver.Range{Token: fmt.Sprint(i)}, behind(i), nil, done)
		}
		if err != nil {
			t.Fatal(err)
		}
		if i < 2 {
			w.Abort(t.Context())
			continue
		}
		commit(t, w, nil, true)
	}
	columns, shown, err := l.Preview(t.Context(), home, "public", "orders", 10)
	if err != nil || len(columns) != 3 || len(shown) != 3 || shown[0][1] != int64(7) || shown[2][2] != int64(8) {
		t.Errorf("%v %v %v", columns, shown, err)
	}
}

// A catalog that stays silent while a range is staged: it is staged or not, its
// parts are kept, and the next attempt knows.
func TestUnknownStage(t *testing.T) {
	for _, happened := range []bool{true, false} {
		t.Run(fmt.Sprint(happened), func(t *testing.T) {
			kv := kvtest.New()
			l := openLake(t, kv)
			w := begin(t, l, load(FullRefresh, 1, "syn_1"))
			mustStage(t, w, 0, 10)
			first := happened
			kv.Before = func(string, []byte) error {
				if first {
					first = false
					return nil
				}
				return errors.New("no answer")
			}
			kv.After = func(string, []byte) error { return errors.New("no answer") }
			if err := stageSpan(t.Context(), w.Writer, 10, 20); !errors.Is(err, ErrUnknown) {
				t.Fatalf("staging: %v", err)
			}
			if _, err := w.Commit(t.Context(), nil, true); !errors.Is(err, ErrUnknown) {
				t.Fatalf("a commit after it: %v", err)
			}
			w.Abort(t.Context())
			kv.Before, kv.After = nil, nil
			w = begin(t, l, load(FullRefresh, 2, "syn_1"))
			if got, want := len(w.Staged()), map[bool]int{true: 2, false: 1}[happened]; got != want {
				t.Fatalf("%d ranges staged, want %d", got, want)
			}
			if !happened {
				mustStage(t, w, 10, 20)
			}
			commit(t, w, behind(19), true)
			wantIDs(t, l, span(0, 20))
			noOrphans(t, l)
		})
	}
}

// A tool that rearranges the table meanwhile stops neither staging nor the
// commit; staged ranges outlive its commits.
func TestToolsCommitWhileStaging(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, load(FullRefresh, 1, "syn_1"))
	mustStage(t, w, 0, 10)
	for i := range int64(2) {
		tbl, err := l.Catalog().LoadTable(t.Context(), kvcatalog.IdentifierOf(home, "public", "orders"))
		if err != nil {
			t.Fatal(err)
		}
		txn := tbl.NewTransaction()
		if err := txn.AddFiles(t.Context(), nil, nil, true); err != nil {
			t.Fatal(err)
		}
		if _, err := txn.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustStage(t, w, 10+10*i, 20+10*i)
	}
	commit(t, w, nil, true)
	wantIDs(t, l, span(0, 30))
}

func BenchmarkStage(b *testing.B) {
	l, err := Open(b.Context(), b.TempDir(), kvtest.New(), nil)
	if err != nil {
		b.Fatal(err)
	}
	w, err := l.Begin(b.Context(), load(FullRefresh, 1, "syn_1"))
	if err != nil {
		b.Fatal(err)
	}
	done, err := made(b.Context(), w, rows(0, 10))
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		i++
		if err := w.Stage(b.Context(), driver.Range{Token: fmt.Sprint(i)}, behind(int64(i)), nil, done); err != nil {
			b.Fatal(err)
		}
	}
}
