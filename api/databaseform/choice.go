package databaseform

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"headwater/api/web"
)

// takeURL splits the form's url into the form's other keys; a key that the form
// has already takes precedence. It returns what is wrong with the URL, or nil.
// The message quotes nothing of the URL, which may hold a password.
func takeURL(form map[string]json.RawMessage) *web.Detail {
	value, given := form["url"]
	delete(form, "url")
	if !given || empty(value) {
		return nil
	}
	wrong := func(message string) *web.Detail { return &web.Detail{Field: "database.url", Message: message} }
	u, err := url.Parse(strings.TrimPrefix(text(value), "jdbc:"))
	if err != nil || u.Scheme == "" || u.Host == "" {
		return wrong("must be a URL of a database, such as postgresql://user@host:5432/name")
	}
	password, _ := u.User.Password()
	parts := map[string]string{"host": u.Hostname(), "port": u.Port(), "databaseName": strings.TrimPrefix(u.Path, "/"), "username": u.User.Username(), "password": password}
	options := map[string]json.RawMessage{}
	if o := form["options"]; len(o) > 0 && !empty(o) && json.Unmarshal(o, &options) != nil {
		return &web.Detail{Field: "database.options", Message: "must be an object"}
	}
	for key, values := range u.Query() {
		switch key {
		case "user":
			parts["username"] = values[0]
		case "password":
			parts["password"] = values[0]
		case "currentSchema", "search_path":
			parts["schema"] = values[0]
		default:
			if _, said := options[key]; !said {
				options[key] = quoted(values[0])
			}
		}
	}
	if t := form["databaseType"]; len(t) == 0 || empty(t) || text(t) == "database" {
		parts["databaseType"] = u.Scheme
		delete(form, "databaseType")
	}
	for key, part := range parts {
		if part != "" && (len(form[key]) == 0 || empty(form[key])) {
			form[key] = quoted(part)
		}
	}
	if len(options) > 0 {
		form["options"], _ = json.Marshal(options) // strings and JSON always marshal
	}
	return nil
}

// chosenTables returns the tables that the form includes and excludes, as sync
// options name them; nil includes all. The form's schema qualifies names that
// have none. For MySQL, where a schema is a database, the schema sets the
// database instead.
func chosenTables(form map[string]json.RawMessage, typ string, config map[string]json.RawMessage) (tables, exclude []string, wrong []web.Detail) {
	list := func(key string) (names []string) {
		value := form[key]
		if len(value) == 0 || empty(value) {
			return nil
		}
		if json.Unmarshal(value, &names) != nil || slices.Contains(names, "") || len(names) > 1000 {
			wrong = append(wrong, web.Detail{Field: "database." + key, Message: "must be a list of up to 1000 names of tables"})
		}
		return names
	}
	tables, exclude = append(list("selectedTables"), list("tables")...), list("ignoreTables")
	value := form["schema"]
	if len(value) == 0 || empty(value) {
		return tables, exclude, wrong
	}
	schema := text(value)
	switch {
	case schema == "":
		wrong = append(wrong, web.Detail{Field: "database.schema", Message: "must be the name of one schema"})
	case slices.Contains([]string{"mysql", "mariadb"}, strings.ToLower(typ)):
		if named := text(config["database"]); named == "" {
			config["database"] = value
		} else if named != schema {
			wrong = append(wrong, web.Detail{Field: "database.schema", Message: "is another word for databaseName here; send one of the two"})
		}
	case len(tables) == 0:
		tables = []string{schema + ".*"}
	default:
		for i, name := range tables {
			if !strings.Contains(name, ".") {
				tables[i] = schema + "." + name
			}
		}
	}
	return tables, exclude, wrong
}

func quoted(s string) json.RawMessage {
	encoded, _ := json.Marshal(s) // a string always marshals
	return encoded
}
