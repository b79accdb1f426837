package catalog

import (
	"encoding/json"
	"slices"
	"strings"

	"headwater/connectors/postgres/session"
)

// child is a table that inherits from a table that is not partitioned.
type child struct {
	oid, parent int64
	name        string
	own         bool     // it has columns of its own
	nullable    []string // its columns that may be NULL
}

func childOf(row [][]byte) child {
	c := child{oid: session.Number(row[0]), parent: session.Number(row[1]), name: string(row[2]) + "." + string(row[3]), own: session.Truth(row[4])}
	_ = json.Unmarshal(row[5], &c.nullable) // NULL if there are none
	return c
}

// family is a table and those that inherit from it. A SELECT of the parent returns the
// rows of all, and each row has to land once with all its columns. So a child with
// columns of its own is read on its own; any other is read with its parent and nowhere
// else.
type family struct {
	Below    []int64  // oids of the tables that are read with it
	names    []string // of those tables
	nullable []string // columns that may be NULL in one of them
	Apart    []string // names of the tables that inherit and are read on their own
	within   string   // the table that this one is read with, "" for none
}

// chunks is the schema where TimescaleDB keeps parts of its tables. Their keys are
// unique over all parts.
const chunks = "_timescaledb_internal."

// mixed reports whether rows of other tables are among the table's own, so that its key
// is not unique.
func (f family) mixed() bool {
	return slices.ContainsFunc(f.names, func(name string) bool { return !strings.HasPrefix(name, chunks) })
}

// families finds for each relation what is read with it.
func (d *describing) families() {
	if len(d.children) == 0 {
		return
	}
	parents := map[int64]int{}
	for _, c := range d.children {
		parents[c.oid]++
	}
	// plain reports whether a child is read with its parent.
	plain := func(c child) bool { return !c.own && parents[c.oid] == 1 }
	for _, r := range d.Relations {
		if !r.readable || r.extension != "" {
			continue // its children are read on their own
		}
		queue := []int64{r.OID}
		for len(queue) > 0 {
			at := queue[0]
			queue = queue[1:]
			for _, c := range d.children {
				switch {
				case c.parent != at || c.oid == r.OID || slices.Contains(r.Family.Below, c.oid):
				case plain(c):
					r.Family.Below, r.Family.names = append(r.Family.Below, c.oid), append(r.Family.names, c.name)
					r.Family.nullable = append(r.Family.nullable, c.nullable...)
					queue = append(queue, c.oid)
				default:
					r.Family.Apart = append(r.Family.Apart, c.name)
				}
			}
		}
		for _, oid := range r.Family.Below {
			if below := d.byOID[oid]; below != nil {
				below.Family.within = r.String()
			}
		}
	}
}
