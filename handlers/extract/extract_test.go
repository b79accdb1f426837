package extract_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"

	"headwater/bus/bustest/leaks"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/landing/parts"
)

const childArgument = "connector"

// The test binary is its own child.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == childArgument {
		memory, err := strconv.ParseInt(os.Args[2], 10, 64)
		if err == nil {
			err = extract.Confine(memory)
		}
		if err == nil {
			err = extract.Serve(context.Background(), os.Stdin, os.Stdout, openers)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	leaks.Verify(m)
}

func openers(_ json.RawMessage, log *slog.Logger) (extract.Opener, error) {
	return extract.LocalOpener{Log: log, OpenSource: func(_ context.Context, _, connector string, public, secret json.RawMessage, limits driver.Limits) (extract.Source, error) {
		if connector == "refused" {
			return nil, driver.E(driver.ErrAuthentication, nil, "the password is wrong")
		}
		log.Debug("opened", "connector", connector)
		return &source{kind: connector, rows: limits.BatchRows}, nil
	}}, nil
}

// source is a source whose kind says how it misbehaves. Its table holds 100
// batches of rows.
type source struct {
	kind  string
	rows  int
	known []driver.Table
}

func (s *source) Knows() bool                { return s.kind == "knows" }
func (s *source) Know(tables []driver.Table) { s.known = tables }

const batches = 100

var hoard [][]byte // what a source has asked for

func table() driver.Table {
	return driver.Table{Namespace: "public", Name: "orders", Kind: "table", RowEstimate: -1, PrimaryKey: []string{"id"}, Columns: []driver.Column{
		{Name: "id", Type: driver.Of(driver.Int64)}, {Name: "note", Type: driver.Of(driver.String), Nullable: true},
	}}
}

func (s *source) Close() error { return nil }

func (s *source) Check(context.Context) ([]driver.Step, error) {
	err := driver.E(driver.ErrPermission, nil, "no")
	return []driver.Step{{Name: "resolve", Duration: time.Second, Message: strconv.Itoa(os.Getpid())}, {Name: "read", Err: err}}, err
}

func (s *source) Discover(ctx context.Context) ([]driver.Table, error) {
	switch s.kind {
	case "panics":
		go func() { panic("the row of ada's") }()
		select {} // the process ends, and no call before it
	case "grows":
		var held [][]byte
		for ctx.Err() == nil {
			b := make([]byte, 8<<20)
			for i := range b {
				b[i] = 1
			}
			held = append(held, b)
		}
		return nil, fmt.Errorf("%d", len(held))
	case "hoards": // and lets go
		for range 16 {
			b := make([]byte, 8<<20)
			for i := range b {
				b[i] = 1
			}
			hoard = append(hoard, b)
		}
		hoard = nil
	case "hangs": // and does not listen
		select {}
	case "some":
		return []driver.Table{table()}, &driver.UnreadTables{Tables: []driver.UnreadTable{
			{Namespace: "n", Name: "a", Err: driver.E(driver.ErrBadData, nil, "a is empty")}, {Name: "b", Err: driver.E(driver.ErrLimit, nil, "b is long")}}}
	}
	found := table()
	for _, t := range s.known {
		found.Notes = append(found.Notes, "it had "+t.Columns[0].Name+" "+t.Columns[0].Type.String())
	}
	found.Columns[0].Comment = strconv.Itoa(os.Getpid())
	return []driver.Table{found}, nil
}

func (s *source) batch(n int) driver.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(table()))
	defer b.Release()
	for id := n * s.rows; id < (n+1)*s.rows; id++ {
		b.Field(0).(*array.Int64Builder).Append(int64(id))
		b.Field(1).(*array.StringBuilder).Append(strconv.Itoa(id))
	}
	return driver.Batch{Record: b.NewRecordBatch(), Bytes: int64(100 * s.rows)}
}

func (s *source) Read(ctx context.Context, _ driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		for n := range batches {
			if n == batches/2 {
				switch s.kind {
				case "hangs":
					select {}
				case "waits":
					<-ctx.Done()
					yield(driver.Batch{}, ctx.Err())
					return
				case "fails":
					yield(driver.Batch{}, driver.E(driver.ErrBadData, nil, "row 50: it is bad"))
					return
				}
			}
			b := s.batch(n)
			if from.Column != "" {
				value := strconv.Itoa((n+1)*s.rows - 1)
				b.Resume = &driver.Cursor{Column: from.Column, Value: &value}
			} else if n == batches-1 {
				b.Resume = &driver.Cursor{Position: json.RawMessage(`"noted"`)}
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

func (*source) Whole(context.Context, driver.Table, string) (driver.Scan, error) { return nil, nil }

func (s *source) Scan(_ context.Context, _ driver.Table, landed []driver.Range) (driver.Scan, error) {
	if s.kind == "meets" || s.kind == "alone" {
		return &meeting{scan: scan{s, landed}, first: make(chan struct{}), second: make(chan struct{})}, nil
	}
	if s.kind != "divides" {
		return nil, driver.E(driver.ErrUnsupported, nil, "in one go only")
	}
	return &scan{s, landed}, nil
}

// scan has a range a batch.
type scan struct {
	*source
	landed []driver.Range
}

func (s *scan) Kept() []driver.Range { return s.landed }
func (s *scan) Unread() []driver.Range {
	var all []driver.Range
	for n := len(s.landed); n < batches; n++ {
		all = append(all, driver.Range{Token: strconv.Itoa(n), Rows: int64(s.rows)})
	}
	return all
}

func (s *scan) Read(_ context.Context, r driver.Range) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		n, _ := strconv.Atoi(r.Token)
		yield(s.batch(n), nil)
	}
}

// meeting is a scan whose first Read waits a while for a second one beside it.
type meeting struct {
	scan
	reads         atomic.Int32
	first, second chan struct{}
}

func (m *meeting) Read(ctx context.Context, r driver.Range) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		n, _ := strconv.Atoi(r.Token)
		b := m.batch(n)
		switch m.reads.Add(1) {
		case 1:
			wait := time.Minute
			if m.kind == "alone" {
				wait = 200 * time.Millisecond // for one that never comes
			}
			select {
			case <-m.second:
				b.Notes = []string{"two at once"}
			case <-time.After(wait):
			case <-ctx.Done():
			}
			close(m.first)
		case 2:
			select {
			case <-m.first: // it has gone: this is the same connection's
			default:
				close(m.second)
			}
		}
		yield(b, nil)
	}
}

// folder is where the parts of a test go.
type folder struct {
	dir  string
	made atomic.Int64
	fail error
}

func (f *folder) NextName() string {
	return filepath.Join(f.dir, fmt.Sprintf("%d.parquet", f.made.Add(1)))
}

func (f *folder) Create(name string) (io.WriteCloser, error) {
	if f.fail != nil {
		return nil, f.fail
	}
	return os.Create(name)
}

func (f *folder) rows(t *testing.T, made []parts.Part) (rows int64) {
	t.Helper()
	for _, p := range made {
		r, err := file.OpenParquetFile(p.Name, false)
		if err != nil {
			t.Fatal(err)
		}
		if r.NumRows() != p.Rows {
			t.Errorf("%s has %d rows, %d were told", p.Name, r.NumRows(), p.Rows)
		}
		rows += r.NumRows()
		r.Close()
	}
	return rows
}

func request() extract.Request {
	return extract.Request{Table: table(), Layout: parts.Layout{Schema: driver.ArrowSchema(table())}, TellEvery: time.Nanosecond}
}

// sessions runs a test in this process and in a child.
func sessions(t *testing.T, kind string, test func(t *testing.T, s extract.Session)) {
	t.Helper()
	memory := int64(256 << 20)
	if extract.Racing {
		memory *= 4
	}
	for name, opener := range map[string]extract.Opener{"here": here(), "in a child": pool(t, memory)} {
		t.Run(name, func(t *testing.T) { test(t, open(t, opener, kind)) })
	}
}

func here() extract.Opener {
	o, _ := openers(nil, slog.New(slog.DiscardHandler))
	return o
}

func pool(t *testing.T, memory int64) *extract.Pool {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := extract.NewPool(extract.PoolConfig{Command: []string{self, childArgument, strconv.FormatInt(memory, 10)}, Memory: memory, Keep: time.Minute})
	t.Cleanup(func() { p.Close() })
	return p
}

func open(t *testing.T, o extract.Opener, kind string) extract.Session {
	t.Helper()
	s, err := o.Open(t.Context(), "acme/a", kind, nil, nil, driver.Limits{BatchRows: 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A straight read yields each row once, commits what it can, and ends with the
// largest value or the cursor.
func TestStraight(t *testing.T) {
	for _, c := range []struct {
		name        string
		change      func(*extract.Request)
		checkpoints int
	}{
		{"whole", func(r *extract.Request) { r.Whole, r.Largest = true, "id" }, 1},
		{"behind a cursor", func(r *extract.Request) { r.From.Column, r.CheckpointBytes = "id", 10_000 }, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			sessions(t, "plain", func(t *testing.T, s extract.Session) {
				r, to := request(), &folder{dir: t.TempDir()}
				c.change(&r)
				var rows, told int64
				var last *extract.Checkpoint
				checkpoints := 0
				for m, err := range s.Extract(t.Context(), r, to) {
					if err != nil {
						t.Fatal(err)
					}
					told += m.Rows
					if m.Checkpoint == nil {
						continue
					}
					checkpoints++
					last = m.Checkpoint
					rows += to.rows(t, last.Parts)
					if !last.Final && *last.Next.Value != strconv.FormatInt(rows-1, 10) {
						t.Errorf("after %d rows the cursor is %s", rows, *last.Next.Value)
					}
				}
				if rows != 10*batches || told != rows {
					t.Errorf("%d rows in parts, %d told, want %d", rows, told, 10*batches)
				}
				if last == nil || !last.Final || last.Next == nil || *last.Next.Value != strconv.Itoa(10*batches-1) {
					t.Errorf("it ended with %+v", last)
				} else if noted := string(last.Next.Position); r.Whole != (noted == `"noted"`) {
					t.Errorf("beside the cursor stands %q", noted)
				}
				if checkpoints < c.checkpoints {
					t.Errorf("%d checkpoints, want %d", checkpoints, c.checkpoints)
				}
			})
		})
	}
}

func TestRanges(t *testing.T) {
	sessions(t, "divides", func(t *testing.T, s extract.Session) {
		r, to := request(), &folder{dir: t.TempDir()}
		r.Whole, r.Largest, r.Parallelism = true, "id", 3
		r.Landed = []driver.Range{{Token: "0", Rows: 10}}
		var rows int64
		seen := map[string]bool{}
		planned, final := false, false
		for m, err := range s.Extract(t.Context(), r, to) {
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case m.Plan != nil:
				planned = len(m.Plan.Kept) == 1 && m.Plan.Unread == batches-1 && m.Plan.Rows == 10*(batches-1)
			case m.Range != nil:
				n, _ := strconv.Atoi(m.Range.Token)
				if *m.Range.Largest.Value != strconv.Itoa(n*10+9) || seen[m.Range.Token] || m.Range.Rows != 10 {
					t.Errorf("%+v", m.Range)
				}
				seen[m.Range.Token] = true
				rows += to.rows(t, m.Range.Parts)
			case m.Checkpoint != nil:
				final = m.Checkpoint.Final && m.Checkpoint.Parts == nil
			}
		}
		if !planned || !final || len(seen) != batches-1 || rows != 10*(batches-1) {
			t.Errorf("planned %t, final %t, %d ranges, %d rows", planned, final, len(seen), rows)
		}
	})
}

// A narrow read goes over one connection until its session is widened, whether that
// is before or while it runs, and has every row either way.
func TestWiden(t *testing.T) {
	for when, kind := range map[string]string{"never": "alone", "before": "meets", "meanwhile": "meets", "needless": "meets"} {
		t.Run(when, func(t *testing.T) {
			sessions(t, kind, func(t *testing.T, s extract.Session) {
				r, to := request(), &folder{dir: t.TempDir()}
				r.Whole, r.Parallelism, r.Narrow = true, 2, 1
				switch when {
				case "before":
					s.(extract.Widener).Widen()
				case "needless":
					r.Narrow = 0 // it was never narrow
				}
				var rows int64
				met, final := false, false
				for m, err := range s.Extract(t.Context(), r, to) {
					if err != nil {
						t.Fatal(err)
					}
					if m.Plan != nil && when == "meanwhile" {
						s.(extract.Widener).Widen()
						s.(extract.Widener).Widen()
					}
					for _, note := range m.Notes {
						met = met || note == "two at once"
					}
					if m.Range != nil {
						rows += to.rows(t, m.Range.Parts)
					}
					final = final || m.Checkpoint != nil
				}
				if rows != 10*batches || !final || met != (when != "never") {
					t.Errorf("%d rows, final %t, two ranges at once %t", rows, final, met)
				}
				livesOn(t, s)
				if s.Close(); true {
					s.(extract.Widener).Widen() // nobody minds
				}
			})
		})
	}
}

func livesOn(t *testing.T, s extract.Session) {
	t.Helper()
	tables, err := s.Discover(t.Context())
	if err != nil || len(tables) != 1 || tables[0].Columns[1] != table().Columns[1] {
		t.Errorf("%+v, %v", tables, err)
	}
}

// What goes wrong at the source is told as it is, and the session lives on.
func TestFailures(t *testing.T) {
	sessions(t, "fails", func(t *testing.T, s extract.Session) {
		steps, err := s.Check(t.Context())
		if !errors.Is(err, driver.ErrPermission) || len(steps) != 2 || steps[0].Duration != time.Second || !errors.Is(steps[1].Err, driver.ErrPermission) {
			t.Errorf("%v, %+v", err, steps)
		}
		var failed error
		for _, err := range s.Extract(t.Context(), request(), &folder{dir: t.TempDir()}) {
			failed = err
		}
		if !errors.Is(failed, driver.ErrBadData) || failed.Error() != "row 50: it is bad" {
			t.Errorf("%v", failed)
		}
		livesOn(t, s)
	})
	// By a source that does not fail as well: of two failures either may be first.
	sessions(t, "plain", func(t *testing.T, s extract.Session) {
		var failed error
		for _, err := range s.Extract(t.Context(), request(), &folder{fail: errors.New("no space left")}) {
			failed = err
		}
		if !errors.Is(failed, parts.ErrStorage) {
			t.Errorf("a file that cannot be made: %v", failed)
		}
		livesOn(t, s)
	})
	if _, err := pool(t, 256<<20).Open(t.Context(), "acme/a", "refused", nil, nil, driver.Limits{}); !errors.Is(err, driver.ErrAuthentication) {
		t.Errorf("%v", err)
	}
}

// Tables that cannot be read come beside those that can.
func TestUnreadTables(t *testing.T) {
	sessions(t, "some", func(t *testing.T, s extract.Session) {
		for range 2 {
			tables, err := s.Discover(t.Context())
			var unread *driver.UnreadTables
			if len(tables) != 1 || !errors.As(err, &unread) || len(unread.Tables) != 2 {
				t.Fatalf("%+v, %v", tables, err)
			}
			a, b := unread.Tables[0], unread.Tables[1]
			if a.Namespace != "n" || a.Name != "a" || !errors.Is(a.Err, driver.ErrBadData) || a.Err.Error() != "a is empty" || b.Name != "b" || !errors.Is(b.Err, driver.ErrLimit) {
				t.Errorf("%+v", unread.Tables)
			}
		}
	})
}

// soon is when a child has ended that is to end: well within its own limits, of 45 s to
// open and minutes for the rest.
const soon = 30 * time.Second

// Cancelling and leaving the loop end the read, also when the source does not
// listen, and in time.
func TestCancel(t *testing.T) {
	for _, kind := range []string{"waits", "hangs"} {
		p := pool(t, 256<<20)
		s := open(t, p, kind)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		why := errors.New("enough")
		began := time.Now()
		var failed error
		for m, err := range s.Extract(ctx, request(), &folder{dir: t.TempDir()}) {
			if failed = err; m.Rows > 0 {
				began = time.Now()
				cancel(why)
			}
		}
		if !errors.Is(failed, why) {
			t.Errorf("%s: %v", kind, failed)
		}
		if took := time.Since(began); took > soon {
			t.Errorf("%s: it took %s to end", kind, took)
		}
	}
	sessions(t, "plain", func(t *testing.T, s extract.Session) {
		for _, err := range s.Extract(t.Context(), request(), &folder{dir: t.TempDir()}) {
			if err != nil {
				t.Error(err)
			}
			break
		}
		if _, err := s.Discover(t.Context()); err != nil {
			t.Errorf("after a loop that was left: %v", err)
		}
	})
}

// A source that wants to know its tables of before is told them, one that does
// not is not.
func TestKnownTables(t *testing.T) {
	for kind, wants := range map[string]bool{"knows": true, "plain": false} {
		sessions(t, kind, func(t *testing.T, s extract.Session) {
			k, ok := s.(extract.Knower)
			if !ok || k.Knows() != wants {
				t.Fatalf("%s: it says that it wants to know: %t", kind, ok && k.Knows())
			}
			if !wants {
				return
			}
			k.Know([]driver.Table{table()})
			if tables, err := s.Discover(t.Context()); err != nil || len(tables[0].Notes) != 1 || tables[0].Notes[0] != "it had id int64" {
				t.Errorf("%+v, %v", tables, err)
			}
		})
	}
}

// A child that dies takes nobody with it, and says nothing of a row.
func TestChildDies(t *testing.T) {
	p := pool(t, 200<<20)
	for kind, want := range map[string]error{"panics": driver.ErrBadData, "grows": driver.ErrLimit} {
		s := open(t, p, kind)
		_, err := s.Discover(t.Context())
		if !errors.Is(err, want) || strings.Contains(err.Error(), "ada") {
			t.Errorf("%s: %v", kind, err)
		}
		if _, again := s.Discover(t.Context()); again == nil {
			t.Errorf("%s: it lives", kind)
		}
	}
	if tables, err := open(t, p, "plain").Discover(t.Context()); err != nil || len(tables) != 1 {
		t.Errorf("the next one: %v, %v", tables, err)
	}
}

// A child that was stopped, and so neither reads nor answers, ends with its
// caller's patience, however much it was to read.
func TestStoppedChild(t *testing.T) {
	p := pool(t, 256<<20)
	for name, comment := range map[string]string{"a short call": "", "a call beyond the pipe": strings.Repeat("x", 1<<20)} {
		s := open(t, p, "plain")
		steps, _ := s.Check(t.Context())
		pid, err := strconv.Atoi(steps[0].Message)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		why := errors.New("enough")
		ctx, done := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, why)
		defer done()
		r := request()
		r.Table.Columns[0].Comment = comment
		began := time.Now()
		var failed error
		for _, err := range s.Extract(ctx, r, &folder{dir: t.TempDir()}) {
			failed = err
		}
		s.Close()
		if took := time.Since(began); !errors.Is(failed, why) || took > soon {
			t.Errorf("%s: after %s: %v", name, took, failed)
		}
	}
}

// A child that somebody else kills is told apart from one that failed.
func TestKilledChild(t *testing.T) {
	s := open(t, pool(t, 256<<20), "waits")
	steps, _ := s.Check(t.Context())
	pid, err := strconv.Atoi(steps[0].Message)
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	for m, err := range s.Extract(t.Context(), request(), &folder{dir: t.TempDir()}) {
		if failed = err; m.Rows > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if !errors.Is(failed, driver.ErrLimit) || !errors.Is(failed, extract.ErrKilled) || !strings.Contains(failed.Error(), "killed from outside") {
		t.Errorf("%v", failed)
	}
}

// A child that is ended because its caller has had enough is no fault, and the
// log says so by its silence; one that fails is told of.
func TestLogOfAChildsEnd(t *testing.T) {
	for kind, faults := range map[string]int{"hangs": 0, "waits": 0, "panics": 1} {
		var log strings.Builder
		p := extract.NewPool(extract.PoolConfig{Command: []string{self(t), childArgument, strconv.FormatInt(256<<20, 10)}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		s := open(t, p, kind)
		ctx, cancel := context.WithCancel(t.Context())
		if kind == "waits" {
			for m := range s.Extract(ctx, request(), &folder{dir: t.TempDir()}) {
				if m.Rows > 0 {
					cancel()
				}
			}
		} else {
			if kind == "hangs" {
				time.AfterFunc(200*time.Millisecond, cancel)
			}
			_, _ = s.Discover(ctx)
		}
		cancel()
		s.Close()
		p.Close()
		if n := strings.Count(log.String(), "level=ERROR"); n != faults {
			t.Errorf("%s: %d errors in the log, want %d:\n%s", kind, n, faults, log.String())
		}
	}
}

func self(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}
