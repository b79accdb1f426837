package connectors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"headwater/connectors/driver"
)

// ConfigError is a configuration with wrong fields, all of them. It is a
// driver.ErrInvalidConfig.
type ConfigError struct {
	Connector string              // "" where the settings do not even say which
	Fields    []driver.FieldError // sorted by Field
}

func (e *ConfigError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Error()
	}
	return strings.Join(parts, "; ")
}

// Unwrap returns driver.ErrInvalidConfig.
func (e *ConfigError) Unwrap() error { return driver.ErrInvalidConfig }

// Split validates a configuration and parts it into what anyone may see and
// what is secret: two JSON objects with sorted keys, which Open puts together
// again. Keys with a null are left out, as are keys that only chose the
// connector. The error is a *ConfigError, or another one in a registry that opens
// sources only.
func (r *Registry) Split(connector string, config json.RawMessage) (public, secret json.RawMessage, err error) {
	e, err := r.find(connector)
	if err != nil {
		return nil, nil, err
	}
	if e.settings == nil {
		return nil, nil, errors.New("this registry opens sources and judges no settings")
	}
	wrong := func(fields ...driver.FieldError) error {
		slices.SortFunc(fields, func(a, b driver.FieldError) int { return strings.Compare(a.Field+a.Message, b.Field+b.Message) })
		return &ConfigError{Connector: e.spec.Name, Fields: fields}
	}
	object, err := parseObject(config)
	if err != nil {
		return nil, nil, wrong(driver.FieldError{Message: err.Error()})
	}
	for _, key := range selectors {
		if _, own := e.settings.fields[key]; !own {
			delete(object, key)
		}
	}
	if err := e.settings.schema.Validate(object); err != nil {
		var invalid *validator.ValidationError
		if !errors.As(err, &invalid) {
			return nil, nil, wrong(driver.FieldError{Message: "cannot be checked"})
		}
		return nil, nil, wrong(explain(invalid, e.settings, nil)...)
	}
	merged, err := json.Marshal(object)
	if err != nil {
		return nil, nil, err
	}
	if err := e.settings.validate(merged); err != nil {
		return nil, nil, wrong(fieldOf(err))
	}
	open, hidden := part(object, e.settings.fields)
	if public, err = json.Marshal(open); err != nil {
		return nil, nil, err
	}
	secret, err = json.Marshal(hidden)
	return public, secret, err
}

// fieldOf returns what a driver says of its settings.
func fieldOf(err error) driver.FieldError {
	if wrong := (driver.FieldError{}); errors.As(err, &wrong) {
		return wrong
	}
	return driver.FieldError{Message: err.Error()}
}

// validate lets the driver's settings judge what a schema cannot say.
func (s *settings) validate(merged json.RawMessage) error {
	typed := reflect.New(s.zero).Interface()
	if err := driver.Decode(merged, typed); err != nil {
		return err
	}
	if v, ok := typed.(driver.Validator); ok {
		return v.Validate()
	}
	return nil
}

// parseObject decodes a JSON object, keeping numbers as they are written.
func parseObject(raw json.RawMessage) (map[string]any, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return map[string]any{}, nil
	}
	parsed, err := validator.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("is not valid JSON")
	}
	object, ok := parsed.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("must be an object with the connection's settings")
	}
	dropNulls(object)
	return object, nil
}

func dropNulls(object map[string]any) {
	maps.DeleteFunc(object, func(_ string, v any) bool { return v == nil })
	for _, v := range object {
		if inner, ok := v.(map[string]any); ok {
			dropNulls(inner)
		}
	}
}

// part divides an object by its fields; what is not declared is secret.
func part(object map[string]any, fields map[string]*field) (public, secret map[string]any) {
	public, secret = map[string]any{}, map[string]any{}
	for key, value := range object {
		f := fields[key]
		inner, isObject := value.(map[string]any)
		switch {
		case f == nil || f.secret:
			secret[key] = value
		case f.fields != nil && isObject:
			open, hidden := part(inner, f.fields)
			public[key] = open
			if len(hidden) > 0 {
				secret[key] = hidden
			}
		default:
			public[key] = value
		}
	}
	return public, secret
}

// Merge puts the two halves that Split returned together again.
func Merge(public, secret json.RawMessage) (json.RawMessage, error) { return merge(public, secret) }

// merge reverses part.
func merge(public, secret json.RawMessage) (json.RawMessage, error) {
	into, err := parseObject(public)
	if err != nil {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "the public settings: %v", err)
	}
	from, err := parseObject(secret)
	if err != nil {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "the secret settings: %v", err)
	}
	overlay(into, from)
	return json.Marshal(into)
}

func overlay(into, from map[string]any) {
	for key, value := range from {
		inner, ok := value.(map[string]any)
		below, ok2 := into[key].(map[string]any)
		if ok && ok2 {
			overlay(below, inner)
			continue
		}
		into[key] = value
	}
}

// explain lists the leaves of a validation error in plain words.
func explain(e *validator.ValidationError, s *settings, into []driver.FieldError) []driver.FieldError {
	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			into = explain(cause, s, into)
		}
		return into
	}
	at := func(name string) string { return strings.Join(append(slices.Clone(e.InstanceLocation), name), ".") }
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			into = append(into, driver.FieldError{Field: at(name), Message: "is missing"})
		}
		return into
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			into = append(into, driver.FieldError{Field: at(name), Message: "is not a setting of this connector; it takes " + s.keys(e.InstanceLocation)})
		}
		return into
	}
	return append(into, driver.FieldError{Field: strings.Join(e.InstanceLocation, "."), Message: requirement(e.ErrorKind)})
}

// keys lists the settings of the object at a place.
func (s *settings) keys(at []string) string {
	fields := s.fields
	for _, name := range at {
		f := fields[name]
		if f == nil || f.fields == nil {
			return "other keys"
		}
		fields = f.fields
	}
	return strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
}

// requirement says what a value must be, never what it is.
func requirement(k validator.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return fmt.Sprintf("must be of type %s, not %s", strings.Join(k.Want, " or "), k.Got)
	case *kind.Enum:
		want := make([]string, len(k.Want))
		for i, v := range k.Want {
			want[i] = fmt.Sprint(v)
		}
		return "must be one of " + strings.Join(want, ", ")
	case *kind.Minimum:
		return "must be at least " + k.Want.RatString()
	case *kind.Maximum:
		return "must be at most " + k.Want.RatString()
	case *kind.ExclusiveMinimum:
		return "must be above " + k.Want.RatString()
	case *kind.ExclusiveMaximum:
		return "must be below " + k.Want.RatString()
	case *kind.MinLength:
		if k.Want == 1 {
			return "must not be empty"
		}
		return fmt.Sprintf("must have at least %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters", k.Want)
	case *kind.Pattern:
		return "must match " + k.Want
	case *kind.Format:
		return "must be a valid " + k.Want
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d entries", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d entries", k.Want)
	}
	return "is not valid for this connector; see its JSON Schema"
}
