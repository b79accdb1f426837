// Package retain says which snapshots a table lists, and which files of others
// are still needed. It knows no clock, no catalog and no sync.
package retain

import (
	"slices"
	"time"

	"github.com/apache/iceberg-go/table"
)

const (
	// Grace is how long readers can still read what a commit has replaced.
	Grace = 15 * time.Minute
	// Listed is how many snapshots a table's metadata lists: each is written anew
	// with every commit. The files of others stay for the grace all the same.
	Listed = 3
	// Generations is how many of those whose files a commit removed are listed
	// besides, each with the one that took its place.
	Generations = 2
	// Logged is how many former metadata files a metadata file names. Each names
	// the one before it, so that they are a chain.
	Logged = 2
	// Every is how often the files of a table that is written all the time are
	// looked through for what nobody needs any more.
	Every = Grace / 10
)

// Replaced is a snapshot that another one took the place of.
type Replaced struct {
	table.Snapshot
	// At is when that was, at the latest.
	At time.Time
	// Files says that its successor may have removed files of rows or of deletes, so
	// that no later snapshot names them.
	Files bool
}

// Expired returns the snapshots that a commit now should take from the list, the
// oldest first: those that were replaced longer ago than the grace, and those
// beyond those that are listed, counting the one that the commit adds. Generations
// are listed so that a table that is refreshed now and then needs no Record. The
// current one and what a tag or branch names are never among them.
func Expired(meta table.Metadata, now time.Time) []Replaced {
	// Snapshots are in the order in which they were added.
	snapshots := meta.Snapshots()
	keep := map[int64]bool{}
	for _, s := range snapshots[max(0, len(snapshots)-(Listed-1)):] {
		keep[s.SnapshotID] = true
	}
	replaced := make([]Replaced, max(0, len(snapshots)-1))
	generations := 0
	for i := len(replaced) - 1; i >= 0; i-- {
		s, next := snapshots[i], &snapshots[i+1]
		follows := next.ParentSnapshotID != nil && *next.ParentSnapshotID == s.SnapshotID
		replaced[i] = Replaced{s, time.UnixMilli(next.TimestampMs), !follows || removes(next)}
		if follows && replaced[i].Files && generations < Generations {
			generations++
			keep[s.SnapshotID], keep[next.SnapshotID] = true, true
		}
	}
	named := map[int64]bool{}
	for _, ref := range meta.Refs() {
		named[ref.SnapshotID] = true
	}
	return slices.DeleteFunc(replaced, func(r Replaced) bool {
		return named[r.SnapshotID] || keep[r.SnapshotID] && now.Sub(r.At) <= Grace
	})
}

// removes reports whether a snapshot may have removed files. A program that says
// nothing of it may.
func removes(s *table.Snapshot) bool {
	if s.Summary == nil {
		return true
	}
	switch s.Summary.Operation {
	case table.OpAppend:
		return false
	case table.OpOverwrite:
		for _, count := range []string{"deleted-data-files", "removed-delete-files"} {
			if n := s.Summary.Properties[count]; n != "" && n != "0" {
				return true
			}
		}
		return s.Summary.Properties["total-data-files"] == "" // it counts nothing
	}
	return true
}
