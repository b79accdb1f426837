package connectors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"headwater/connectors/driver"
)

// settings is what a driver's typed configuration says about itself.
type settings struct {
	document json.RawMessage   // the JSON Schema
	schema   *validator.Schema // the same, compiled
	fields   map[string]*field
	zero     reflect.Type // of the struct
}

// field is one key of a configuration.
type field struct {
	secret bool
	fields map[string]*field // of a public object, else nil
}

// newSettings generates and compiles the schema of a driver's settings. It
// allows only the listed keys and marks every field that is not declared public
// as a secret.
func newSettings(spec driver.Spec) (*settings, error) {
	t := reflect.TypeOf(spec.Settings)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("settings are a %T, want a pointer to a struct", spec.Settings)
	}
	reflector := jsonschema.Reflector{Anonymous: true, DoNotReference: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true}
	generated, err := json.Marshal(reflector.Reflect(spec.Settings))
	if err != nil {
		return nil, err
	}
	var document map[string]any
	if err := json.Unmarshal(generated, &document); err != nil {
		return nil, err
	}
	document["title"] = spec.Title
	s := &settings{fields: fieldsOf(t.Elem()), zero: t.Elem()}
	markSecrets(document, s.fields)
	if s.document, err = json.Marshal(document); err != nil {
		return nil, err
	}
	parsed, err := validator.UnmarshalJSON(bytes.NewReader(s.document))
	if err != nil {
		return nil, err
	}
	compiler := validator.NewCompiler()
	location := "headwater:" + spec.Name
	if err := compiler.AddResource(location, parsed); err != nil {
		return nil, err
	}
	s.schema, err = compiler.Compile(location)
	return s, err
}

// fieldsOf reads the tags of a struct and of the public structs in it.
func fieldsOf(t reflect.Type) map[string]*field {
	fields := map[string]*field{}
	for sf := range fieldsSeq(t) {
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if name == "" {
			name = sf.Name
		}
		f := &field{secret: sf.Tag.Get("public") != "true"}
		if inner := structOf(sf.Type); inner != nil && !f.secret {
			f.fields = fieldsOf(inner)
			if sf.Type.Kind() == reflect.Slice { // a list is split as a whole or not at all
				f.secret, f.fields = anySecret(f.fields), nil
			}
		}
		fields[name] = f
	}
	return fields
}

// fieldsSeq yields the exported fields, also of embedded structs.
func fieldsSeq(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, sf := range reflect.VisibleFields(t) {
			if sf.IsExported() && !sf.Anonymous && !yield(sf) {
				return
			}
		}
	}
}

// structOf returns the struct behind a pointer or in a slice, nil if there is
// none.
func structOf(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct {
		return t
	}
	return nil
}

func anySecret(fields map[string]*field) bool {
	for _, f := range fields {
		if f.secret || anySecret(f.fields) {
			return true
		}
	}
	return false
}

// markSecrets writes x-secret and writeOnly into an object's schema.
func markSecrets(object map[string]any, fields map[string]*field) {
	properties, _ := object["properties"].(map[string]any)
	for name, f := range fields {
		property, ok := properties[name].(map[string]any)
		if !ok { // "true": a field of any type
			property = map[string]any{}
		}
		if f.secret {
			property["x-secret"], property["writeOnly"] = true, true
			delete(property, "default")
		}
		markSecrets(property, f.fields)
		if properties != nil {
			properties[name] = property
		}
	}
}
