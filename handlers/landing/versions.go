package landing

import (
	"slices"

	"headwater/handlers/landing/syncstate"
)

// mayHoldVersions reports whether a merge meets a table that may hold several
// rows of a key, as after rows were appended, so that it has to look at all of
// them once.
func (w *Writer) mayHoldVersions(was syncstate.State) bool {
	return w.target.merges() && was.Total > 0 && !slices.Equal(was.Key, w.target.Key)
}

// distinctBy returns the columns by which each row of the table is one after a
// commit to the table as it was, nil where rows may share their values. A source
// read whole has each row once.
func (w *Writer) distinctBy(was syncstate.State, c change) []string {
	switch {
	case w.target.merges(), w.target.follows() && !w.target.Log:
		return w.target.Key
	case w.target.Log:
		return nil
	case w.replace:
		return w.target.Table.PrimaryKey
	case rowsIn(c.add) == 0:
		return was.Key
	}
	return nil
}
