package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// shared is a moment that the tables of several sources are read of.
type shared struct {
	Server   string `json:"server"`            // as in Table.Identity
	Snapshot string `json:"snapshot"`          // the name it was exported under
	Extent   string `json:"extent"`            // its xmin, its xmax, and those in between that were not over
	At       int64  `json:"at"`                // the server's clock before it, in microseconds
	Since    *int64 `json:"since,omitempty"`   // the age of the oldest transaction of others, in seconds
	Blind    bool   `json:"blind,omitempty"`   // there may be more that the account does not see
	Writing  string `json:"writing,omitempty"` // oids of the relations that others were writing to, allOfThem for too many
}

const (
	allOfThem  = "*"
	maxWriting = 1000
)

// ofAll is ofActivity of all tables.
var ofAll = activityBegin + activity + fmt.Sprintf(`
  (SELECT CASE WHEN count(DISTINCT l.relation) > %d THEN '%s' ELSE string_agg(DISTINCT l.relation::int8::text, ' ') END FROM pg_locks l WHERE `, maxWriting, allOfThem) + writing + ")," + activityEnd

// export begins a transaction, in a snapshot that was exported under a name or a
// fresh one, that exports its own.
func export(ctx context.Context, p *pool, snapshot string) (c *session, m shared, err error) {
	from := byControl
	if p.uncontrolled {
		from = byName
	}
	c, err = p.transaction(ctx, ofAll, snapshot, func(c *session) string {
		return "SELECT pg_export_snapshot(), " + snapshotFunction(c) + ", " + from
	}, m.take)
	return c, m, err
}

// holder keeps the transaction of a moment open. It is safe for concurrent use.
type holder struct {
	pool    *pool
	mu      sync.Mutex
	release func() // ends the transaction, nil for none
}

func newHolder(p *pool) *holder { return &holder{pool: p} }

// hold keeps the transaction of a moment open until letGo.
func (h *holder) hold(c *session) {
	h.letGo() // of one before
	quiet := c.live(h.pool.limits.Idle / 2)
	h.mu.Lock()
	h.release = func() {
		quiet()
		c.close()
	}
	h.mu.Unlock()
	if h.pool.closed() {
		h.letGo()
	}
}

// letGo ends the transaction that holds a moment, if there is one.
func (h *holder) letGo() {
	h.mu.Lock()
	release := h.release
	h.release = nil
	h.mu.Unlock()
	if release != nil {
		release()
	}
}

// take gathers what others were doing, and the snapshot.
func (m *shared) take(statement int, row [][]byte) error {
	if statement == 1 {
		m.Snapshot, m.Extent, m.Server = string(row[0]), string(row[1]), string(row[2])
		return nil
	}
	var of moment
	if err := of.takeActivity(row); err != nil {
		return err
	}
	if of.known {
		since := int64(of.since / time.Second)
		m.Since = &since
	}
	m.At, m.Blind, m.Writing = of.at.UnixMicro(), of.blind, string(row[2])
	return nil
}
