package capture

import (
	"context"
	"math"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/session"
)

// ChangeRows is how many rows a batch of changes has at most.
const ChangeRows = changeRows

// Ours returns what our clock showed at a time of the server's.
func Ours(l driver.Log, at time.Time) time.Time { return l.(*changeLog).control.clock.Ours(at) }

// SetIdle sets how often a place without changes and a Standing come, and how often the
// publication and the tables are looked at.
func SetIdle(l driver.Log, every time.Duration) { l.(*changeLog).idle = every }

// Altered looks whether the publication is as it was, as a reading does.
func Altered(ctx context.Context, l driver.Log) error { return l.(*changeLog).altered(ctx) }

// InBinary reports whether values come in binary.
func InBinary(l driver.Log) bool { return l.(*changeLog).inBinary }

// HasSlot reports whether the server has a slot.
func HasSlot(ctx context.Context, p *session.Pool, name string) (bool, error) {
	k := &control{pool: p}
	defer k.close()
	s, err := k.slot(ctx, name)
	return s != nil, err
}

// SetKnown moves the place up to which the catalog is taken to show everything to the end
// of every log.
func SetKnown(l driver.Log) { l.(*changeLog).known = math.MaxUint64 }
