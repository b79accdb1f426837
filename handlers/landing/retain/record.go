package retain

import (
	"encoding/json"
	"path"
	"time"
)

// RecordSuffix ends the name of a record's file.
const RecordSuffix = ".replaced.json"

// Record says of snapshots that were taken from a table's list before their
// grace was over where their files are named: nothing else tells of those that
// the snapshot after them removed. A record that is not needed keeps files for
// longer, and does nothing else.
type Record struct {
	Lists []List `json:"lists"`
}

// List is a manifest list and when its snapshot was replaced.
type List struct {
	Name     string    `json:"name"` // without its folder
	Replaced time.Time `json:"replaced"`
}

// RecordOf returns what to write of snapshots that a commit takes from the list,
// nil where nothing is to be written.
func RecordOf(expired []Replaced, now time.Time) ([]byte, error) {
	var r Record
	for _, s := range expired {
		if s.Files && now.Sub(s.At) <= Grace {
			r.Lists = append(r.Lists, List{path.Base(s.ManifestList), s.At.UTC()})
		}
	}
	if len(r.Lists) == 0 {
		return nil, nil
	}
	return json.Marshal(r)
}

// Needed returns the manifest lists of a record whose files are still needed. A
// record that cannot be read, as a crash may leave it, is of a commit that never
// happened.
func Needed(content []byte, now time.Time) []string {
	var r Record
	if json.Unmarshal(content, &r) != nil {
		return nil
	}
	var names []string
	for _, l := range r.Lists {
		if now.Sub(l.Replaced) <= Grace {
			names = append(names, l.Name)
		}
	}
	return names
}
