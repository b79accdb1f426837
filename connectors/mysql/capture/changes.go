package capture

import (
	"cmp"
	"context"
	"io"
	"iter"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
	"headwater/connectors/mysql/session"
)

// Changes yields the changes of the tables, read and decoded on their own: the
// consumer's pace holds them back.
func (l *changeLog) Changes(ctx context.Context) iter.Seq2[driver.Changes, error] {
	return func(yield func(driver.Changes, error) bool) {
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		batches, done := make(chan driver.Changes, 1), make(chan error, 1)
		go func() {
			defer close(batches)
			done <- l.read(inner, batches)
		}()
		more := true
		for c := range batches {
			if more && yield(c, nil) {
				continue
			}
			if more = false; c.Record != nil { // the consumer's own, but for those that it did not see
				cancel()
			}
			break
		}
		cancel()
		for c := range batches {
			if c.Record != nil {
				c.Record.Release()
			}
		}
		err := <-done
		switch {
		case !more:
		case ctx.Err() != nil:
			yield(driver.Changes{}, driver.E(driver.ErrTimeout, context.Cause(ctx), "the binary log: stopped"))
		case err != nil:
			yield(driver.Changes{}, err)
		}
	}
}

// How often the server says something when nothing happens: four times in the delay
// that a place to resume may have.
const (
	minPause = 250 * time.Millisecond
	maxPause = 10 * time.Second
	// idlePause is how often a place to resume comes while others alone write.
	idlePause = 10 * time.Second
)

// heldLimit bounds what the tables of a log hold together, in bytes; all of them are
// given then.
const heldLimit = 32 << 20

// stream reads a log once.
type stream struct {
	l      *changeLog
	ctx    context.Context
	out    chan<- driver.Changes
	r      *replica
	tables map[string]*captured // by the name within the database
	known  map[*binlog.Table]*captured

	state binlog.Position // the transactions that ended
	end   *binlog.Position
	moved bool      // since the last place to resume
	ours  bool      // with changes to tables of ours
	since time.Time // when the first transaction ended after it
	read  int64     // bytes since then
	held  int64     // bytes in batches
	ended time.Time // when the last transaction was committed

	now     *binlog.Transaction // that is being read
	gtid    string              // its name
	began   time.Time           // by the server's clock
	group   bool                // a BEGIN came
	rows    bool                // rows of ours came
	touched []*captured
	undo    undo
	files   int             // that the log was read of
	seen    binlog.Position // the transactions that came
	retyped error           // to end with, once the transaction has ended
}

// read reads the log and sends what it has. It returns nil at the end of now.
func (l *changeLog) read(ctx context.Context, out chan<- driver.Changes) (err error) {
	delay := cmp.Or(l.capture.Delay, 10*time.Second)
	s := &stream{l: l, ctx: ctx, out: out, state: l.start.Clone(), seen: binlog.Position{}.Clone(), tables: map[string]*captured{}, known: map[*binlog.Table]*captured{}}
	for _, t := range l.tables {
		if t.refused == nil {
			s.tables[s.foldCase(t.table.Name)] = t
		}
	}
	defer s.release()
	defer func() {
		if recover() != nil {
			err = driver.E(driver.ErrBadData, nil, "the binary log, transaction %s: an event is malformed", s.gtid)
		}
	}()
	if !l.capture.Continuous {
		err := l.aside(ctx, func(c *session.Session) error {
			end, err := logEnd(ctx, c)
			s.end = &end
			return err
		})
		if err != nil {
			return err
		}
	}
	pause := min(max(delay/4, minPause), maxPause, max(l.source.pool.Limits.Idle/4, minPause))
	if s.r, err = l.source.follow(ctx, l.start, replicaID(l.capture.Reader, "read"), true, pause); err != nil {
		return err
	}
	defer s.r.close()
	defer s.r.c.Watch(ctx)()
	if from := l.start.Place; s.r.place.File == from.File && s.r.place.Made == from.Made {
		s.r.place.At = max(s.r.place.At, from.At)
	}
	return s.run(delay)
}

// reached reports whether a place lies at or behind another. GTIDs that go back would
// hide what comes in between; a server that has nothing more to send says where it
// is.
func reached(place, end binlog.Place) bool {
	return end.File == "" || isLaterFile(place.File, end.File) || place.File == end.File && place.At >= end.At
}

// release lets go of what was not sent.
func (s *stream) release() {
	for _, t := range s.tables {
		t.rows.d.Release()
		t.rows = newRowBuilder(t, s.l.limits(), t.rows.d.Nulls)
	}
}

func (s *stream) run(delay time.Duration) error {
	bytes := cmp.Or(s.l.capture.Bytes, 64<<20)
	for {
		if s.now == nil {
			over := s.end != nil && s.state.Includes(*s.end) && reached(s.r.place, s.end.Place)
			if over && s.undo.prepared() == 0 {
				return s.resume()
			}
			if s.moved && (time.Since(s.since) >= delay && (s.ours || time.Since(s.since) >= idlePause) || s.read >= bytes) {
				if err := s.resume(); err != nil {
					return err
				}
			}
			if why := s.undo.overdue(over); why != nil {
				return why
			}
		}
		e, err := s.r.next(s.ctx)
		if err == io.EOF { // which it should wait at
			err = driver.E(driver.ErrUnreachable, nil, "the server ended the sending of its binary log at %s: it was begun anew there (RESET MASTER), or the server is about to end", s.r.place.File)
		}
		if err == nil {
			err = s.event(e)
		}
		if err == nil && s.now == nil && s.retyped != nil {
			if err := s.resume(); err != nil {
				return err
			}
			return s.retyped
		}
		if err != nil {
			return err
		}
	}
}

// event takes one event.
func (s *stream) event(e binlog.Event) error {
	switch e.Type {
	case binlog.TableMapEvent:
		_, err := s.r.read.Map(e)
		return s.explain(err)
	case binlog.XIDEvent:
		return s.commit(e)
	case binlog.XAPrepareEvent:
		if s.now != nil && s.now.PreparedXA && len(e.Body) > 0 && e.Body[0] == 0 {
			return s.prepare(e)
		}
		return s.commit(e) // in one phase
	case binlog.QueryEvent, binlog.QueryCompressed:
		return s.query(e)
	case binlog.RotateEvent, binlog.FormatEvent, binlog.StopEvent, binlog.HeartbeatEvent, binlog.HeartbeatV2Event, binlog.IgnorableEvent, binlog.RowsQueryEvent,
		binlog.PreviousEvent, binlog.ContextEvent, binlog.ViewChangeEvent, binlog.AnnotateEvent, binlog.CheckpointEvent, binlog.EncryptionEvent,
		binlog.IntvarEvent, binlog.RandEvent, binlog.UserVarEvent: // the last three are of a statement that follows
		return nil
	case binlog.GTIDListEvent:
		return s.listed(e)
	case binlog.BeginLoadEvent, binlog.ExecuteLoadEvent:
		return s.incomplete("a LOAD DATA")
	case binlog.IncidentEvent:
		return driver.E(driver.ErrReplaced, nil, "the server says that its binary log lacks something (%s)%s", s.where(), wayAnew)
	case binlog.PartialRows:
		return driver.E(driver.ErrReplaced, nil, "the binary log has parts of JSON values alone (%s): set binlog_row_value_options to ''%s", s.where(), wayAnew)
	case binlog.PayloadEvent:
		return driver.E(driver.ErrReplaced, nil, "the binary log has compressed transactions (%s): turn binlog_transaction_compression off%s", s.where(), wayAnew)
	}
	if tx, ok, err := e.Transaction(); err != nil || ok {
		if err != nil {
			return s.explain(err)
		}
		return s.begin(tx, e)
	}
	if e.HasRows() {
		return s.changed(e)
	}
	if e.Ignorable() {
		return nil
	}
	return driver.E(driver.ErrUnsupported, nil, "the binary log has an event of type %d (%s), which this version of Headwater does not know", e.Type, s.where())
}

// where names the place of what is wrong.
func (s *stream) where() string {
	if s.gtid != "" {
		return "transaction " + s.gtid
	}
	return s.r.place.File
}

func (s *stream) explain(err error) error {
	if err == nil {
		return nil
	}
	return s.r.explain(s.ctx, err)
}

// begin begins a transaction.
func (s *stream) begin(tx binlog.Transaction, e binlog.Event) error {
	if tx.Anonymous || tx.Maria != s.l.mariadb {
		return driver.E(driver.ErrUnsupported, nil, "the binary log has transactions without a GTID (%s): set gtid_mode to ON", s.r.place.File)
	}
	if s.now != nil {
		return driver.E(driver.ErrBadData, nil, "the binary log has a transaction (%s) that another one begins in", s.gtid)
	}
	s.now, s.gtid, s.group, s.rows = &tx, tx.String(), false, false
	s.undo.endTransaction()
	s.began = time.Unix(int64(e.Time), 0).UTC()
	if s.state.Covers(tx) {
		return driver.E(driver.ErrUnsupported, nil, "the GTIDs of the binary log go back at %s (several servers write in one domain, or gtid_seq_no was set): let each server have a gtid_domain_id of its own and set gtid_strict_mode%s", s.gtid, wayAnew)
	}
	return nil
}

// commit ends the transaction.
func (s *stream) commit(e binlog.Event) error {
	if s.now == nil {
		return s.withoutGTID()
	}
	for _, rows := range s.undo.endTransaction() {
		if err := s.give(&rows); err != nil {
			return err
		}
	}
	return s.over(e)
}

// over notes that the transaction has ended.
func (s *stream) over(e binlog.Event) error {
	at := time.Unix(int64(e.Time), 0).UTC()
	for _, t := range s.touched {
		t.rows.ended(s.gtid, at)
	}
	s.ours = s.ours || len(s.touched) > 0
	s.touched = s.touched[:0]
	s.state.Add(*s.now)
	s.seen.Add(*s.now)
	s.state.Place = s.placed(e.Time)
	s.now, s.ended = nil, at
	if !s.moved {
		s.moved, s.since = true, time.Now()
	}
	s.l.newest.Store(&newest{at: at})
	return nil
}

// placed returns where the reader is.
func (s *stream) placed(at uint32) binlog.Place {
	place := s.r.place
	place.Server, place.Time = s.l.start.Place.Server, max(at, s.state.Place.Time)
	return place
}

func (s *stream) withoutGTID() error {
	return driver.E(driver.ErrUnsupported, nil, "the binary log has a transaction without a GTID (%s): what sits between takes this reader for an old replica; connect to the server itself", s.r.place.File)
}

// resume gives all batches and a place to resume.
func (s *stream) resume() error {
	if s.undo.prepared() > 0 { // what it holds would be lost
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.moved, s.ours, s.read = false, false, 0
	return s.send(driver.Changes{Resume: s.state.String(), Committed: s.ended})
}

// flush gives all batches.
func (s *stream) flush() error {
	for _, t := range s.l.tables {
		if t.refused == nil {
			if err := s.take(t); err != nil {
				return err
			}
		}
	}
	s.held = 0
	return nil
}

func (s *stream) take(t *captured) error {
	held := t.rows.bytes
	c, ok := t.rows.take(s.gtid, s.began)
	if !ok {
		return nil
	}
	s.held -= held
	return s.send(c)
}

func (s *stream) send(c driver.Changes) error {
	select {
	case s.out <- c:
		return nil
	case <-s.ctx.Done():
		if c.Record != nil {
			c.Record.Release()
		}
		return driver.E(driver.ErrTimeout, context.Cause(s.ctx), "the binary log: stopped")
	}
}
