package landing

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

// stagedSuffix ends the name of a segment.
const stagedSuffix = ".staged.json"

// segmentRanges is how many ranges a segment takes. It is written anew for each
// group that is staged, so it stays small; a chain of full ones stays short.
const segmentRanges = 64

// segment is one file of the chain that lists what is staged. It never changes:
// a longer one takes its place.
type segment struct {
	Older  string `json:"older,omitempty"` // the full segment before it
	Layout []byte `json:"layout"`          // that the parts are encoded in
	// Start is where the next read goes on at the latest, as the source said it of
	// the first snapshot of what is staged.
	Start *driver.Cursor `json:"start,omitempty"`
	// Position is where in the source's log changes go on behind the rows.
	Position string        `json:"position,omitempty"`
	Ranges   []stagedRange `json:"ranges"`
}

// stagedRange is a range that is read to its end. Rows are counted.
type stagedRange struct {
	driver.Range
	Max    *driver.Cursor `json:"max,omitempty"` // of its rows
	Border *border.Border `json:"border,omitempty"`
	Parts  []stagedPart   `json:"parts,omitempty"`

	files []iceberg.DataFile
}

type stagedPart struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
	Size int64  `json:"size"`
}

// readStaged returns the segments that a head leads to, in the order in which
// they were staged, and their names. No head has none.
func (l *Lake) readStaged(head *kvcatalog.StagedHead) (found []segment, names []string, err error) {
	if head == nil {
		return nil, nil, nil
	}
	for name := head.Segment; name != ""; name = found[len(found)-1].Older {
		content, err := storage.ReadFile(l.files, name)
		if err != nil {
			return nil, nil, storage.Wrap("read what is staged", err)
		}
		var s segment
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

func partNames(segments []segment) []string {
	var names []string
	for _, s := range segments {
		for _, r := range s.Ranges {
			names = append(names, r.names()...)
		}
	}
	return names
}

func (r stagedRange) names() []string {
	names := make([]string, len(r.Parts))
	for i, p := range r.Parts {
		names[i] = p.Name
	}
	return names
}
