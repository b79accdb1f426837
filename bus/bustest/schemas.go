package bustest

import (
	"bytes"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"headwater/bus/event"
	"headwater/bus/schemas"
)

// CheckEvents validates every event that this process publishes against its JSON
// Schema; publishing an invalid event fails. Call it in TestMain.
func CheckEvents() {
	check, err := validator()
	if err != nil {
		panic(err)
	}
	event.Checked = check
}

func validator() (func(name string, body []byte) error, error) {
	documents, err := schemas.All()
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiled := map[string]*jsonschema.Schema{}
	for name, document := range documents {
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
		if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", name, err)
		}
		if err := compiler.AddResource(event.DataSchema(name), parsed); err != nil {
			return nil, fmt.Errorf("schema of %s: %w", name, err)
		}
	}
	for name := range documents {
		if compiled[name], err = compiler.Compile(event.DataSchema(name)); err != nil {
			return nil, fmt.Errorf("schema of %s: %w", name, err)
		}
	}
	return func(name string, body []byte) error {
		schema := compiled[name]
		if schema == nil {
			return fmt.Errorf("%s has no schema", name)
		}
		payload, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			return err
		}
		return schema.Validate(payload)
	}, nil
}
