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

// Changes yields the changes of the tables. The log is read by a goroutine of its own,
// which waits for the consumer.
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
			if more = false; c.Record != nil { // given records are the consumer's, others are released
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

// How often the server sends a heartbeat when nothing happens: four times within the
// delay of a place to resume.
const (
	minPause = 250 * time.Millisecond
	maxPause = 10 * time.Second
	// idlePause is how often a place to resume is given while only other tables change.
	idlePause = 10 * time.Second
)

// How many rows and bytes a batch has at most. Three batches of a table are under way at
// once: one grows, one waits, and one is looked at.
const (
	batchRows  = 16_384
	batchBytes = 4 << 20
)

// heldLimit bounds the bytes that the batches of all tables hold together. When it is
// reached all batches are given.
const heldLimit = 8 << 20

// stream reads a log once.
type stream struct {
	l      *changeLog
	ctx    context.Context
	out    chan<- driver.Changes
	r      *replica
	tables map[string]*captured // by their names, folded as the server compares them
	known  map[*binlog.Table]*captured

	state binlog.Position // all transactions that have ended
	end   *binlog.Position
	moved bool      // a transaction has ended since the last place to resume
	ours  bool      // one with changes to our tables has
	since time.Time // when the first of them ended
	read  int64     // bytes since the last place to resume
	held  int64     // bytes in batches
	ended time.Time // when the last transaction was committed

	now     *binlog.Transaction // the one that is being read, nil between two
	gtid    string              // of that transaction
	began   time.Time           // by the server's clock
	group   bool                // it has a BEGIN
	rows    bool                // it has rows of our tables
	touched []*captured
	undo    undo
	files   int             // that the log was read of
	seen    binlog.Position // the transactions that came
	retyped error           // to end with, once the transaction has ended
	// unheld are the tables, by the XID of a prepared transaction, that were read whole
	// behind its changes, which were not yet committed.
	unheld map[string][]*captured
}

// read reads the log and sends what it has. Unless the reading is continuous it returns
// nil at the place where the log ended when it began.
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
	if err = l.aside(ctx, func(c *session.Session) error {
		end, err := l.end(ctx, c, time.Now())
		if !l.capture.Continuous {
			s.end = &end
		}
		return err
	}); err != nil {
		return err
	}
	pause := min(max(delay/4, minPause), maxPause, max(l.source.pool.Limits.Idle/4, minPause))
	if s.r, err = l.source.follow(ctx, l.start, replicaID(l.capture, "read"), true, pause); err != nil {
		return err
	}
	defer s.r.close()
	defer s.r.c.Watch(ctx)()
	if from := l.start.Place; s.r.place.File == from.File && s.r.place.Made == from.Made {
		s.r.place.At = max(s.r.place.At, from.At)
	}
	return s.run(delay)
}

// reached reports whether a place lies at or behind another. GTIDs alone do not tell: if
// they go back they hide what comes in between.
func reached(place, end binlog.Place) bool {
	return end.File == "" || isLaterFile(place.File, end.File) || place.File == end.File && place.At >= end.At
}

// release frees the rows that were not sent.
func (s *stream) release() {
	for _, t := range s.tables {
		t.rows.d.Release()
		t.rows = newRowBuilder(t, s.l.limits(), t.rows.d.Nulls)
	}
}

// run reads events until the end, and gives places to resume.
func (s *stream) run(delay time.Duration) error {
	bytes := cmp.Or(s.l.capture.Bytes, 64<<20)
	for {
		if s.now == nil {
			over := s.end != nil && s.state.Includes(*s.end) && reached(s.r.place, s.end.Place)
			if over && s.undo.prepared() == 0 && len(s.r.torn) == 0 {
				s.moveOn(s.end.Place.File)
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
		if err == nil && !beginsFile(e) {
			err = s.tornFile()
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

// event handles one event.
func (s *stream) event(e binlog.Event) error {
	if e.Cut && !e.HasRows() {
		switch e.Type {
		case binlog.AnnotateEvent, binlog.RowsQueryEvent: // the text of a statement
			return nil
		}
		return s.r.tooLong("an event")
	}
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
		return s.commit(e) // committed in one phase
	case binlog.QueryEvent, binlog.QueryCompressed:
		return s.query(e)
	case binlog.HeartbeatEvent, binlog.HeartbeatV2Event: // the server has nothing more for now
		s.rest()
		return nil
	case binlog.RotateEvent, binlog.FormatEvent, binlog.StopEvent, binlog.IgnorableEvent, binlog.RowsQueryEvent,
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
		return s.payload(e)
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

// payload handles the events of a compressed transaction.
func (s *stream) payload(e binlog.Event) error {
	p, err := s.r.read.Payload(e)
	if err != nil {
		return s.explain(err)
	}
	defer p.Close()
	for {
		e, err := p.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return s.explain(err)
		}
		if e.Type == binlog.PayloadEvent {
			return s.explain(binlog.ErrEvent)
		}
		if err := s.event(e); err != nil {
			return err
		}
	}
}

// where names the place in the log, for people.
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

// commit ends a transaction and gives the rows that were held.
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
	return nil
}

// placed returns the place in the files that the reader has reached.
func (s *stream) placed(at uint32) binlog.Place {
	place := s.r.place
	place.Server, place.Time, place.Loose = s.l.server, max(at, s.state.Place.Time), s.l.isLoose()
	return place
}

func (s *stream) withoutGTID() error {
	return driver.E(driver.ErrUnsupported, nil, "the binary log has a transaction without a GTID (%s): what sits between takes this reader for an old replica; connect to the server itself", s.r.place.File)
}

// resume gives all batches, then a place to resume.
func (s *stream) resume() error {
	if s.undo.prepared() > 0 { // a reader that resumes there would not have its rows
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.moved, s.ours, s.read = false, false, 0
	at := s.state.Clone()
	s.l.came.Store(&at)
	return s.send(driver.Changes{Resume: s.state.String(), Committed: s.ended, Fresh: s.l.clock.Ours(s.ended)})
}

// flush gives the batches of all tables.
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
	held := t.rows.size()
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
