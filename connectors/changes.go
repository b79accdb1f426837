package connectors

import (
	"context"
	"iter"

	"headwater/connectors/driver"
)

// Captures reports whether the source has a log of changes.
func (c *Conn) Captures() bool {
	_, ok := c.source.(driver.Capturer)
	return ok
}

var uncaptured = driver.E(driver.ErrUnsupported, nil, "the source has no log of changes that can be read")

// Capture takes the source's log of changes up, as driver.Capturer says. The error
// is of kind ErrUnsupported where it has none.
func (c *Conn) Capture(ctx context.Context, capture driver.Capture) (driver.Log, error) {
	s, ok := c.source.(driver.Capturer)
	if !ok {
		return nil, uncaptured
	}
	var log driver.Log
	err := c.guard(ctx, "taking up the log of changes", c.timeouts.Discover, func(ctx context.Context) (err error) {
		log, err = s.Capture(ctx, capture)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &guardedLog{conn: c, log: log}, nil
}

// Holds reports whether the server keeps the log for a reader, as driver.Capturer says.
func (c *Conn) Holds(ctx context.Context, reader string) (holds bool, err error) {
	s, ok := c.source.(driver.Capturer)
	if !ok {
		return false, nil
	}
	err = c.guard(ctx, "looking for the log of changes", c.timeouts.Check, func(ctx context.Context) (err error) {
		holds, err = s.Holds(ctx, reader)
		return err
	})
	return holds, err
}

// Release gives up what the server keeps for a reader, as driver.Capturer says.
func (c *Conn) Release(ctx context.Context, reader, owner string) error {
	s, ok := c.source.(driver.Capturer)
	if !ok {
		return nil
	}
	return c.guard(ctx, "releasing the log of changes", c.timeouts.Check, func(ctx context.Context) error { return s.Release(ctx, reader, owner) })
}

// guardedLog adds to a driver's Log what a Conn adds: limits of time, and errors
// and notes without secrets.
type guardedLog struct {
	conn *Conn
	log  driver.Log
}

func (g *guardedLog) Moment() (moment, position string) { return g.log.Moment() }

func (g *guardedLog) Refused() map[int]error {
	refused := map[int]error{}
	for i, err := range g.log.Refused() {
		refused[i] = g.conn.clean(context.Background(), err)
	}
	return refused
}

func (g *guardedLog) Changes(ctx context.Context) iter.Seq2[driver.Changes, error] {
	return guardedLoop(ctx, g.conn, "reading the log of changes", g.log.Changes(ctx), func(b *driver.Changes) error {
		b.Notes = g.conn.scrubber.all(b.Notes)
		g.conn.count(int64(len(b.Ops)), b.Bytes)
		return nil
	})
}

func (g *guardedLog) Confirm(ctx context.Context, position string) error {
	return g.conn.guard(ctx, "confirming changes", g.conn.timeouts.Check, func(ctx context.Context) error { return g.log.Confirm(ctx, position) })
}

func (g *guardedLog) Standing(ctx context.Context) (s driver.Standing, err error) {
	err = g.conn.guard(ctx, "asking how far behind the reader is", g.conn.timeouts.Check, func(ctx context.Context) (err error) {
		s, err = g.log.Standing(ctx)
		return err
	})
	s.Message = g.conn.scrubber.scrub(s.Message)
	return s, err
}

func (g *guardedLog) Close() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = g.conn.clean(context.Background(), panicked("closing the log of changes", p))
		}
	}()
	if err := g.log.Close(); err != nil {
		return g.conn.clean(context.Background(), err)
	}
	return nil
}
