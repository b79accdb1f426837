package capture

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/jackc/pglogrepl"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/session"
)

// No message of the log says what is done to a single partition: TRUNCATE, DETACH, DROP, and
// ATTACH of a table with rows. So the note beside the publication has the heaps of the
// partitions, and what became of them decides whether the table can go on.

// partition is a partition that holds rows.
type partition struct {
	oid  int64
	node int64  // filenode
	name string // quoted
	xid  uint32 // the transaction that wrote its row of the catalog
}

const (
	// rowsFromBefore asks whether a partition has rows that are older than its ATTACH, or
	// that of a parent: no log has them.
	rowsFromBefore = `SELECT EXISTS (SELECT FROM ONLY %[1]s x WHERE age(x.xmin) >= (SELECT min(age(i.xmin)) FROM pg_inherits i WHERE i.inhrelid = %[2]d OR i.inhrelid IN (SELECT relid FROM pg_partition_ancestors(%[2]d))))`
	// rowsOlder asks whether a partition has a row that is older than the note. Then its
	// new heap does not come from a TRUNCATE.
	rowsOlder = `SELECT EXISTS (SELECT FROM ONLY %[1]s x WHERE age(x.xmin) > age('%[2]s'::xid))`
)

// suspicion is that a partition was truncated alone: it has another heap, and no row
// older than the note. A TRUNCATE of the whole table in the log, by the transaction that
// made the heap, removes the suspicion.
type suspicion struct {
	table *captured
	leaf  partition
	until pglogrepl.LSN // where in the log the TRUNCATE would have been by then
}

// checkLeaves refuses partitioned tables if a partition came or went with its rows after
// the note was written. It returns the partitions that may have been truncated alone.
func (l *changeLog) checkLeaves(ctx context.Context, note noted) (all []suspicion, err error) {
	for _, t := range l.tables {
		was := note.Leaves[strconv.FormatInt(t.row.OID, 10)]
		if t.after == 0 || was == nil {
			continue
		}
		for oid := range was {
			if _, there := t.leaves[oid]; !there {
				l.refuse(t, partitioned(t, "a partition of it was detached or dropped, with its rows"))
			}
		}
		for _, oid := range slices.Sorted(maps.Keys(t.leaves)) {
			now, before := t.leaves[oid], was[oid]
			if now.node == before || l.refused[t.index] != nil {
				continue
			}
			question := fmt.Sprintf(rowsFromBefore, now.name, now.oid)
			if before != 0 {
				question = fmt.Sprintf(rowsOlder, now.name, note.Oldest)
			}
			answer := "" // if this account may not look
			if err := l.control.ask(ctx, question, func(_ int, row [][]byte) error {
				answer = string(row[0])
				return nil
			}); err != nil && ctx.Err() != nil {
				return nil, err
			}
			switch {
			case before == 0 && answer != "f":
				l.refuse(t, partitioned(t, "a partition with rows was attached to it"))
			case before != 0 && answer != "t":
				all = append(all, suspicion{table: t, leaf: now, until: l.facts.end})
				now.node = before // so that the next note has the old heap
				t.leaves[oid] = now
			}
		}
	}
	l.accept()
	return all, nil
}

func partitioned(t *captured, why string) error {
	return driver.E(driver.ErrReplaced, nil, "%s: %s, which the log of changes does not tell", t.table, why)
}

// addSuspicions makes the reading look for what removes the suspicions.
func (l *changeLog) addSuspicions(all []suspicion) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range all {
		known := slices.ContainsFunc(l.suspects, func(o suspicion) bool { return o.leaf.oid == s.leaf.oid && o.leaf.node == s.leaf.node })
		if xid, ok := l.truncated[s.table.row.OID]; !known && !(ok && xid == s.leaf.xid) {
			l.suspects = append(l.suspects, s)
		}
	}
	l.suspected.Store(len(l.suspects) > 0)
}

// allay notes that a partitioned table was truncated as a whole, and removes its
// suspicions.
func (l *changeLog) allay(table int64, xid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.truncated == nil {
		l.truncated = map[int64]uint32{}
	}
	l.truncated[table] = xid
	l.suspects = slices.DeleteFunc(l.suspects, func(s suspicion) bool { return s.table.row.OID == table && s.leaf.xid == xid })
	l.suspected.Store(len(l.suspects) > 0)
}

// unexplained returns an error if the log was read far enough and a suspicion was not
// removed. The table is refused from then on.
func (l *changeLog) unexplained(reached pglogrepl.LSN) error {
	if !l.suspected.Load() {
		return nil
	}
	l.mu.Lock()
	at := slices.IndexFunc(l.suspects, func(s suspicion) bool { return reached >= s.until })
	var s suspicion
	if at >= 0 {
		s = l.suspects[at]
	}
	l.mu.Unlock()
	if at < 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), session.CloseLimit) // the note has to be written even if the reading stops
	defer cancel()
	l.noting.Lock()
	defer l.noting.Unlock()
	why := partitioned(s.table, "its partition "+s.leaf.name+" was truncated alone, or its rows were written anew")
	l.refused[s.table.index] = why
	if err := l.takeNote(ctx); err != nil {
		return err
	}
	return driver.E(driver.ErrRetyped, nil, "what is captured was altered: %v", why)
}

// noteTruncated writes the new heaps of tables that were truncated as a whole into the
// note.
func (l *changeLog) noteTruncated(ctx context.Context) {
	l.mu.Lock()
	truncated := l.truncated
	l.truncated = nil
	l.mu.Unlock()
	if len(truncated) == 0 || l.source.pool.Settings.Publication != "" {
		return
	}
	l.noting.Lock()
	defer l.noting.Unlock()
	for _, t := range l.tables {
		xid, ok := truncated[t.row.OID]
		if !ok {
			continue
		}
		_ = l.control.ask(ctx, fmt.Sprintf(ofCaptured, session.OIDList([]int64{t.row.OID})), func(_ int, row [][]byte) error { // if it fails the table is read whole the next time
			oid := string(row[1])
			if before, ok := t.leaves[oid]; ok && uint32(session.Number(row[11])) == xid {
				before.node = session.Number(row[8])
				t.leaves[oid] = before
			}
			return nil
		})
	}
	_ = l.takeNote(ctx)
}
