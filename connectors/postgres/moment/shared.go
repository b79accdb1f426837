package moment

import (
	"context"
	"fmt"
	"sync"
	"time"

	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/session"
)

// Shared is a moment that tables of several sources are read at.
type Shared struct {
	Server   string `json:"server"`            // as in Table.Identity
	Snapshot string `json:"snapshot"`          // the name it was exported under
	Extent   string `json:"extent"`            // xmin, xmax, and the transactions in between that were active
	At       int64  `json:"at"`                // the server's clock before the snapshot, in microseconds since 1970
	Since    *int64 `json:"since,omitempty"`   // the age of the oldest transaction of others, in seconds
	Blind    bool   `json:"blind,omitempty"`   // there may be others, which the account may not see
	Writing  string `json:"writing,omitempty"` // oids of the relations that others were writing to, AllTables if there were too many
}

const (
	AllTables  = "*"
	maxWriting = 1000
)

// ofAll is OfActivity for all tables.
var ofAll = activityBegin + activity + fmt.Sprintf(`
  (SELECT CASE WHEN count(DISTINCT l.relation) > %d THEN '%s' ELSE string_agg(DISTINCT l.relation::int8::text, ' ') END FROM pg_locks l WHERE `, maxWriting, AllTables) + writing + ")," + activityEnd

// Export begins a transaction that exports its snapshot: the one that was exported under
// a name, or a new one for "". The caller passes the session to a Holder, or gives it
// back.
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
	release func() // ends the transaction, nil if there is none
}

// NewHolder makes a Holder that keeps nothing yet.
func NewHolder(p *session.Pool) *Holder { return &Holder{pool: p} }

// Hold keeps the transaction of a session open until Release. It ends the one before. If
// the pool is closed already the transaction ends at once.
func (h *Holder) Hold(c *session.Session) {
	h.Release() // the one before
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

// Release ends the transaction that is held, if there is one.
func (h *Holder) Release() {
	h.mu.Lock()
	release := h.release
	h.release = nil
	h.mu.Unlock()
	if release != nil {
		release()
	}
}

// take takes what others were doing, and the snapshot.
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
