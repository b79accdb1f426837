package extract_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/landing/parts"
)

// The source's log: orders 0 to 99 come, the even ones go, in transactions of 10.
func (s *source) Captures() bool { return s.kind != "nolog" }

func (s *source) Capture(_ context.Context, c driver.Capture) (driver.Log, error) {
	if s.kind == "lost" {
		return nil, driver.E(driver.ErrReplaced, nil, "the slot %s was dropped", c.Reader)
	}
	return &fakeLog{kind: s.kind, capture: c}, nil
}

func (s *source) Holds(_ context.Context, reader string) (bool, error) {
	return reader == "ours", nil
}

func (s *source) Release(_ context.Context, reader, _ string) error {
	if s.kind == "busy" {
		return driver.E(driver.ErrPermission, nil, "%s is in use", reader)
	}
	return nil
}

type fakeLog struct {
	kind    string
	capture driver.Capture

	mu        sync.Mutex
	confirmed []string
}

func (l *fakeLog) Moment() (string, string) { return "moment-1", "0" }

func (l *fakeLog) Refused() map[int]error {
	refused := map[int]error{}
	for i, t := range l.capture.Tables {
		if t.Name == "view" {
			refused[i] = driver.E(driver.ErrUnsupported, nil, "%s has no key", t.Table)
		}
	}
	return refused
}

func ordersOf(from, to int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(table()))
	defer b.Release()
	for id := from; id < to; id++ {
		b.Field(0).(*array.Int64Builder).Append(int64(id))
		b.Field(1).(*array.StringBuilder).Append(strings.Repeat("order ", 3) + fmt.Sprint(id))
	}
	return b.NewRecordBatch()
}

func ops(op driver.Op, n int) []driver.Op {
	all := make([]driver.Op, n)
	for i := range all {
		all[i] = op
	}
	return all
}

func (l *fakeLog) Changes(ctx context.Context) iter.Seq2[driver.Changes, error] {
	return func(yield func(driver.Changes, error) bool) {
		if l.kind == "huge" { // one transaction
			for n := 0; n < 200_000; n += 1000 {
				if !yield(driver.Changes{Table: 0, Record: ordersOf(n, n+1000), Ops: ops(driver.OpInsert, 1000), Ends: []driver.End{{Rows: 1001, Position: "1"}}, Bytes: 1000}, nil) {
					return
				}
			}
			yield(driver.Changes{Resume: "1"}, nil)
			return
		}
		if l.kind == "badtable" {
			for at := 1; at < 3; at++ {
				bad := driver.Changes{Table: 0, Record: ordersOf(0, 2), Ops: []driver.Op{driver.OpOldKey, driver.OpDelete}}
				good := driver.Changes{Table: 1, Record: ordersOf(at, at+1), Ops: ops(driver.OpInsert, 1)}
				unfit := driver.Changes{Table: 2, Record: ordersOf(at, at+1), Ops: ops(driver.OpInsert, 1)}
				for _, c := range []driver.Changes{bad, good, unfit, {Resume: fmt.Sprint(at)}} {
					if !yield(c, nil) {
						return
					}
				}
			}
			return
		}
		at := 0
		resume := func() bool {
			at++
			return yield(driver.Changes{Resume: fmt.Sprint(at), Committed: time.Unix(int64(at), 0), Fresh: time.Unix(int64(at)+9, 0)}, nil)
		}
		for n := 0; n < 100; n += 10 {
			end := []driver.End{{Rows: 10, Position: fmt.Sprint(at + 1), Committed: time.Unix(1, 0)}}
			if !yield(driver.Changes{Table: 0, Record: ordersOf(n, n+10), Ops: ops(driver.OpInsert, 10), Ends: end, Bytes: 100, Notes: []string{"noted"}}, nil) {
				return
			}
			if l.kind == "unresumed" {
				return
			}
			if n%20 == 10 && !resume() {
				return
			}
		}
		for n := 0; n < 100; n += 2 {
			if !yield(driver.Changes{Table: 0, Record: ordersOf(n, n+1), Ops: ops(driver.OpDelete, 1), Ends: []driver.End{{Rows: 1}}}, nil) {
				return
			}
		}
		if l.kind == "altered" {
			yield(driver.Changes{}, driver.E(driver.ErrRetyped, nil, "orders has other columns"))
			return
		}
		if !resume() {
			return
		}
		for l.kind == "unconfirmed" || l.capture.Continuous {
			select {
			case <-ctx.Done():
				yield(driver.Changes{}, context.Cause(ctx))
				return
			case <-time.After(time.Millisecond):
			}
			if !yield(driver.Changes{Bytes: 1}, nil) {
				return
			}
		}
	}
}

func (l *fakeLog) Confirm(_ context.Context, position string) error {
	if l.kind == "unconfirmed" {
		return driver.E(driver.ErrReplaced, nil, "the slot is gone at %s", position)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.confirmed = append(l.confirmed, position)
	return nil
}

func (l *fakeLog) Standing(context.Context) (driver.Standing, error) {
	switch l.kind {
	case "anew":
		return driver.Standing{}, driver.E(driver.ErrReplaced, nil, "the log was begun anew")
	case "unasked":
		return driver.Standing{}, driver.E(driver.ErrUnreachable, nil, "the server does not answer")
	}
	return driver.Standing{State: "reserved", Retained: 7}, nil
}

// Close tells the test what was confirmed, through a file that the reader's name says.
func (l *fakeLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.capture.Reader == "" {
		return nil
	}
	return os.WriteFile(l.capture.Reader, []byte(strings.Join(l.confirmed, " ")), 0o600)
}

func changes(to extract.Files) extract.ChangesRequest {
	return extract.ChangesRequest{Tables: []extract.ChangedTable{{Table: table(), Layout: request().Layout, Key: []string{"id"}, Files: to}, {Table: table()}}}
}

func capture(t *testing.T, s extract.Session, c driver.Capture) extract.Capturer {
	t.Helper()
	log := s.(extract.Capturer)
	c.Tables = []driver.CapturedTable{{Table: table()}, {Table: driver.Table{Name: "view"}}}
	got, err := log.Capture(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if why := got.Refused[1]; got.Moment != "moment-1" || got.Position != "0" || len(got.Refused) != 1 || !errors.Is(why, driver.ErrUnsupported) || !strings.Contains(why.Error(), "no key") {
		t.Fatalf("captured %+v", got)
	}
	return log
}

// Flushes come in order, with durable parts; what is confirmed reaches the source, and
// so does what was confirmed last, before the log is closed.
func TestChanges(t *testing.T) {
	sessions(t, "log", func(t *testing.T, s extract.Session) {
		told := filepath.Join(t.TempDir(), "confirmed")
		log := capture(t, s, driver.Capture{Reader: told})
		if got, err := log.Standing(t.Context()); err != nil || got.State != "reserved" || got.Retained != 7 {
			t.Errorf("before the changes are read: %+v, %v", got, err)
		}
		for reader, want := range map[string]bool{"ours": true, "theirs": false} {
			if got, err := log.Holds(t.Context(), reader); err != nil || got != want {
				t.Errorf("holds %s: %v, %v", reader, got, err)
			}
		}
		to := &folder{dir: t.TempDir()}
		var flushes []extract.Flush
		var rows int64
		for m, err := range log.Changes(t.Context(), changes(to)) {
			if err != nil {
				t.Fatal(err)
			}
			if rows += m.Rows; m.Flush == nil {
				continue
			}
			flushes = append(flushes, *m.Flush)
			if err := log.Confirm(t.Context(), m.Flush.Position); err != nil {
				t.Fatal(err)
			}
		}
		if len(flushes) != 7 || rows != 150 {
			t.Fatalf("%d changes in %d flushes", rows, len(flushes))
		}
		for i, f := range flushes {
			if want := fmt.Sprint(min(i+1, 6)); f.Position != want || f.Final != (i == 6) || f.Committed.Unix() != int64(min(i+1, 6)) || f.Fresh.Unix() != f.Committed.Unix()+9 {
				t.Errorf("flush %d is %+v, want position %s", i, f, want)
			}
			if i == 6 {
				if len(f.Tables) != 0 {
					t.Errorf("the last flush has %+v", f.Tables)
				}
				continue
			}
			c := f.Tables[0]
			switch {
			case len(f.Tables) != 1 || len(c.Changes) != 1 || c.Table != 0:
				t.Errorf("flush %d has %+v", i, f)
			case i < 5 && (c.Inserted != 20 || to.rows(t, c.Changes[0].Rows) != 20 || len(c.Changes[0].Gone) != 0):
				t.Errorf("flush %d has %+v", i, c)
			case i == 5 && (c.Deleted != 50 || to.rows(t, c.Changes[0].Gone) != 50 || len(c.Changes[0].Rows) != 0):
				t.Errorf("flush %d has %+v", i, c)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(told)
		if err != nil || !strings.HasSuffix(string(text), "6") {
			t.Errorf("the log was closed when %q was confirmed: %v", text, err)
		}
	})
}

// What a log says in the end comes behind everything that was read before.
func TestChangesEndInAnError(t *testing.T) {
	for kind, want := range map[string]error{"altered": driver.ErrRetyped, "unconfirmed": driver.ErrReplaced, "unresumed": driver.ErrBadData} {
		sessions(t, kind, func(t *testing.T, s extract.Session) {
			log := capture(t, s, driver.Capture{})
			flushes := 0
			var failed error
			for m, err := range log.Changes(t.Context(), changes(&folder{dir: t.TempDir()})) {
				if failed = err; m.Flush != nil {
					flushes++
					if err := log.Confirm(t.Context(), m.Flush.Position); err != nil {
						failed = err // in one process it is told at once
						break
					}
				}
			}
			if !errors.Is(failed, want) || kind == "altered" && flushes != 5 {
				t.Errorf("%s: after %d flushes: %v", kind, flushes, failed)
			}
		})
	}
	sessions(t, "lost", func(t *testing.T, s extract.Session) {
		if _, err := s.(extract.Capturer).Capture(t.Context(), driver.Capture{Reader: "r"}); !errors.Is(err, driver.ErrReplaced) {
			t.Error(err)
		}
	})
	sessions(t, "busy", func(t *testing.T, s extract.Session) {
		if err := s.(extract.Capturer).Release(t.Context(), "r", ""); !errors.Is(err, driver.ErrPermission) {
			t.Error(err)
		}
	})
	sessions(t, "nolog", func(t *testing.T, s extract.Session) {
		if s.(extract.Capturer).Captures() {
			t.Error("a source without a log has one")
		}
	})
}

// That no more changes come is the end only of a log of which the source says that it is
// still the one that was read. A reader that waits at the end of another one is told.
func TestChangesOfALogThatIsAnotherOne(t *testing.T) {
	for kind, want := range map[string]error{"anew": driver.ErrReplaced, "unasked": driver.ErrUnreachable} {
		sessions(t, kind, func(t *testing.T, s extract.Session) {
			log := capture(t, s, driver.Capture{})
			var failed error
			for m, err := range log.Changes(t.Context(), changes(&folder{dir: t.TempDir()})) {
				if failed = err; m.Flush != nil && m.Flush.Final {
					t.Errorf("%s: the last flush came", kind)
				}
			}
			if !errors.Is(failed, want) {
				t.Errorf("%s: %v", kind, failed)
			}
		})
	}
	defer extract.StandEvery(20 * time.Millisecond)()
	s := extract.Local(&source{kind: "anew"}, nil)
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var failed error
	for _, err := range capture(t, s, driver.Capture{Continuous: true}).Changes(ctx, changes(&folder{dir: t.TempDir()})) {
		failed = err
	}
	if !errors.Is(failed, driver.ErrReplaced) {
		t.Errorf("a reader that waits: %v", failed)
	}
}

// Changes that go on end when their caller leaves, or its context does.
func TestChangesAreLeft(t *testing.T) {
	sessions(t, "log", func(t *testing.T, s extract.Session) {
		log := capture(t, s, driver.Capture{Continuous: true})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var failed error
		for m, err := range log.Changes(ctx, changes(&folder{dir: t.TempDir()})) {
			if failed = err; m.Flush != nil && m.Flush.Position == "6" {
				cancel()
			}
		}
		if !errors.Is(failed, context.Canceled) {
			t.Errorf("the end of the context: %v", failed)
		}
		log = capture(t, s, driver.Capture{Continuous: true})
		for m, err := range log.Changes(t.Context(), changes(&folder{dir: t.TempDir()})) {
			if err != nil {
				t.Fatal(err)
			}
			if m.Flush != nil {
				break
			}
		}
	})
}

// A caller that is slow does not keep the child from its work, and holds no more than
// a few flushes.
func TestChangesGoOnWhileTheCallerWorks(t *testing.T) {
	s := open(t, pool(t, 0), "log")
	log := capture(t, s, driver.Capture{})
	to := &folder{dir: t.TempDir()}
	flushes := 0
	for m, err := range log.Changes(t.Context(), changes(to)) {
		if err != nil {
			t.Fatal(err)
		}
		if m.Flush == nil {
			continue
		}
		if flushes++; flushes == 1 {
			deadline := time.Now().Add(time.Minute)
			for made, _ := filepath.Glob(filepath.Join(to.dir, "*")); len(made) < 3; made, _ = filepath.Glob(filepath.Join(to.dir, "*")) {
				if time.Now().After(deadline) {
					t.Fatalf("only %d parts were made", len(made))
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
	}
	if flushes != 7 {
		t.Errorf("%d flushes came", flushes)
	}
}

// A child that stands still is ended, and whoever reads its log is told.
func TestALogThatFallsSilent(t *testing.T) {
	defer extract.Mute(500 * time.Millisecond)()
	p := pool(t, 0)
	pid := p.Spare()
	for deadline := time.Now().Add(time.Minute); pid == 0; pid = p.Spare() {
		if time.Now().After(deadline) {
			t.Fatal("no child waits")
		}
		time.Sleep(5 * time.Millisecond)
	}
	log := capture(t, open(t, p, "log"), driver.Capture{Continuous: true})
	var failed error
	for m, err := range log.Changes(t.Context(), changes(&folder{dir: t.TempDir()})) {
		if failed = err; m.Flush != nil && m.Flush.Position == "6" {
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !errors.Is(failed, driver.ErrTimeout) {
		t.Errorf("%v", failed)
	}
}

// A transaction that is larger than the memory for changes goes into parts as it
// comes, and is one flush.
func TestATransactionLargerThanMemory(t *testing.T) {
	sessions(t, "huge", func(t *testing.T, s extract.Session) {
		log := capture(t, s, driver.Capture{})
		to := &folder{dir: t.TempDir()}
		r := changes(to)
		r.Memory = 1 << 20
		var flushes []extract.Flush
		for m, err := range log.Changes(t.Context(), r) {
			if err != nil {
				t.Fatal(err)
			}
			if m.Flush != nil && !m.Flush.Final {
				flushes = append(flushes, *m.Flush)
			}
		}
		if len(flushes) != 1 || len(flushes[0].Tables) != 1 {
			t.Fatalf("flushes %+v", flushes)
		}
		rows := int64(0)
		made := flushes[0].Tables[0].Changes
		for _, c := range made {
			rows += to.rows(t, c.Rows)
		}
		if rows != 200_000 || len(made) < 20 || flushes[0].Tables[0].Inserted != 200_000 {
			t.Errorf("%d rows in %d pieces", rows, len(made))
		}
	})
}

// A table of which the log says what makes no rows, or rows that do not fit, is given
// up; the others go on.
func TestOneBadTableStopsNoOther(t *testing.T) {
	sessions(t, "badtable", func(t *testing.T, s extract.Session) {
		log := capture(t, s, driver.Capture{})
		to := &folder{dir: t.TempDir()}
		r := changes(to)
		other := parts.Layout{Schema: arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "note", Type: arrow.FixedWidthTypes.Boolean}}, nil)}
		r.Tables[1] = r.Tables[0]
		r.Tables = append(r.Tables, extract.ChangedTable{Table: table(), Layout: other, Key: []string{"id"}, Files: to})
		var flushes []extract.Flush
		for m, err := range log.Changes(t.Context(), r) {
			if err != nil {
				t.Fatal(err)
			}
			if m.Flush != nil {
				flushes = append(flushes, *m.Flush)
			}
		}
		if len(flushes) != 3 || len(flushes[0].Tables) != 3 || len(flushes[1].Tables) != 1 {
			t.Fatalf("%d flushes, %d tables in the first", len(flushes), len(flushes[0].Tables))
		}
		for i, c := range flushes[0].Tables {
			if bad := i != 1; (c.Err != nil) != bad || bad && len(c.Changes) > 0 {
				t.Errorf("table %d: %+v", i, c)
			}
		}
		if err := flushes[0].Tables[0].Err; !errors.Is(err, driver.ErrBadData) {
			t.Errorf("the first table: %v", err)
		}
		if c := flushes[1].Tables[0]; c.Table != 1 || to.rows(t, c.Changes[0].Rows) != 1 {
			t.Errorf("the other table: %+v", c)
		}
	})
}
