package capture

import (
	"strconv"

	"headwater/connectors/driver"
)

// The changes of a partition come as those of its root, and do not say which partition they
// are of. But the server describes the partition right behind the root, once, ahead of the
// first change of it that a reading gets. So a partition that came and went with its rows
// between two looks at the catalog is known by its first row.

// describes notes that the log has described a relation.
func (f *follower) describes(oid uint32) { f.described = [2]uint32{f.described[1], oid} }

// partOf checks, ahead of a change of a relation, whether what was described right behind
// the relation is one of its partitions. A partition that the catalog did not have is gone by
// now, with rows that no message removes, or came since, and has to be noted before its rows
// land: it may be gone the next time.
func (f *follower) partOf(as uint32) error {
	part := f.described[1]
	of := f.described[0] == as && part != as
	f.described = [2]uint32{}
	if !of {
		return nil
	}
	t, owner := f.tables[as], f.ownerOf(part)
	switch {
	case t != nil && t != owner && f.commit >= t.after && f.commit >= f.log.known:
		return driver.E(driver.ErrRetyped, nil, "table %s was altered: it has another partition now", t.table)
	case t != nil && t != owner && f.commit >= t.after:
		return f.refuse(t, gone(t.captured, "a partition of it came with rows, and was detached or dropped again"))
	case owner != nil && t != owner && f.commit >= owner.after:
		return f.refuse(owner, gone(owner.captured, "it was a partition of another table for a time"))
	}
	return nil
}

func gone(t *captured, why string) *driver.Error {
	return driver.E(driver.ErrReplaced, nil, "%s: %s, which the log of changes does not tell", t.table, why)
}

// ownerOf returns the table of which a relation is a partition, or that it is; nil for others.
func (f *follower) ownerOf(oid uint32) *target {
	f.log.noting.Lock()
	defer f.log.noting.Unlock()
	for _, t := range f.order {
		if _, ok := t.leaves[strconv.FormatUint(uint64(oid), 10)]; ok {
			return t
		}
	}
	return nil
}
