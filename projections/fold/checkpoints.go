package fold

import (
	"headwater/bus/event"
	"headwater/projections/layout"
)

// KeptCheckpoints is how many of the newest checkpoints of a table are kept.
const KeptCheckpoints = 100

// checkpointKey is valid until the next key.
func (c *Cache) checkpointKey(a event.Address, sequence uint64, namespace, table string) []byte {
	k := c.key(layout.KeyCheckpoint, a.Organization, a.Workspace, a.Owner, a.Source)
	return layout.PutText(layout.PutText(layout.PutNewest(k, sequence), namespace), table)
}

// checkpoint stores a commit that was not reported before, and deletes the
// table's oldest one when there are too many. l is the table's state after its
// last commit.
func (t *Batch) checkpoint(y *cell[layout.SyncEntry], l *layout.Landed, r *event.TableResult) error {
	if r.SnapshotID == 0 || int64(r.SnapshotID) == l.SnapshotID {
		return nil
	}
	a := t.source.v.Address
	t.buffer = layout.AppendCheckpoint(t.buffer[:0], y.v.ID, t.sequence, t.at, r)
	if err := t.out.Set(t.checkpointKey(a, t.sequence, r.Namespace, r.Name), t.buffer); err != nil {
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
