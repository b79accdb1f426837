package landing

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"headwater/bus/event"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/retain"
	"headwater/handlers/landing/syncstate"
	"headwater/handlers/landing/upkeep"
)

// syncOver is after how long without a commit a sync that has not ended counts as
// over, for a maintenance that nobody asked for: a worker that died leaves one.
const syncOver = time.Hour

// upkeepRule returns the rule for a maintenance of a table that nobody asks for. s is the
// table's current snapshot, with a summary.
func upkeepRule(s *table.Snapshot) upkeep.Rule {
	if syncstate.Replaced(s.Summary.Properties) {
		return upkeep.Replaced
	}
	return upkeep.ByItself
}

func upkeepDue(s *table.Snapshot) bool {
	return upkeepRule(s).Due(upkeep.TotalsOf(s.Summary.Properties))
}

// UpkeepDue reports whether a maintenance of a table that nobody asks for has
// something to do now: files to join, snapshots to list no more, or files that
// nothing needs since the last commit's grace has passed. occasion is the same until
// the table is another one. A table that is synced, or was maintained a moment ago,
// has nothing due; nor has one that is not there. It returns ErrStorage or the
// catalog's error.
func (l *Lake) UpkeepDue(ctx context.Context, a event.Address, namespace, name string) (occasion string, due bool, err error) {
	l = l.within(ctx)
	ident := kvcatalog.IdentifierOf(a, namespace, name)
	p, _, err := l.catalog.Pointer(ctx, ident)
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return "", false, nil
	}
	now := l.now()
	if err != nil || now.Before(p.UpkeepAfter) || l.idle.still(kvcatalog.TableKey(ident), p.Location, now) {
		return "", false, err
	}
	meta, err := l.catalog.ReadMetadata(p.Location)
	if err != nil {
		return "", false, err
	}
	at := kvcatalog.Loaded{Ident: ident, Pointer: p, Meta: meta}
	s := meta.CurrentSnapshot()
	if s == nil || s.Summary == nil || underWay(at, now) {
		return "", false, nil
	}
	if upkeepDue(s) {
		return p.Location + " files", true, nil
	}
	// The syncs of a table that come often do the rest themselves.
	last := time.UnixMilli(meta.LastUpdatedMillis())
	if later := last.Add(syncOver); now.Before(later) {
		l.idle.note(kvcatalog.TableKey(ident), p.Location, later)
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
	l.idle.note(kvcatalog.TableKey(ident), p.Location, now.Add(longIdle))
	return "", false, nil
}

// longIdle is how long a table that nobody changes is not looked at again.
const longIdle = 24 * time.Hour

// idle are tables that have nothing due while they stay as they are, until a time.
// It is safe for concurrent use.
type idle struct {
	mu     sync.Mutex
	tables map[string]idleTable
}

type idleTable struct {
	location string
	until    time.Time
}

// mostIdle is how many tables are remembered.
const mostIdle = 100_000

func (i *idle) still(table, location string, now time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	t := i.tables[table]
	return t.location == location && now.Before(t.until)
}

func (i *idle) note(table, location string, until time.Time) {
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
	return at.Pointer.Unswept && !goesOn(at) && now.Sub(time.UnixMilli(at.Meta.LastUpdatedMillis())) < syncOver
}
