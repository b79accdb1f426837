package extract

import (
	"context"

	"headwater/connectors/driver"
)

// Sharer is an optional interface of a Session whose source can read several tables as
// of one moment, over several Sessions.
type Sharer interface {
	// Shares reports whether the source has such moments at all.
	Shares() bool
	// Share fixes a moment for so many Sessions that read at once, and returns its name
	// for their Request.Moment. The Session holds the moment until Close. The error says
	// why there is none; driver.ErrUnsupported if Shares is false.
	Share(ctx context.Context, readers int) (moment string, err error)
}

// joiner is a Source whose reads can be of a moment that was shared.
type joiner interface {
	Sharer
	Join(moment string)
	Apart() string
}

// unshared is the answer of a source that knows no such moments.
var unshared = driver.E(driver.ErrUnsupported, nil, "the source has no moment that several tables share")

func (l *local) Shares() bool {
	j, ok := l.Source.(joiner)
	return ok && j.Shares()
}

func (l *local) Share(ctx context.Context, readers int) (string, error) {
	if j, ok := l.Source.(joiner); ok {
		return j.Share(ctx, readers)
	}
	return "", unshared
}

// join has the reads of an extraction be of the moment that is asked for.
func (e *extraction) join() {
	j, ok := e.l.Source.(joiner)
	if !ok {
		return
	}
	j.Join(e.r.Moment)
	if e.r.Moment != "" {
		e.apart = j.Apart
	}
}

func (s *remote) Shares() bool { return s.shares }

func (s *remote) Share(ctx context.Context, readers int) (string, error) {
	if !s.shares {
		return "", unshared
	}
	r, err := s.call(ctx, frameShare, shareCall{readers})
	if err != nil {
		return "", err
	}
	return r.Moment, nil
}

// share answers a frameShare.
func (c *child) share(ctx context.Context, s shareCall) (answer result) {
	sharer, ok := c.session.(Sharer)
	if !ok {
		return result{Failure: failureOf(unshared)}
	}
	moment, err := sharer.Share(ctx, s.Readers)
	return result{Failure: failureOf(err), Moment: moment}
}
