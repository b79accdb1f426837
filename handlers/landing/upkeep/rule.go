package upkeep

import (
	"fmt"
	"slices"
	"strconv"
)

// Full is about how large a file becomes, bytes.
const Full = 96 << 20

// File is a file of rows. The order of files is that in which they landed, and
// those that are joined follow each other, so that it stays.
type File struct {
	Name string
	Rows int64
	Gone int64 // of them, deleted
	Size int64 // bytes
}

// Rule says when files are worth being written anew.
type Rule struct {
	Join    int     // how many small files after one another; with Tiers a quarter of that if rows of them are deleted
	Share   float64 // which share of a file's rows is deleted
	Deletes int     // how many files of position deletes
	Tiers   bool    // a file waits until the files behind it have a third of its bytes
	Small   int64   // bytes under which a file is joined with its neighbours
	Mean    int64   // bytes of a file, on average, under which a look at them is worth it
}

var (
	// ByItself is the rule after syncs: each byte is written anew a few times.
	ByItself = Rule{Join: 8, Share: 0.06, Deletes: 3, Tiers: true, Small: Full / 4, Mean: Full / 2}
	// Replaced is ByItself for a table whose last sync replaced all rows, as the next will:
	// joining its files would write each row twice a sync, so that readers open a few files
	// less. Only very small ones are joined.
	Replaced = Rule{Join: 8, Share: 0.06, Deletes: 3, Tiers: true, Small: Full / 24, Mean: Full / 24}
	// Asked is the rule for a maintenance that was asked for: whatever makes the table
	// quicker to read.
	Asked = Rule{Join: 2, Share: 1e-9, Deletes: 2, Small: Full / 4, Mean: Full / 2}
)

// Totals are what a snapshot's summary says of the table's files.
type Totals struct {
	Files, Deletes int   // of rows, of position deletes
	Rows, Gone     int64 // in the files, deleted
	Size           int64 // bytes
}

// TotalsOf returns the totals in the properties of a snapshot's summary, 0 for one that is
// not there.
func TotalsOf(summary map[string]string) Totals {
	n := func(name string) int64 {
		n, _ := strconv.ParseInt(summary[name], 10, 64)
		return n
	}
	return Totals{
		Files: int(n("total-data-files")), Deletes: int(n("total-delete-files")),
		Rows: n("total-records"), Gone: n("total-position-deletes"), Size: n("total-files-size"),
	}
}

// Due reports whether a look at the files of a table is worth it.
func (r Rule) Due(t Totals) bool {
	return t.Deletes >= r.Deletes || float64(t.Gone) >= r.Share*float64(max(1, t.Rows)) || t.Files >= r.Join+int(t.Size/r.Mean)
}

// Groups returns the files that are to become one each, the quickest to write
// first.
func (r Rule) Groups(files []File) [][]File {
	var groups [][]File
	var run []File
	size := int64(0)
	end := func() {
		if group := r.worth(run); group != nil {
			groups = append(groups, group)
		}
		run, size = nil, 0
	}
	for _, f := range files {
		if f.Size >= r.Small && !r.worn(f) {
			end()
			continue
		}
		live := f.Size - int64(float64(f.Size)*f.share())
		if len(run) > 0 && size+live > Full {
			end()
		}
		run, size = append(run, f), size+live
	}
	end()
	return groups
}

// worth returns what of files that follow each other is to become one, nil for
// nothing.
func (r Rule) worth(run []File) []File {
	for r.Tiers && len(run) > 1 && !r.worn(run[0]) && run[0].Size > 3*sizeOf(run[1:]) {
		run = run[1:]
	}
	least := r.Join
	if r.Tiers && slices.ContainsFunc(run, func(f File) bool { return f.Gone > 0 }) {
		least = r.Join / 4 // of each, readers look at the deletes of all
	}
	if len(run) >= least {
		return run
	}
	// The first to the last of those that many rows are deleted from.
	first, last := -1, -1
	for i, f := range run {
		if r.worn(f) {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first < 0 {
		return nil
	}
	return run[first : last+1]
}

func sizeOf(files []File) (size int64) {
	for _, f := range files {
		size += f.Size
	}
	return size
}

func (f File) share() float64 { return float64(f.Gone) / float64(max(1, f.Rows)) }

func (r Rule) worn(f File) bool { return f.Gone > 0 && f.share() >= r.Share }

// Why says in words what a table's state calls for, "" for nothing.
func (r Rule) Why(files []File, deletes int, groups [][]File) string {
	joined, worn := 0, 0
	for _, g := range groups {
		if len(g) > 1 {
			joined += len(g)
		}
		for _, f := range g {
			if r.worn(f) {
				worn++
			}
		}
	}
	switch {
	case joined > 0 && worn > 0:
		return fmt.Sprintf("%d of %d files are small or follow each other with deleted rows, %d of them with many", joined, len(files), worn)
	case joined > 0:
		return fmt.Sprintf("%d of %d files are small", joined, len(files))
	case worn > 0:
		return fmt.Sprintf("many rows of %d of %d files are deleted", worn, len(files))
	case deletes >= r.Deletes:
		return fmt.Sprintf("the deleted rows are in %d files", deletes)
	}
	return ""
}
