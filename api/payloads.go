package api

import (
	"encoding/json"
	"fmt"

	"github.com/invopop/jsonschema"

	"headwater/bus/command"
	"headwater/bus/event"
)

// payloadSchemas returns the JSON Schema of every event and command payload,
// under the name that its CloudEvents dataschema carries. Readers must ignore
// fields they do not know, so the schemas allow more.
func payloadSchemas() (map[string][]byte, error) {
	all := map[string][]byte{}
	add := func(name string, payload any) error {
		reflector := jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, AllowAdditionalProperties: true}
		schema := reflector.Reflect(payload)
		schema.ID = jsonschema.ID(event.DataSchema(name))
		schema.Title = name
		encoded, err := json.MarshalIndent(schema, "", "  ")
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
