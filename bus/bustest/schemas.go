package bustest

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"headwater/bus/event"
	"headwater/bus/schemas"
)

// CheckEvents validates every event that this process publishes against its JSON
// Schema; publishing an invalid event fails. Call it in TestMain.
func CheckEvents() {
	// Read when an event is published: a process that tests start may publish few or none.
	all := sync.OnceValues(compile)
	event.Checked = func(name string, body []byte) error {
		of, err := all()
		if err != nil {
			return err
		}
		schema, err := of(name)
		if err != nil {
			return err
		}
		payload, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			return err
		}
		return schema.Validate(payload)
	}
}

// compile returns what compiles the schema of a name, once.
func compile() (func(name string) (*jsonschema.Schema, error), error) {
	documents, err := schemas.All()
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for name, document := range documents {
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
		if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", name, err)
		}
		if err := compiler.AddResource(event.DataSchema(name), parsed); err != nil {
			return nil, fmt.Errorf("schema of %s: %w", name, err)
		}
	}
	var mu sync.Mutex // a compiler is for one at a time
	return func(name string) (*jsonschema.Schema, error) {
		if documents[name] == nil {
			return nil, fmt.Errorf("%s has no schema", name)
		}
		mu.Lock()
		defer mu.Unlock()
		schema, err := compiler.Compile(event.DataSchema(name))
		if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", name, err)
		}
		return schema, nil
	}, nil
}
