package projections

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// located returns the document of a schema's table with the table's storage
// location, as its last commit reported it. A table without a commit is returned
// unchanged. It updates places, a hash of the locations.
func (s *Store) located(db pebble.Reader, a event.Address, doc []byte, places *uint64) ([]byte, error) {
	var table struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	}
	if err := json.Unmarshal(doc, &table); err != nil {
		return nil, fmt.Errorf("%w: table of a schema: %w", ErrDamaged, err)
	}
	v, err := s.get(db, layout.Key(layout.KeyLanded, a.Organization, a.Workspace, a.Owner, a.Source, table.Namespace, table.Name))
	if errors.Is(err, ErrNotFound) {
		return doc, nil
	}
	if err != nil {
		return nil, err
	}
	l, err := layout.DecodeLanded(v)
	if err != nil || l.Location == "" {
		return doc, err
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(l.Location)) // never fails
	*places = *places*31 + h.Sum64()
	o := layout.Extend(append(make([]byte, 0, len(doc)+len(l.Location)+32), doc...))
	o.Text("location", l.Location)
	return o.End(), nil
}
