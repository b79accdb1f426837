package connectors

import (
	"context"

	"headwater/connectors/driver"
)

// Shares reports whether several tables of the source can be read as of one
// moment.
func (c *Conn) Shares() bool {
	_, ok := c.source.(driver.Sharer)
	return ok
}

// Share fixes a moment, as driver.Sharer says, and returns its name. The error has
// the kind ErrUnsupported where there can be none.
func (c *Conn) Share(ctx context.Context, readers int) (moment string, err error) {
	s, ok := c.source.(driver.Sharer)
	if !ok {
		return "", driver.E(driver.ErrUnsupported, nil, "the source has no moment that several tables share")
	}
	err = c.guard(ctx, "fixing a moment", c.timeouts.Check, func(ctx context.Context) (err error) {
		moment, err = s.Share(ctx, readers)
		return err
	})
	return moment, err
}

// Join has what is read from now on be of a moment, where it can.
func (c *Conn) Join(moment string) {
	if s, ok := c.source.(driver.Sharer); ok {
		s.Join(moment)
	}
}

// Apart says why what was read last is not of the moment that was joined, "" if it
// is.
func (c *Conn) Apart() string {
	if s, ok := c.source.(driver.Sharer); ok {
		return c.scrubber.scrub(s.Apart())
	}
	return ""
}
