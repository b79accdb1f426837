package upkeep

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/retain"
	"headwater/handlers/landing/syncstate"
)

// SyncOver is how long a sync that has not ended may be without a commit before it
// counts as over, for a maintenance that nobody asked for: a worker that died leaves
// such a sync.
const SyncOver = time.Hour

// RuleFor returns the rule for a maintenance of a table that nobody asks for. s is the
// table's current snapshot, with a summary.
func RuleFor(s *table.Snapshot) Rule {
	if syncstate.Replaced(s.Summary.Properties) {
		return Replaced
	}
	return ByItself
}

// FilesDue reports whether the files of a table call for a maintenance that nobody
// asks for. s is the table's current snapshot, with a summary.
func FilesDue(s *table.Snapshot) bool {
	return RuleFor(s).Due(TotalsOf(s.Summary.Properties))
}

// Due reports whether a maintenance of a table that nobody asks for has something to
// do now: files to join, snapshots to list no more, or files that nothing needs since
// the last commit's grace has passed. occasion stays the same until the table
// changes. Nothing is due of a table that is being synced, was maintained a moment
// ago, or does not exist. Due returns parts.ErrStorage or the catalog's error.
func (m *Maintainer) Due(ctx context.Context, ident table.Identifier) (occasion string, due bool, err error) {
	p, _, err := m.catalog.Pointer(ctx, ident)
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return "", false, nil
	}
	now := m.now()
	if err != nil || now.Before(p.UpkeepAfter) || m.idle.still(kvcatalog.TableKey(ident), p.Location, now) {
		return "", false, err
	}
	meta, err := m.catalog.ReadMetadata(p.Location)
	if err != nil {
		return "", false, err
	}
	at := kvcatalog.Loaded{Ident: ident, Pointer: p, Meta: meta}
	s := meta.CurrentSnapshot()
	if s == nil || s.Summary == nil || underWay(at, now) {
		return "", false, nil
	}
	if FilesDue(s) {
		return p.Location + " files", true, nil
	}
	// The syncs of a table that come often do the rest themselves.
	last := time.UnixMilli(meta.LastUpdatedMillis())
	if later := last.Add(SyncOver); now.Before(later) {
		m.idle.note(kvcatalog.TableKey(ident), p.Location, later)
		return "", false, nil
	}
	for _, s := range retain.Expired(meta, now) {
		if now.Sub(s.At) > retain.Grace {
			return p.Location + " snapshots", true, nil
		}
	}
	if !p.Swept.After(last.Add(retain.Grace)) { // what the last commit replaced may be there
		return p.Location + " sweep", true, nil
	}
	m.idle.note(kvcatalog.TableKey(ident), p.Location, now.Add(longIdle))
	return "", false, nil
}

// longIdle is how long a table that nobody changes is not looked at again.
const longIdle = 24 * time.Hour

// Idle notes tables in which nothing is due while they stay as they are, each until a
// time, so that they are not read again. The zero value is ready. It is safe for
// concurrent use.
type Idle struct {
	mu     sync.Mutex
	tables map[string]idleTable
}

type idleTable struct {
	location string
	until    time.Time
}

// mostIdle is how many tables are remembered.
const mostIdle = 100_000

func (i *Idle) still(table, location string, now time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	t := i.tables[table]
	return t.location == location && now.Before(t.until)
}

func (i *Idle) note(table, location string, until time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.tables == nil || len(i.tables) >= mostIdle {
		i.tables = map[string]idleTable{}
	}
	i.tables[table] = idleTable{location, until}
}

// underWay reports whether a sync of the table has begun and not ended, before which
// a maintenance comes to nothing.
func underWay(at kvcatalog.Loaded, now time.Time) bool {
	return at.Pointer.Unswept && !goesOn(at) && now.Sub(time.UnixMilli(at.Meta.LastUpdatedMillis())) < SyncOver
}
