package extract

import (
	"context"
	"errors"
	"sync"

	"headwater/connectors/driver"
)

// capturer is a Source that has a log of changes: *connectors.Conn is one.
type capturer interface {
	Captures() bool
	Capture(ctx context.Context, c driver.Capture) (driver.Log, error)
	Holds(ctx context.Context, reader string) (bool, error)
	Release(ctx context.Context, reader, owner string) error
}

var (
	// uncaptured is the answer of a source that has no log of changes.
	uncaptured = driver.E(driver.ErrUnsupported, nil, "the source has no log of changes that can be read")
	errUntaken = errors.New("no log of changes was taken up")
)

// captured is the log that a local Session holds.
type captured struct {
	mu  sync.Mutex
	log driver.Log // nil for none
}

func (c *captured) get() driver.Log {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log
}

// set holds a log, or nil, and closes the one before.
func (c *captured) set(log driver.Log) error {
	c.mu.Lock()
	before := c.log
	c.log = log
	c.mu.Unlock()
	if before == nil {
		return nil
	}
	return before.Close()
}

func (l *local) Captures() bool {
	c, ok := l.Source.(capturer)
	return ok && c.Captures()
}

func (l *local) Capture(ctx context.Context, c driver.Capture) (Captured, error) {
	s, ok := l.Source.(capturer)
	if !ok {
		return Captured{}, uncaptured
	}
	if err := l.captured.set(nil); err != nil {
		return Captured{}, err
	}
	log, err := s.Capture(ctx, c)
	if err != nil {
		return Captured{}, err
	}
	if err := l.captured.set(log); err != nil {
		return Captured{}, err
	}
	moment, position := log.Moment()
	return Captured{Moment: moment, Position: position, Refused: log.Refused()}, nil
}

func (l *local) Confirm(ctx context.Context, position string) error {
	log := l.captured.get()
	if log == nil {
		return errUntaken
	}
	return log.Confirm(ctx, position)
}

func (l *local) Standing(ctx context.Context) (driver.Standing, error) {
	log := l.captured.get()
	if log == nil {
		return driver.Standing{}, errUntaken
	}
	return log.Standing(ctx)
}

func (l *local) Holds(ctx context.Context, reader string) (bool, error) {
	s, ok := l.Source.(capturer)
	if !ok {
		return false, nil
	}
	return s.Holds(ctx, reader)
}

func (l *local) Release(ctx context.Context, reader, owner string) error {
	s, ok := l.Source.(capturer)
	if !ok {
		return nil
	}
	return errors.Join(l.captured.set(nil), s.Release(ctx, reader, owner))
}

// Close closes the log, if there is one, and the source.
func (l *local) Close() error { return errors.Join(l.captured.set(nil), l.Source.Close()) }
