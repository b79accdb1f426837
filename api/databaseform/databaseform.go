// Package databaseform translates the form in which the Python client connects one
// database, in camel case, into the type, settings and tables of a source. It
// knows no connector, no caller and no request.
package databaseform

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"headwater/api/contract"
	"headwater/api/web"
)

// Source is the source that a form describes.
type Source struct {
	Type    string
	Name    string          // from the form, or made of the database and its server
	Config  json.RawMessage // connection_config: one object
	Tables  []string        // patterns of tables to sync, nil for all
	Exclude []string        // patterns of tables not to sync
}

// fields maps keys of the form to settings of a connection_config. A
// setting that the connector does not know is refused with the connector's own
// list.
var fields = map[string]string{
	"databaseName": "database", "host": "host", "port": "port", "username": "username", "password": "password",
}

// choices are the keys that select tables. A connection is to the whole
// database, so they become sync options of the source.
var choices = []string{"schema", "tables", "selectedTables", "ignoreTables"}

// unused are keys that are refused, with the reason.
var unused = map[string]string{
	"selectedColumns": "is not supported: all columns are read",
	"ignoreColumns":   "is not supported: all columns are read",
	"query":           "is not supported: connect the tables, or a view of that query",
	"catalog":         "is not supported: the database to connect is databaseName",
}

// Parse translates a form, which it changes. A key with null, an empty string or an
// empty list counts as absent, because the client sends all keys. Its error is a
// *web.Failure with every problem; no message quotes a value of the form.
func Parse(form map[string]json.RawMessage) (Source, error) {
	config := map[string]json.RawMessage{}
	if d := takeURL(form); d != nil {
		return Source{}, web.Malformed(*d)
	}
	var s Source
	var wrong []web.Detail
	for _, key := range slices.Sorted(maps.Keys(form)) {
		value := bytes.TrimSpace(form[key])
		to, known := fields[key]
		reason, refused := unused[key]
		switch {
		case key == "databaseType":
			s.Type = text(value)
		case key == "name":
			s.Name = text(value)
		case slices.Contains(choices, key):
		case !known && !refused && key != "options":
			keys := slices.Concat(slices.Sorted(maps.Keys(fields)), choices, []string{"databaseType", "name", "options", "url"})
			wrong = append(wrong, web.Detail{Field: "database." + contract.Printable(key), Message: "is not a known field; it takes " + strings.Join(keys, ", ")})
		case empty(value):
		case refused:
			wrong = append(wrong, web.Detail{Field: "database." + key, Message: reason})
		case key == "options":
			var options map[string]json.RawMessage
			if json.Unmarshal(value, &options) != nil {
				wrong = append(wrong, web.Detail{Field: "database.options", Message: "must be an object"})
			}
			for name, option := range options {
				if _, taken := config[name]; !taken {
					config[name] = option
				}
			}
		case key == "port":
			// The client sends the port as its user typed it.
			config[to] = json.RawMessage(strings.Trim(string(value), `"`))
			if _, err := json.Number(config[to]).Int64(); err != nil {
				wrong = append(wrong, web.Detail{Field: "database.port", Message: "must be a number"})
			}
		default:
			config[to] = value
		}
	}
	if s.Type == "" {
		wrong = append(wrong, web.Detail{Field: "database.databaseType", Message: "is missing: say postgresql, mysql or another connector, or send a url"})
	}
	var more []web.Detail
	s.Tables, s.Exclude, more = chosenTables(form, s.Type, config)
	if wrong = append(wrong, more...); wrong != nil {
		return s, web.Malformed(wrong...)
	}
	if s.Name == "" {
		s.Name = nameOf(config)
	}
	var err error
	s.Config, err = json.Marshal(config)
	return s, err
}

// nameOf returns a name for a database that was given none. It includes
// the server, so that equally named databases of two servers become two sources.
func nameOf(config map[string]json.RawMessage) string {
	name := text(config["database"])
	if host := text(config["host"]); host != "" {
		name += "@" + host
	}
	if port := string(config["port"]); port != "" {
		name += ":" + port
	}
	if name == "" {
		name = "database"
	}
	return name
}

// Field returns the path in the request of a source's field, such as type or
// connection_config.host.
func Field(name string) string {
	if name == "type" {
		return "database.databaseType"
	}
	setting, ok := strings.CutPrefix(name, "connection_config.")
	if !ok {
		return "database"
	}
	for key, to := range fields {
		if to == setting {
			return "database." + key
		}
	}
	return "database.options." + setting
}

func text(value json.RawMessage) string {
	var s string
	_ = json.Unmarshal(value, &s) // "" if the value is not a string
	return s
}

func empty(value json.RawMessage) bool {
	switch string(value) {
	case "null", `""`, "[]", "{}":
		return true
	}
	return false
}
