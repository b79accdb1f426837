package records

import (
	"slices"
	"strings"

	"headwater/connectors/driver"
)

// deepest is how many objects down a list of records is looked for.
const deepest = 4

// List is where a JSON document keeps its records.
type List struct {
	// Path leads to the array, outermost key first; empty when the document
	// itself is the array.
	Path []string
	// Single is set when the document is one record.
	Single bool
}

// wellKnown are the names that APIs give to the list of records.
func wellKnown(name string) bool {
	return slices.Contains([]string{"data", "items", "results", "result", "records", "rows", "value", "values", "entries", "hits", "list", "content", "objects", "elements", "resources", "features"}, name)
}

// beside are the names of lists that stand beside the records.
func beside(name string) bool {
	return slices.Contains([]string{"links", "link", "_links", "errors", "warnings", "messages", "included", "facets"}, name)
}

// Locate finds the records of a valid JSON document: the document itself when
// it is an array, else the one array of objects inside, nearest to the root.
// name is the table's, which settles the choice between several arrays. An
// object without such an array is one record. It returns an ErrBadData where
// the choice is open.
func Locate(document []byte, name string) (List, error) {
	document = document[space(document, 0):]
	switch {
	case len(document) > 0 && document[0] == '[':
		return List{}, nil
	case len(document) == 0 || document[0] != '{':
		return List{}, driver.E(driver.ErrBadData, nil, "the JSON is neither a list nor an object")
	}
	level := []node{{raw: document}}
	var empty [][]string
	for range deepest {
		var next []node
		var full [][]string
		for _, n := range level {
			for key, value := range Fields(n.raw) {
				if beside(string(key)) {
					continue
				}
				path := append(slices.Clone(n.path), string(key))
				switch value[0] {
				case '{':
					next = append(next, node{path, value})
				case '[':
					first := value[space(value, 1)]
					if first == '{' {
						full = append(full, path)
					} else if first == ']' {
						empty = append(empty, path)
					}
				}
			}
		}
		if len(full) > 0 {
			path, err := choose(full, name)
			return List{Path: path}, err
		}
		level = next
	}
	for _, path := range empty {
		if len(empty) == 1 || wellKnown(path[len(path)-1]) || path[len(path)-1] == name {
			return List{Path: path}, nil
		}
	}
	return List{Single: true}, nil
}

type node struct {
	path []string
	raw  []byte
}

// choose returns the one path, or the one whose name stands out.
func choose(paths [][]string, name string) ([]string, error) {
	if len(paths) == 1 {
		return paths[0], nil
	}
	last := func(path []string) string { return path[len(path)-1] }
	for _, fits := range []func(string) bool{func(s string) bool { return s == name }, wellKnown} {
		var found [][]string
		for _, path := range paths {
			if fits(last(path)) {
				found = append(found, path)
			}
		}
		if len(found) == 1 {
			return found[0], nil
		}
	}
	var names []string
	for _, path := range paths {
		names = append(names, strings.Join(path, "."))
	}
	return nil, driver.E(driver.ErrBadData, nil, "the JSON holds several lists (%s): name one in records_path", strings.Join(names[:min(len(names), 8)], ", "))
}

// Records returns the raw array of records of a valid document, or nil where it
// is absent or null. A single record comes back as it is.
func (l List) Records(document []byte) []byte {
	if l.Single {
		return document[space(document, 0):]
	}
	raw := Field(document[space(document, 0):], l.Path...)
	if len(raw) == 0 || raw[0] != '[' {
		return nil
	}
	return raw
}
