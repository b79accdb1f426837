package views

import (
	"encoding/json"
)

// Metadata returns the content of a metadata file with the names as they are
// shown. What is no name stays as it is, byte by byte.
func (v *Views) Metadata(content []byte) ([]byte, error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(content, &doc); err != nil {
		return nil, err
	}
	if err := v.rename(doc, "location"); err != nil {
		return nil, err
	}
	for list, name := range map[string]string{
		"snapshots": "manifest-list", "metadata-log": "metadata-file", "statistics": "statistics-path", "partition-statistics": "statistics-path",
	} {
		if doc[list] == nil {
			continue
		}
		var entries []map[string]json.RawMessage
		if err := json.Unmarshal(doc[list], &entries); err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if err := v.rename(entry, name); err != nil {
				return nil, err
			}
		}
		var err error
		if doc[list], err = json.Marshal(entries); err != nil {
			return nil, err
		}
	}
	return json.Marshal(doc)
}

func (v *Views) rename(in map[string]json.RawMessage, key string) error {
	if in[key] == nil {
		return nil
	}
	var name string
	if err := json.Unmarshal(in[key], &name); err != nil {
		return err
	}
	if name == v.from {
		name = v.to
	}
	shown, err := json.Marshal(v.Named(name))
	in[key] = shown
	return err
}
