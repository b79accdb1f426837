package reading

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/syncstate"
)

// Checkpoint is a place from which an incremental sync can go on.
type Checkpoint struct {
	SnapshotID int64         `json:"snapshot_id"`
	SyncID     string        `json:"sync_id"`
	Cursor     driver.Cursor `json:"cursor"`
	Time       time.Time     `json:"time"`  // of the commit
	Final      bool          `json:"final"` // the sync's last
	// Total counts the rows that readers of the table saw then.
	Total int64 `json:"total"`
}

// Checkpoints returns, for each landed table of a source by the name its source
// gave it, the checkpoints that its snapshots still tell of, newest first. A
// commit that has no cursor is none. It returns ErrStorage or the store's error.
func (l *Reader) Checkpoints(ctx context.Context, a event.Address) (map[string][]Checkpoint, error) {
	l = l.within(ctx)
	idents, err := l.catalog.Identifiers(ctx, "table.", kvcatalog.NamespaceOf(a))
	if err != nil {
		return nil, err
	}
	all := make(map[string][]Checkpoint, len(idents))
	for _, ident := range idents {
		at, err := l.catalog.Load(ctx, ident)
		if errors.Is(err, catalog.ErrNoSuchTable) {
			continue // dropped meanwhile
		}
		if err != nil {
			return nil, err
		}
		if all[at.Pointer.Name], err = checkpointsOf(at.Meta); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func checkpointsOf(meta table.Metadata) ([]Checkpoint, error) {
	found := []Checkpoint{}
	for _, s := range slices.Backward(meta.Snapshots()) {
		if s.Summary == nil || s.Summary.Properties[syncstate.PropSync] == "" || s.Summary.Properties[syncstate.PropStateOf] != "" {
			continue
		}
		was, err := syncstate.In(&s)
		if err != nil {
			return nil, err
		}
		if was.Cursor.Value == nil {
			continue
		}
		total, err := syncstate.TotalRecords(&s)
		if err != nil {
			return nil, err
		}
		found = append(found, Checkpoint{
			SnapshotID: s.SnapshotID, SyncID: was.Sync, Cursor: was.Cursor, Final: was.Final,
			Time: time.UnixMilli(s.TimestampMs).UTC(), Total: total,
		})
	}
	return found, nil
}
