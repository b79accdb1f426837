// Package staged is how ranges of a whole read are noted that are durable and not yet
// visible: a chain of files that the key of their table leads to. It knows no sync
// under way and no commit.
package staged

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/apache/iceberg-go"

	"headwater/connectors/driver"
	"headwater/handlers/landing/border"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/storage"
)

// Suffix ends the name of a segment.
const Suffix = ".staged.json"

// Most is how many ranges a segment takes. The newest one is written anew for each
// group of ranges, so it stays small; the chain of full ones stays short.
const Most = 64

// Segment is one file of the chain that lists what is staged. It never changes:
// a longer one takes its place.
type Segment struct {
	Older  string `json:"older,omitempty"` // name of the full segment before it, "" for none
	Layout []byte `json:"layout"`          // in which the parts are encoded, as parts.Layout marshals it
	// Start is where the next read goes on at the latest, as the source said it of
	// the first snapshot of what is staged.
	Start *driver.Cursor `json:"start,omitempty"`
	// Position is where in the source's log changes go on behind the rows.
	Position string  `json:"position,omitempty"`
	Moved    uint64  `json:"moved,omitempty"` // of the source that was read
	Ranges   []Range `json:"ranges"`
}

// Range is a range of a table that was read to its end. Its Rows are counted.
type Range struct {
	driver.Range
	Max    *driver.Cursor `json:"max,omitempty"` // of its rows, nil for none
	Border *border.Border `json:"border,omitempty"`
	Parts  []Part         `json:"parts,omitempty"`

	// Files are what a commit says of the parts, in their order. They are not noted.
	Files []iceberg.DataFile `json:"-"`
}

// Part is a durable file of a range's rows.
type Part struct {
	Name string `json:"name"` // a URL in the lake
	Rows int64  `json:"rows"`
	Size int64  `json:"size"` // bytes
}

// Read returns the segments that a head leads to, in the order in which they were
// staged, and their names. A nil head has none. It returns parts.ErrStorage if a
// segment cannot be read, beside fs.ErrNotExist if it is gone.
func Read(files storage.Store, head *kvcatalog.StagedHead) (found []Segment, names []string, err error) {
	if head == nil {
		return nil, nil, nil
	}
	for name := head.Segment; name != ""; name = found[len(found)-1].Older {
		content, err := storage.ReadFile(files, name)
		if err != nil {
			return nil, nil, storage.Wrap("read what is staged", err)
		}
		var s Segment
		if err := json.Unmarshal(content, &s); err != nil {
			return nil, nil, storage.Wrap("read what is staged", err)
		}
		if slices.Contains(names, name) {
			return nil, nil, storage.Wrap("read what is staged", errors.New("its segments lead back to themselves"))
		}
		found, names = append(found, s), append(names, name)
	}
	slices.Reverse(found)
	slices.Reverse(names)
	return found, names, nil
}

// PartNames returns the names of the range's parts.
func (r Range) PartNames() []string {
	names := make([]string, len(r.Parts))
	for i, p := range r.Parts {
		names[i] = p.Name
	}
	return names
}

// PartNames returns the names of all parts of segments.
func PartNames(segments []Segment) []string {
	var names []string
	for _, s := range segments {
		for _, r := range s.Ranges {
			names = append(names, r.PartNames()...)
		}
	}
	return names
}
