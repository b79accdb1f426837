package settings

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Connector is a connector with the JSON Schema of its connection_config.
type Connector struct {
	Name    string          `json:"name"`
	Aliases []string        `json:"aliases"`
	Class   string          `json:"class"`
	Title   string          `json:"title"`
	Schema  json.RawMessage `json:"schema"`
}

// Called reports whether the connector has that name, ignoring case.
func (d Connector) Called(name string) bool {
	name = strings.ToLower(name)
	return d.Name == name || slices.Contains(d.Aliases, name)
}

// Setting is the JSON Schema of one setting.
type Setting struct {
	Type        any                `json:"type"`
	Title       string             `json:"title"`
	Description string             `json:"description"`
	Secret      bool               `json:"x-secret"`
	Default     any                `json:"default"`
	Enum        []any              `json:"enum"`
	Examples    []any              `json:"examples"`
	Required    []string           `json:"required"`
	Properties  map[string]Setting `json:"properties"`
	Items       *Setting           `json:"items"`
}

// Settings returns the schema of the connection_config, or the zero Setting
// if it cannot be read.
func (d Connector) Settings() (s Setting) {
	_ = json.Unmarshal(d.Schema, &s)
	return s
}

// Kind describes the type of a setting.
func (p Setting) Kind() string {
	if len(p.Enum) > 0 {
		all := make([]string, len(p.Enum))
		for i, v := range p.Enum {
			all[i] = fmt.Sprint(v)
		}
		return strings.Join(all, "|")
	}
	kind, _ := p.Type.(string)
	if kind == "array" && p.Items != nil {
		if inner := p.Items.Kind(); inner != "" {
			return "list of " + inner
		}
	}
	return kind
}
