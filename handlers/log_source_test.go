package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/landing/parts"
)

// logged plays a server with a log of changes: tables of rows by id, a log of what
// happened to them, and the places of readers. It is safe for concurrent use.
type logged struct {
	mu      sync.Mutex
	tables  map[string]*loggedTable
	log     []happened
	readers map[string]int // how much of the log is confirmed
	changed chan struct{}

	captures []driver.Capture
	releases int
	retained int64
	ahead    time.Duration // of the server's clock, before ours
	early    time.Duration // by how much what has landed is called complete for too long
	unread   int64         // of the log, which is never at its end
	// Hooks: they come before what they are called for. nil lets it pass.
	onCapture func(driver.Capture) error
	onFlush   func(n int) error
	onRelease func() error
	onStand   func() error // of Standing
	refuse    map[string]error
	told      string // columns of the table of that name have changed: ErrRetyped once
	bad       string // a change of the table of that name cannot land: ErrRetyped, and refused in the same session
	onRead    func(ctx context.Context, table string)
	apart     func(table string) string // why a table is not read at the capture's moment; nil has none
}

type loggedTable struct {
	extra   []driver.Column
	rows    map[int64]string
	keyless bool // it has no primary key
}

// happened is a change of one row, a transaction of its own.
type happened struct {
	table string
	op    driver.Op
	id    int64
	note  string
	at    time.Time
}

func newLogged(tables ...string) *logged {
	l := &logged{tables: map[string]*loggedTable{}, readers: map[string]int{}, changed: make(chan struct{}), refuse: map[string]error{}}
	for _, name := range tables {
		l.tables[name] = &loggedTable{rows: map[int64]string{}}
	}
	return l
}

func (l *logged) do(table string, op driver.Op, id int64, note string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tables[table]
	switch op {
	case driver.OpDelete:
		delete(t.rows, id)
	case driver.OpTruncate:
		clear(t.rows)
	default:
		t.rows[id] = note
	}
	l.log = append(l.log, happened{table, op, id, note, time.Now().Add(l.ahead)})
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *logged) table(name string) driver.Table {
	key := []string{"id"}
	if l.tables[name].keyless {
		key = nil
	}
	return driver.Table{
		Namespace: "public", Name: name, Kind: "table", RowEstimate: -1, PrimaryKey: key, Identity: "server/" + name,
		Columns: append([]driver.Column{column("id", driver.Int64), column("note", driver.String)}, l.tables[name].extra...),
	}
}

func (l *logged) all() map[string]map[int64]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]map[int64]string{}
	for name, t := range l.tables {
		all[name] = maps.Clone(t.rows)
	}
	return all
}

// Open makes it the Connectors of a world.
func (l *logged) Open(context.Context, string, string, json.RawMessage, json.RawMessage, driver.Limits) (extract.Session, error) {
	s := &loggedSession{l: l}
	return s, nil
}

func (l *logged) Forget(string) {}

// loggedSession reads tables through extract.Local, and the log by itself.
type loggedSession struct {
	l       *logged
	capture driver.Capture
	begin   map[string]int // by table: where its changes go on
	spoiled string         // the table that goes no further
}

func (s *loggedSession) local() extract.Session { return extract.Local(&loggedTables{l: s.l}, nil) }

func (s *loggedSession) Check(ctx context.Context) ([]driver.Step, error) { return nil, nil }
func (s *loggedSession) Close() error                                     { return nil }
func (s *loggedSession) Captures() bool                                   { return true }

func (s *loggedSession) Discover(ctx context.Context) ([]driver.Table, error) {
	return s.local().Discover(ctx)
}

func (s *loggedSession) Extract(ctx context.Context, r extract.Request, to extract.Files) iter.Seq2[extract.Message, error] {
	return s.local().Extract(ctx, r, to)
}

func (s *loggedSession) Capture(_ context.Context, c driver.Capture) (extract.Captured, error) {
	l := s.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.onCapture != nil {
		if err := l.onCapture(c); err != nil {
			return extract.Captured{}, err
		}
	}
	l.captures = append(l.captures, c)
	now := len(l.log)
	position := strconv.Itoa(now)
	at, there := l.readers[c.Reader]
	landed, _ := strconv.Atoi(c.Landed)
	anew := !slices.ContainsFunc(c.Tables, func(t driver.CapturedTable) bool { return t.After != "" })
	switch {
	case anew:
		l.readers[c.Reader] = now
	case !there:
		return extract.Captured{}, driver.E(driver.ErrReplaced, nil, "the slot %s is not there any more", c.Reader)
	case at > landed && c.Landed != "":
		return extract.Captured{}, driver.E(driver.ErrReplaced, nil, "the slot %s was moved by somebody else", c.Reader)
	default: // a log that is opened at a position is told that this has landed
		l.readers[c.Reader] = max(at, landed)
	}
	captured := extract.Captured{Refused: map[int]error{}}
	s.capture, s.begin = c, map[string]int{}
	for i, t := range c.Tables {
		if why := l.refuse[t.Name]; why != nil {
			captured.Refused[i] = why
		}
		if t.Name == s.spoiled && t.After != "" {
			captured.Refused[i] = driver.E(driver.ErrBadData, nil, "table %s: a date is infinity", t.Name)
		}
		after := now
		if t.After == "" {
			captured.Position = position
			if l.apart != nil {
				captured.Moment = "at " + position
			}
		} else {
			after, _ = strconv.Atoi(t.After)
		}
		s.begin[t.Name] = after
	}
	return captured, nil
}

func (s *loggedSession) Standing(context.Context) (driver.Standing, error) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.l.onStand != nil {
		if err := s.l.onStand(); err != nil {
			return driver.Standing{}, err
		}
	}
	return driver.Standing{At: time.Now(), Position: strconv.Itoa(s.l.readers[s.capture.Reader]), Retained: s.l.retained, Left: -1, State: "reserved"}, nil
}

func (s *loggedSession) Holds(_ context.Context, reader string) (bool, error) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	_, there := s.l.readers[reader]
	return there, nil
}

func (s *loggedSession) Release(_ context.Context, reader, _ string) error {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.l.onRelease != nil {
		if err := s.l.onRelease(); err != nil {
			return err
		}
	}
	s.l.releases++
	delete(s.l.readers, reader)
	return nil
}

func (s *loggedSession) Confirm(_ context.Context, position string) error {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if _, there := s.l.readers[s.capture.Reader]; !there {
		return driver.E(driver.ErrUnreachable, nil, "the server has ended the connection")
	}
	n, err := strconv.Atoi(position)
	if err == nil {
		s.l.readers[s.capture.Reader] = n
	}
	return err
}

// Changes flushes what is there by the capture's delay, a few changes at a time.
func (s *loggedSession) Changes(ctx context.Context, r extract.ChangesRequest) iter.Seq2[extract.ChangesMessage, error] {
	return func(yield func(extract.ChangesMessage, error) bool) {
		l := s.l
		l.mu.Lock()
		at, end := l.readers[s.capture.Reader], len(l.log)
		l.mu.Unlock()
		for n := 0; ; n++ {
			l.mu.Lock()
			if s.capture.Continuous {
				end = len(l.log)
			}
			to := min(end, at+3)
			some, changed, hook, told := slices.Clone(l.log[at:to]), l.changed, l.onFlush, l.told
			standing := driver.Standing{At: time.Now(), Position: strconv.Itoa(at), Behind: int64(end-at) + l.unread, Retained: l.retained, Left: -1, State: "reserved"}
			l.told = ""
			l.mu.Unlock()
			if hook != nil {
				if err := hook(n); err != nil {
					yield(extract.ChangesMessage{}, err)
					return
				}
			}
			if s.spoils(r) {
				yield(extract.ChangesMessage{}, driver.E(driver.ErrRetyped, nil, "table %s: a date is infinity", s.spoiled))
				return
			}
			if told != "" {
				yield(extract.ChangesMessage{}, driver.E(driver.ErrRetyped, nil, "table %s has other columns", told))
				return
			}
			final := !s.capture.Continuous && to == end
			f, err := s.flush(ctx, r, some, at)
			if err != nil {
				yield(extract.ChangesMessage{}, err)
				return
			}
			f.Position, f.Final, at = strconv.Itoa(to), final, to
			if !yield(extract.ChangesMessage{Standing: &standing}, nil) || !yield(extract.ChangesMessage{Rows: int64(len(some))}, nil) || !yield(extract.ChangesMessage{Flush: f}, nil) || final {
				return
			}
			if to < end {
				continue
			}
			select {
			case <-changed:
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				yield(extract.ChangesMessage{}, ctx.Err())
				return
			}
		}
	}
}

// spoils reports whether a table is read of which a change cannot land. The session
// knows it from then on.
func (s *loggedSession) spoils(r extract.ChangesRequest) bool {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if !slices.ContainsFunc(r.Tables, func(t extract.ChangedTable) bool { return t.Files != nil && t.Table.Name == s.l.bad }) {
		return false
	}
	s.spoiled = s.l.bad
	return true
}

// flush collapses changes and makes parts of them.
func (s *loggedSession) flush(ctx context.Context, r extract.ChangesRequest, some []happened, from int) (*extract.Flush, error) {
	f := &extract.Flush{}
	for i, t := range r.Tables {
		if t.Files == nil {
			continue
		}
		c := extract.TableChanges{Table: i}
		last, truncated := map[int64]*string{}, false
		for n, h := range some {
			if h.table != t.Table.Name || from+n < s.begin[h.table] {
				continue
			}
			switch f.Committed, f.Fresh = h.at, h.at.Add(s.l.early-s.l.ahead); h.op {
			case driver.OpInsert:
				c.Inserted++
			case driver.OpUpdate:
				c.Updated++
			case driver.OpDelete:
				c.Deleted++
			case driver.OpTruncate:
				c.Truncated++
				clear(last)
				truncated = true
				continue
			}
			if last[h.id] = &h.note; h.op == driver.OpDelete {
				last[h.id] = nil
			}
		}
		if c.Inserted+c.Updated+c.Deleted+c.Truncated == 0 {
			continue
		}
		change := parts.Changes{Truncated: truncated}
		var err error
		if change.Rows, change.Gone, err = encodeChanges(ctx, t, last); err != nil {
			return nil, err
		}
		c.Changes = []parts.Changes{change}
		f.Tables = append(f.Tables, c)
	}
	return f, nil
}

func encodeChanges(ctx context.Context, t extract.ChangedTable, last map[int64]*string) (rows, gone []parts.Part, err error) {
	write := func(layout parts.Layout, put func(b *array.RecordBuilder) int) []parts.Part {
		b := array.NewRecordBuilder(memory.DefaultAllocator, layout.Schema)
		defer b.Release()
		if put(b) == 0 || err != nil {
			return nil
		}
		enc := parts.Start(parts.Config{Files: t.Files, Layout: layout, Name: t.Files.NextName})
		wrong := enc.Put(ctx, b.NewRecordBatch())
		made, failed := enc.Finish()
		if err = wrong; err == nil {
			err = failed
		}
		return made
	}
	ids := slices.Sorted(maps.Keys(last))
	rows = write(t.Layout, func(b *array.RecordBuilder) (n int) {
		for _, id := range ids {
			if last[id] == nil {
				continue
			}
			n++
			for i, f := range b.Fields() {
				switch f := f.(type) {
				case *array.Int64Builder:
					f.Append(id)
				case *array.StringBuilder:
					f.Append(*last[id])
				default:
					b.Field(i).AppendNull()
				}
			}
		}
		return n
	})
	key := parts.Layout{Schema: arrow.NewSchema(t.Layout.Schema.Fields()[:1], nil)}
	gone = write(key, func(b *array.RecordBuilder) (n int) {
		for _, id := range ids {
			if last[id] == nil {
				n++
				b.Field(0).(*array.Int64Builder).Append(id)
			}
		}
		return n
	})
	return rows, gone, err
}

// loggedTables reads whole tables.
type loggedTables struct {
	l    *logged
	last string // the table that was read
}

func (s *loggedTables) Shares() bool { return false }

func (s *loggedTables) Share(context.Context, int) (string, error) {
	return "", driver.E(driver.ErrUnsupported, nil, "only captures have a moment")
}

func (s *loggedTables) Join(string) {}

func (s *loggedTables) Apart() string {
	if s.l.apart == nil {
		return ""
	}
	return s.l.apart(s.last)
}

func (s *loggedTables) Check(context.Context) ([]driver.Step, error) { return nil, nil }
func (s *loggedTables) Close() error                                 { return nil }

func (s *loggedTables) Discover(context.Context) ([]driver.Table, error) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	var all []driver.Table
	for _, name := range slices.Sorted(maps.Keys(s.l.tables)) {
		all = append(all, s.l.table(name))
	}
	return all, nil
}

func (s *loggedTables) Scan(context.Context, driver.Table, []driver.Range) (driver.Scan, error) {
	return nil, driver.E(driver.ErrUnsupported, nil, "not in ranges")
}

func (s *loggedTables) Whole(context.Context, driver.Table, string) (driver.Scan, error) {
	return nil, nil
}

func (s *loggedTables) Read(ctx context.Context, t driver.Table, _ driver.Cursor) iter.Seq2[driver.Batch, error] {
	s.last = t.Name
	return func(yield func(driver.Batch, error) bool) {
		s.l.mu.Lock()
		rows, wait := maps.Clone(s.l.tables[t.Name].rows), s.l.onRead
		s.l.mu.Unlock()
		if wait != nil {
			wait(ctx, t.Name)
		}
		b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(t))
		defer b.Release()
		for _, id := range slices.Sorted(maps.Keys(rows)) {
			for _, f := range b.Fields() {
				switch f := f.(type) {
				case *array.Int64Builder:
					f.Append(id)
				case *array.StringBuilder:
					f.Append(rows[id])
				default:
					f.AppendNull()
				}
			}
		}
		if len(rows) > 0 {
			yield(driver.Batch{Record: b.NewRecordBatch(), Bytes: 10 * int64(len(rows))}, nil)
		}
	}
}

var _ extract.Capturer = (*loggedSession)(nil)

func notesText(id int64) string { return fmt.Sprintf("row %d", id) }
