package capture

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/session"
)

// read gives changes until give wants no more, the context ends, or, unless the Capture
// is continuous, everything that was committed at the call has been read.
func (l *changeLog) read(ctx context.Context, give func(driver.Changes) bool) error {
	l.source.holder.Release() // every reader of whole tables has begun
	if len(l.tables) == 0 {
		if l.capture.Continuous {
			<-ctx.Done()
		}
		return nil
	}
	var until pglogrepl.LSN
	if !l.capture.Continuous {
		var err error
		if until, err = l.mark(ctx); err != nil {
			return err
		}
	}
	feed, err := l.open(ctx)
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := make(chan driver.Changes, 1)
	stopped := driver.E(driver.ErrTimeout, context.Canceled, "stopped")
	f := newFollower(l, func(c driver.Changes) error {
		select {
		case changes <- c:
			return nil
		case <-inner.Done():
			if c.Record != nil {
				c.Record.Release()
			}
			return stopped
		}
	}, until)
	result := make(chan error, 1)
	go func() {
		defer close(changes)
		result <- l.follow(inner, feed, f)
	}()
	more, altered := l.deliver(inner, changes, give, cancel)
	err = <-result
	l.finished.Store(true)
	switch {
	case altered != nil && ctx.Err() == nil:
		return altered
	case ctx.Err() != nil:
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "stopped")
	case !more:
		return nil
	}
	return l.streamError(ctx, err)
}

// deliver gives the notes to the consumer, changes until there are no more, and a Standing
// from time to time. It returns whether the consumer wants more, and an error if somebody has
// changed what is published.
func (l *changeLog) deliver(ctx context.Context, changes <-chan driver.Changes, give func(driver.Changes) bool, cancel func()) (more bool, altered error) {
	first := driver.Changes{Table: -1, Notes: l.notes}
	if s, err := l.Standing(ctx); err == nil { // an error shows in the stream
		first.Standing = &s
	}
	more = give(first)
	beat := time.NewTicker(cmp.Or(l.idle, standingEvery))
	defer beat.Stop()
	for {
		select {
		case c, ok := <-changes:
			switch {
			case !ok:
				return more, altered
			case more && altered == nil:
				more = give(c)
			case c.Record != nil:
				c.Record.Release()
			}
		case <-beat.C:
			if more && altered == nil {
				if s, err := l.Standing(ctx); err == nil { // an error shows in the stream
					more = give(driver.Changes{Table: -1, Standing: &s})
				}
				altered = l.altered(ctx)
			}
		}
		if !more || altered != nil {
			cancel()
		}
	}
}

// altered fails if the publication is not as it was, or a table has another name or other
// columns. The next Capture then refuses the tables concerned, or takes them as they are.
func (l *changeLog) altered(ctx context.Context) error {
	l.noteTruncated(ctx)
	now, err := l.control.facts(ctx) // before the catalog is read, as in take
	if err != nil {
		return nil // an error of the connection shows in the stream
	}
	again := &changeLog{source: l.source, capture: l.capture, publication: l.publication, slot: l.slot, facts: now, control: l.control, refused: map[int]error{}, unnoted: l.unnoted}
	for _, t := range l.tables {
		again.tables = append(again.tables, &captured{index: t.index, table: t.table, row: t.row, columns: t.columns, after: max(t.after, 1)})
	}
	p, err := again.noted(ctx)
	if err != nil {
		return nil
	}
	if again.given() {
		err = again.checkGiven(ctx, p)
	} else {
		err = again.checkOurs(p)
	}
	if err == nil {
		if again.examine(ctx) != nil {
			return nil
		}
		err = l.alteredTables(ctx, again, p)
	}
	if err != nil {
		return driver.E(driver.ErrRetyped, nil, "what is captured was altered: %v", err)
	}
	return nil
}

// alteredTables compares the tables with how they were examined again, and with the note.
func (l *changeLog) alteredTables(ctx context.Context, again *changeLog, p *publication) (why error) {
	for _, t := range again.tables {
		at := slices.IndexFunc(l.tables, func(was *captured) bool { return was.index == t.index })
		if was := l.tables[at]; t.looks != was.looks { // the log tells it with the next change, which may be long in coming
			again.refuse(t, driver.E(driver.ErrRetyped, nil, "table %s has another name, or other columns, than it had", t.table))
		}
	}
	if l.unnoted == "" {
		again.checkMade(p.note)
		suspects, err := again.checkLeaves(ctx, p.note)
		if err != nil {
			return nil
		}
		if now, err := l.control.facts(ctx); err == nil { // an end behind what was found
			for i := range suspects {
				suspects[i].until = now.end
			}
			l.addSuspicions(suspects)
		}
		if len(suspects) == 0 {
			_ = l.noteLeaves(ctx, again, p.note) // the next look tries again
		}
	}
	for _, why = range again.refused {
	}
	return why
}

// follow reads the feed to its end. A panic becomes an error about what the server sent.
func (l *changeLog) follow(ctx context.Context, feed *feed, f *follower) (err error) {
	stop := feed.interrupt(ctx)
	defer func() {
		if !stop() {
			err = driver.E(driver.ErrTimeout, context.Cause(ctx), "stopped")
		}
	}()
	for !f.finished() {
		body, err := feed.next()
		var long *session.LongRow
		if errors.As(err, &long) {
			if err = f.long(long); err == nil {
				err = feed.pass(long)
			}
			if err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		if len(body) == 0 {
			return malformedLog(errShort)
		}
		switch body[0] {
		case walData:
			data, err := pglogrepl.ParseXLogData(body[1:])
			if err != nil {
				return malformedLog(errShort)
			}
			if err := f.message(data.WALData); err != nil {
				return err
			}
		case walKeepalive:
			k, err := pglogrepl.ParsePrimaryKeepaliveMessage(body[1:])
			if err != nil {
				return malformedLog(errShort)
			}
			if k.ReplyRequested {
				if err := feed.status(false); err != nil {
					return err
				}
			}
			if err := f.keepalive(k.ServerWALEnd, k.ReplyRequested); err != nil {
				return err
			}
		}
	}
	return nil
}

var errShort = errors.New("the server sent a message that is too short")

// mark returns the end of what is committed now. If the account may, it writes a message
// into the log there: then everything before is on disk, and the log goes on behind it
// even if the database is idle. Else it takes the end of what the server has in memory,
// because commits that do not wait for the disk (synchronous_commit = off) are visible
// before they are on it; and an id of a transaction, whose end has the server write all
// before it to disk within three wal_writer_delay.
func (l *changeLog) mark(ctx context.Context) (at pglogrepl.LSN, err error) {
	if l.facts.maySendMessage {
		if at, err = l.message(ctx); err == nil {
			return at, nil
		}
	}
	err = l.control.ask(ctx, "SELECT "+endOfLog, func(_ int, row [][]byte) error {
		at = lsnOf(row[0])
		return nil
	})
	if err != nil || l.facts.standby {
		return at, err
	}
	return at, l.control.do(ctx, "SELECT pg_current_xact_id()")
}

// message writes an empty message into the log, in a transaction, because a slot moves
// only behind transactions.
func (l *changeLog) message(ctx context.Context) (at pglogrepl.LSN, err error) {
	err = l.control.ask(ctx, "BEGIN; SET LOCAL synchronous_commit = local; SELECT pg_logical_emit_message(true, 'headwater', ''); COMMIT", func(_ int, row [][]byte) error {
		at = lsnOf(row[0])
		return nil
	})
	if err != nil {
		l.control.rollBack(ctx)
	}
	return at, err
}

// open begins the stream and sends signs of life to the server until Close.
func (l *changeLog) open(ctx context.Context) (*feed, error) {
	c, err := l.source.replicate(ctx, l.server)
	if err != nil {
		return nil, err
	}
	c.SetReadTimeout(max(l.source.pool.Limits.Idle, patientIdle))
	feed, err := startFeed(ctx, c, l.slot, l.publication, l.from, l.inBinary, 2*l.source.pool.Limits.MaxRowBytes+1<<20, &l.confirmed)
	if err != nil {
		c.Drop()
		c.Close()
		return nil, l.streamError(ctx, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done || l.feed != nil {
		feed.finish()
		return nil, driver.E(driver.ErrUnreachable, nil, "the log of changes is closed, or is being read")
	}
	l.feed, l.quiet = feed, l.pulse(feed)
	return feed, nil
}

// patientIdle is how long the server may send nothing while it searches its log.
const patientIdle = 5 * time.Minute

// pulse sends signs of life while the consumer is busy, and asks the server for its own,
// which have the end of its log.
func (l *changeLog) pulse(feed *feed) (quiet func()) {
	calm := min(longPulse, max(l.capture.Delay/4, shortPulse))
	if l.facts.senderTimeout > 0 {
		calm = min(calm, max(l.facts.senderTimeout/4, shortPulse))
	}
	every := func() time.Duration {
		if !l.capture.Continuous && !l.finished.Load() {
			return shortPulse
		}
		return calm
	}
	ctx, cancel := context.WithCancel(context.Background()) // until quiet is called
	var all sync.WaitGroup
	all.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(every()):
				if feed.status(true) != nil { // the reader of the stream will notice
					return
				}
			}
		}
	})
	if l.capture.Continuous && l.facts.maySendMessage {
		all.Go(func() { l.heartbeat(ctx) })
	}
	return func() {
		cancel()
		all.Wait()
	}
}

const (
	shortPulse = 50 * time.Millisecond
	longPulse  = 5 * time.Second
)

// heartbeatEvery is how often a message is written into the log of a database that may
// be idle beside busy ones: otherwise its slot would keep their log.
const heartbeatEvery = 30 * time.Second

func (l *changeLog) heartbeat(ctx context.Context) {
	beat := time.NewTicker(heartbeatEvery)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			_, _ = l.message(ctx) // the next attempt may succeed
		}
	}
}
