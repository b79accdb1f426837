package moment

import (
	"context"
	"fmt"
	"sync"
	"time"

	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/session"
)

// Shared is a moment that the tables of several sources are read of.
type Shared struct {
	Server   string `json:"server"`            // as in Table.Identity
	Snapshot string `json:"snapshot"`          // the name it was exported under
	Extent   string `json:"extent"`            // its xmin, its xmax, and those in between that were not over
	At       int64  `json:"at"`                // the server's clock before it, in microseconds
	Since    *int64 `json:"since,omitempty"`   // the age of the oldest transaction of others, in seconds
	Blind    bool   `json:"blind,omitempty"`   // there may be more that the account does not see
	Writing  string `json:"writing,omitempty"` // oids of the relations that others were writing to, allOfThem for too many
}

const (
	AllTables  = "*"
	maxWriting = 1000
)

// ofAll is ofActivity of all tables.
var ofAll = activityBegin + activity + fmt.Sprintf(`
  (SELECT CASE WHEN count(DISTINCT l.relation) > %d THEN '%s' ELSE string_agg(DISTINCT l.relation::int8::text, ' ') END FROM pg_locks l WHERE `, maxWriting, AllTables) + writing + ")," + activityEnd

// Export begins a transaction, in a snapshot that was exported under a name or a
// fresh one, that exports its own.
func Export(ctx context.Context, p *session.Pool, snapshot string) (c *session.Session, m Shared, err error) {
	from := catalog.ByControl
	if p.Uncontrolled {
		from = catalog.ByName
	}
	c, err = p.Transaction(ctx, ofAll, snapshot, func(c *session.Session) string {
		return "SELECT pg_export_snapshot(), " + SnapshotFunction(c) + ", " + from
	}, m.take)
	return c, m, err
}

// Holder keeps the transaction of a moment open. It is safe for concurrent use.
type Holder struct {
	pool    *session.Pool
	mu      sync.Mutex
	release func() // ends the transaction, nil for none
}

func NewHolder(p *session.Pool) *Holder { return &Holder{pool: p} }

// Hold keeps the transaction of a moment open until Release.
func (h *Holder) Hold(c *session.Session) {
	h.Release() // of one before
	quiet := c.KeepAlive(h.pool.Limits.Idle / 2)
	h.mu.Lock()
	h.release = func() {
		quiet()
		c.Close()
	}
	h.mu.Unlock()
	if h.pool.Closed() {
		h.Release()
	}
}

// Release ends the transaction that holds a moment, if there is one.
func (h *Holder) Release() {
	h.mu.Lock()
	release := h.release
	h.release = nil
	h.mu.Unlock()
	if release != nil {
		release()
	}
}

// take gathers what others were doing, and the snapshot.
func (m *Shared) take(statement int, row [][]byte) error {
	if statement == 1 {
		m.Snapshot, m.Extent, m.Server = string(row[0]), string(row[1]), string(row[2])
		return nil
	}
	var of Moment
	if err := of.TakeActivity(row); err != nil {
		return err
	}
	if of.Known {
		since := int64(of.Since / time.Second)
		m.Since = &since
	}
	m.At, m.Blind, m.Writing = of.At.UnixMicro(), of.Blind, string(row[2])
	return nil
}
