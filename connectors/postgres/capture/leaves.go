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
// ATTACH of a table with rows; nor that ALTER TABLE ... USING wrote all rows of a table anew.
// So the note beside the publication has the heaps of the partitions and tables, and what
// became of them decides whether the table can go on.

// partition is a partition that holds rows, or a table that is not partitioned.
type partition struct {
	oid  int64
	node int64  // filenode
	name string // quoted
	xid  uint32 // the transaction that wrote its row of the catalog
	link string // the transactions that attached it and those above it, "" of a table
}

const (
	// rowsFromBefore asks whether a partition may have rows from before its ATTACH, or that
	// of a parent: no log has them. The ids of transactions do not tell, as one that began
	// later may have written before the ATTACH. So a table that was not made by the
	// transaction that attached it must have no rows at all. Of one that was, nobody else
	// saw it before: its rows came first if their command is between the two, which there
	// cannot be in CREATE TABLE ... PARTITION OF; an ATTACH writes the columns anew. That of a row
	// which somebody locked, changed or tried to change is not known.
	rowsFromBefore = `
WITH level AS MATERIALIZED (SELECT i.xmin = d.xmin AS born, i.xmin AS attacher, d.cmin::text::int8 AS made, i.cmin::text::int8 AS attached,
  NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.inhrelid AND a.attnum > 0 AND (a.xmin <> i.xmin OR a.cmin::text::int8 > d.cmin::text::int8)) AS whole
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = c.reltype AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.deptype = 'i'
  WHERE i.inhrelid = %[2]d OR i.inhrelid IN (SELECT relid FROM pg_partition_ancestors(%[2]d)))
SELECT EXISTS (SELECT FROM ONLY %[1]s x WHERE EXISTS (SELECT FROM level l
  WHERE l.born IS NOT TRUE OR NOT l.whole AND l.attached - l.made > 1 AND (x.xmin <> l.attacher OR x.xmax::text <> '0' OR x.cmin::text::int8 > l.made AND x.cmin::text::int8 < l.attached)))`
	// rowsOlder asks whether a partition has a row that is older than the note. Then its
	// new heap does not come from a TRUNCATE.
	rowsOlder = `SELECT EXISTS (SELECT FROM ONLY %[1]s x WHERE age(x.xmin) > age('%[2]s'::xid))`
	// rowsOfHeap asks whether a partition has rows that are of the transaction which made its
	// heap. It may have been emptied, UNLOGGED, filled and LOGGED by that.
	rowsOfHeap = `SELECT EXISTS (SELECT FROM ONLY %[1]s x WHERE x.xmin = '%[2]d'::xid)`
	// columnsOlder asks whether all columns of a table are as they were at the time of the
	// note. Then its new heap comes from a TRUNCATE, or has the same rows (VACUUM FULL).
	// One that is published with others may have been unlogged for a time. That leaves no
	// row older than the note.
	columnsOlder = `SELECT NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = %[1]d AND a.attnum > 0 AND age(a.xmin) <= age('%[2]s'::xid))`
)

// suspicion is that a partition was truncated alone, or the rows of a table written anew:
// it has another heap, and no row, or not every column, is older than the note. A TRUNCATE of
// the whole table in the log, by the transaction that made the heap and left it empty, removes
// the suspicion.
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
			if link := note.Links[oid]; before != 0 && link != "" && link != now.link {
				l.refuse(t, partitioned(t, "its partition "+now.name+" was detached and attached again, and may have changed meanwhile"))
			}
			if now.node == before || l.refused[t.index] != nil {
				continue
			}
			question := fmt.Sprintf(rowsFromBefore, now.name, now.oid)
			switch {
			case before != 0 && now.link == "":
				question = fmt.Sprintf(columnsOlder, now.oid, note.Oldest)
				if t.loose {
					question += " AND (" + fmt.Sprintf(rowsOlder, now.name, note.Oldest) + ")"
				}
			case before != 0:
				question = fmt.Sprintf(rowsOlder, now.name, note.Oldest)
			}
			answer := l.answer(ctx, question)
			if ctx.Err() != nil {
				return nil, driver.E(driver.ErrTimeout, context.Cause(ctx), "stopped")
			}
			suspect := before == 0 && now.node != now.oid || before != 0 && answer != "t" // a new table has the number of its heap
			switch {
			case before == 0 && answer != "f":
				l.refuse(t, partitioned(t, "its partition "+now.name+" was attached with rows, or has some that may be from before (make partitions with CREATE TABLE ... PARTITION OF, or sync once before they have rows)"))
			case suspect && now.link != "" && l.answer(ctx, fmt.Sprintf(rowsOfHeap, now.name, now.xid)) != "f":
				l.refuse(t, partitioned(t, "its partition "+now.name+" was filled by the transaction that truncated it, or its rows were written anew"))
			case suspect:
				all = append(all, suspicion{table: t, leaf: now, until: l.facts.end})
				now.node = before // so that the next note has the old heap
				t.leaves[oid] = now
			}
		}
	}
	l.accept()
	return all, nil
}

// answer asks a question that is answered by t or f, and returns "" if this account may not
// look.
func (l *changeLog) answer(ctx context.Context, question string) (answer string) {
	_ = l.control.ask(ctx, question, func(_ int, row [][]byte) error {
		answer = string(row[0])
		return nil
	})
	return answer
}

// noteLeaves takes partitions into the note that have come since, as they were found by
// again, which was asked for its facts first. They are empty now, or have only rows that
// the log has; asked later, the same question would find rows and not know where they come
// from. It writes an old note again, too. While there are suspicions the note stays.
func (l *changeLog) noteLeaves(ctx context.Context, again *changeLog, note noted) error {
	l.noting.Lock()
	defer l.noting.Unlock()
	came := slices.ContainsFunc(again.tables, func(t *captured) bool {
		was := note.Leaves[strconv.FormatInt(t.row.OID, 10)]
		return was != nil && len(t.leaves) > len(was)
	})
	if !came && !note.old() || l.suspected.Load() || len(again.refused) > 0 {
		return nil
	}
	for _, t := range again.tables {
		at := slices.IndexFunc(l.tables, func(was *captured) bool { return was.index == t.index })
		l.tables[at].leaves = t.leaves
	}
	l.facts.oldest = again.facts.oldest
	return l.takeNote(ctx, nil)
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

// allay notes that a transaction truncated a table as a whole and left it empty, and removes
// its suspicions. One that put rows into it may have truncated a partition, or written the
// rows anew, behind that.
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
	what := "its partition " + s.leaf.name + " was truncated alone, or its rows were written anew"
	if s.leaf.link == "" {
		what = "its rows were written anew when a column was altered"
		if s.table.loose {
			what = "its rows were written anew, or it was truncated and filled in one transaction, or was unlogged for a time"
		}
	}
	why := partitioned(s.table, what)
	l.refused[s.table.index] = why
	if err := l.takeNote(ctx, nil); err != nil {
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
	if len(truncated) == 0 {
		return
	}
	l.noting.Lock()
	defer l.noting.Unlock()
	for _, t := range l.tables {
		xid, ok := truncated[t.row.OID]
		if !ok {
			continue
		}
		found := map[string]partition{}
		_ = l.control.ask(ctx, fmt.Sprintf(ofCaptured, session.OIDList([]int64{t.row.OID})), func(_ int, row [][]byte) error { // if it fails the table is read whole the next time
			oid := string(row[1])
			if now, ok := t.leaves[oid]; ok && uint32(session.Number(row[11])) == xid {
				now.node, now.xid = session.Number(row[8]), xid
				found[oid] = now
			}
			return nil
		})
		for oid, now := range found {
			if now.link == "" || l.answer(ctx, fmt.Sprintf(rowsOfHeap, now.name, xid)) == "f" {
				t.leaves[oid] = now
			}
		}
	}
	_ = l.takeNote(ctx, nil)
}
