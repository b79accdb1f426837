package postgres

import (
	"encoding/json"
	"slices"
	"strings"
)

// child is a table that inherits from another one, which is not partitioned.
type child struct {
	oid, parent int64
	name        string
	own         bool     // it has columns of its own
	nullable    []string // columns that may be NULL in it
}

func childOf(row [][]byte) child {
	c := child{oid: number(row[0]), parent: number(row[1]), name: string(row[2]) + "." + string(row[3]), own: truth(row[4])}
	_ = json.Unmarshal(row[5], &c.nullable) // NULL where there are none
	return c
}

// family is how a table stands to those that inherit from it. A SELECT of the
// parent returns their rows too; each row is to land once, with all its columns.
// So a child with columns of its own is a table of its own and is not read with
// its parent; any other is read with it and nowhere else.
type family struct {
	below    []int64  // read with the table
	names    []string // of those
	nullable []string // columns that may be NULL in one of them
	apart    []string // inherit from it and are not read with it
	within   string   // the table that this one is read with, "" for none
}

// chunks is where TimescaleDB keeps the parts of its tables, over all of which
// their keys are unique.
const chunks = "_timescaledb_internal."

// mixed reports whether rows of other tables are among the table's own, over
// which its key is not unique.
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
	for _, r := range d.relations {
		if !r.readable || r.extension != "" {
			continue // its children are read as themselves
		}
		queue := []int64{r.oid}
		for len(queue) > 0 {
			at := queue[0]
			queue = queue[1:]
			for _, c := range d.children {
				switch {
				case c.parent != at || c.oid == r.oid || slices.Contains(r.family.below, c.oid):
				case plain(c):
					r.family.below, r.family.names = append(r.family.below, c.oid), append(r.family.names, c.name)
					r.family.nullable = append(r.family.nullable, c.nullable...)
					queue = append(queue, c.oid)
				default:
					r.family.apart = append(r.family.apart, c.name)
				}
			}
		}
		for _, oid := range r.family.below {
			if below := d.byOID[oid]; below != nil {
				below.family.within = r.String()
			}
		}
	}
}
