package digest

import (
	"cmp"
	"slices"
)

// Differing returns the buckets in which two sides differ, as many of them as
// can be listed, and whether there are more.
func Differing(source, landed Sums) (buckets []int, more bool) {
	listed := uint32(0)
	for b := range Buckets {
		if source.Counts[b] == landed.Counts[b] && source.Contents[b] == landed.Contents[b] {
			continue
		}
		// Rows that are behind are listed, too; they are spread over all buckets.
		size := max(source.Counts[b], landed.Counts[b]) + uint32(source.Behind/Buckets) + 1
		if len(buckets) > 0 && listed+size > MaxListed {
			return buckets, true
		}
		buckets, listed = append(buckets, b), listed+size
	}
	return buckets, false
}

// Difference is one row in which two sides differ.
type Difference struct {
	What string `json:"what"` // missing, changed, surplus
	Key  string `json:"key"`

	key    Hash
	source Hash // of the source's values, zero where it has no such row
}

// The kinds of Difference.
const (
	Missing = "missing" // the source has it, and it did not land
	Changed = "changed" // both have it, with other values
	Surplus = "surplus" // it landed, and the source does not have it
)

// Compare says in which of the listed rows two sides differ, in the order of
// their keys. Rows of the source that are behind differ from nothing.
func Compare(source, landed []Row) (found []Difference) {
	type pair struct {
		source, landed []Row
		behind         bool
	}
	pairs := map[Hash]*pair{}
	at := func(k Hash) *pair {
		if pairs[k] == nil {
			pairs[k] = &pair{}
		}
		return pairs[k]
	}
	for _, r := range source {
		p := at(r.Key)
		p.source, p.behind = append(p.source, r), p.behind || r.Behind
	}
	for _, r := range landed {
		p := at(r.Key)
		p.landed = append(p.landed, r)
	}
	for _, p := range pairs {
		if p.behind {
			continue
		}
		left, over := without(p.source, p.landed), without(p.landed, p.source)
		both := min(len(left), len(over))
		for i := range max(len(left), len(over)) {
			switch {
			case i < both:
				found = append(found, Difference{Changed, left[i].Text, left[i].Key, left[i].Content})
			case i < len(left):
				found = append(found, Difference{Missing, left[i].Text, left[i].Key, left[i].Content})
			default:
				found = append(found, Difference{What: Surplus, Key: over[i].Text, key: over[i].Key})
			}
		}
	}
	slices.SortFunc(found, func(a, b Difference) int { return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Key, b.Key)) })
	return found
}

// Still returns those of found that an earlier comparison had found as well, with
// the same values at the source. The source has changed the others in between, or
// they have landed since. Rows need a key.
func Still(found, earlier []Difference) (still []Difference) {
	before := make(map[Hash]Hash, len(earlier))
	for _, d := range earlier {
		before[d.key] = d.source
	}
	for _, d := range found {
		if source, was := before[d.key]; was && source == d.source {
			still = append(still, d)
		}
	}
	return still
}

// without returns the rows whose content those of another list do not have, each
// as often as it is more.
func without(rows, other []Row) (rest []Row) {
	there := make(map[Hash]int, len(other))
	for _, r := range other {
		there[r.Content]++
	}
	for _, r := range rows {
		if there[r.Content]--; there[r.Content] < 0 {
			rest = append(rest, r)
		}
	}
	return rest
}
