package fold

import (
	"headwater/bus/event"
	"headwater/projections/layout"
)

// KeptCheckpoints is how many of a table are kept, the newest.
const KeptCheckpoints = 100

// checkpointKey is good until the next key.
func (c *Cache) checkpointKey(a event.Address, sequence uint64, namespace, table string) []byte {
	k := c.key(layout.KeyCheckpoint, a.Organization, a.Workspace, a.Owner, a.Source)
	return layout.PutText(layout.PutText(layout.PutNewest(k, sequence), namespace), table)
}

// checkpoint keeps a commit that was not told of before, and forgets the oldest
// of the table when there are too many. l is what the table's last commit left.
func (t *Batch) checkpoint(y *cell[layout.SyncEntry], l *layout.Landed, r *event.TableResult) error {
	if r.SnapshotID == 0 || int64(r.SnapshotID) == l.SnapshotID {
		return nil
	}
	a := t.source.v.Address
	t.room = layout.AppendCheckpoint(t.room[:0], y.v.ID, t.sequence, t.at, r)
	if err := t.out.Set(t.checkpointKey(a, t.sequence, r.Namespace, r.Name), t.room); err != nil {
		return err
	}
	l.SnapshotID = int64(r.SnapshotID)
	l.Checkpoints = append(l.Checkpoints, t.sequence)
	if len(l.Checkpoints) <= KeptCheckpoints {
		return nil
	}
	oldest := l.Checkpoints[0]
	l.Checkpoints = append(l.Checkpoints[:0], l.Checkpoints[1:]...)
	return t.out.Delete(t.checkpointKey(a, oldest, r.Namespace, r.Name))
}
