// Package schemas generates the JSON Schema of every event and command payload
// from the structs that are published.
package schemas

import (
	"encoding/json"
	"fmt"

	"github.com/invopop/jsonschema"

	"headwater/bus/command"
	"headwater/bus/event"
)

// All returns the JSON Schema of every event and command payload, by the name in
// its CloudEvents dataschema. The schemas permit additional fields, because
// readers must ignore fields they do not know. It fails if a payload has no
// schema.
func All() (map[string][]byte, error) {
	all := map[string][]byte{}
	add := func(name string, payload any) error {
		reflector := jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, AllowAdditionalProperties: true}
		schema := reflector.Reflect(payload)
		schema.ID = jsonschema.ID(event.DataSchema(name))
		schema.Title = name
		encoded, err := nullable(schema)
		if err != nil {
			return fmt.Errorf("schema of %s: %w", name, err)
		}
		all[name] = append(encoded, '\n')
		return nil
	}
	for _, e := range event.All() {
		if err := add(e.EventName(), e); err != nil {
			return nil, err
		}
	}
	for _, c := range command.All() {
		if err := add(c.CommandName(), c); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// nullable encodes a schema in which every list may be null, because an empty
// list may have been published so.
func nullable(schema *jsonschema.Schema) ([]byte, error) {
	encoded, err := json.Marshal(schema)
	if err != nil {
		return nil, err
	}
	var document any
	if err := json.Unmarshal(encoded, &document); err != nil {
		return nil, err
	}
	var walk func(any)
	walk = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			if node["type"] == "array" {
				node["type"] = []string{"array", "null"}
			}
			for _, child := range node {
				walk(child)
			}
		case []any:
			for _, child := range node {
				walk(child)
			}
		}
	}
	walk(document)
	return json.MarshalIndent(document, "", "  ")
}
