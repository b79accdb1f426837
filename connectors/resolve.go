package connectors

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"headwater/connectors/driver"
)

// selectors are keys of a configuration that may name the connector when the
// type is only a class. Split drops them.
var selectors = []string{"driver", "databaseType", "database_type"}

// Keys in which a URL or a file name is looked for.
var (
	urlKeys  = []string{"url", "uri", "connection_string", "base_url", "endpoint", "host"}
	fileKeys = []string{"path", "file", "filename", "file_path", "url", "database"}
)

// TypeError says what is wrong with the type of a source. It is a
// driver.ErrInvalidConfig.
type TypeError struct{ Message string }

func (e *TypeError) Error() string { return "type " + e.Message }

// Unwrap returns driver.ErrInvalidConfig.
func (e *TypeError) Unwrap() error { return driver.ErrInvalidConfig }

// unclear returns what is wrong with settings that do not tell which connector
// they are for.
func unclear(field, format string, args ...any) error {
	return &ConfigError{Fields: []driver.FieldError{{Field: field, Message: fmt.Sprintf(format, args...)}}}
}

// Resolve returns the name of the connector that a source's type means: an
// exact name or alias, or a class (database, file, api) together with what the
// configuration says. The error lists what is known: it is a *TypeError or a
// *ConfigError.
func (r *Registry) Resolve(typ string, config json.RawMessage) (string, error) {
	name := strings.ToLower(strings.TrimSpace(typ))
	// A class comes first: a connector may have its name too.
	class := slices.DeleteFunc(slices.Clone(r.drivers), func(e *entry) bool { return e.spec.Class != name })
	if len(class) == 0 {
		if e, ok := r.byName[name]; ok {
			return e.spec.Name, nil
		}
		return "", &TypeError{fmt.Sprintf("%q is not known: use one of %s", typ, r.names(""))}
	}
	object, err := parseObject(config)
	if err != nil {
		return "", unclear("", "%v", err)
	}
	for _, key := range selectors {
		chosen, ok := object[key].(string)
		if !ok {
			continue
		}
		if e, ok := r.byName[strings.ToLower(strings.TrimSpace(chosen))]; ok {
			return e.spec.Name, nil
		}
		return "", unclear(key, "names no known connector: use one of %s", r.names(name))
	}
	if e := choose(class, object); e != nil {
		return e.spec.Name, nil
	}
	if e := choose(r.drivers, endingsOnly(object)); e != nil { // a .sqlite that is called a file
		return e.spec.Name, nil
	}
	if len(class) == 1 {
		return class[0].spec.Name, nil
	}
	if _, server := object["host"]; server {
		for _, e := range class {
			if e.spec.Default {
				return e.spec.Name, nil
			}
		}
	}
	return "", unclear("", "does not say which %s this is: add \"driver\" (one of %s) or the port", name, r.names(name))
}

// choose returns the one entry that the configuration points at: by URL scheme,
// file ending or port, in this order.
func choose(entries []*entry, object map[string]any) *entry {
	hints := []func(driver.Spec) bool{
		func(s driver.Spec) bool { return hasScheme(s, object) },
		func(s driver.Spec) bool { return hasEnding(s, object) },
		func(s driver.Spec) bool { return slices.Contains(s.Ports, port(object)) },
	}
	for _, hint := range hints {
		for _, e := range entries {
			if hint(e.spec) {
				return e
			}
		}
	}
	return nil
}

func hasScheme(s driver.Spec, object map[string]any) bool {
	for _, key := range urlKeys {
		text, _ := object[key].(string)
		if scheme, _, ok := strings.Cut(text, "://"); ok && slices.Contains(s.Schemes, strings.ToLower(scheme)) {
			return true
		}
	}
	return false
}

func hasEnding(s driver.Spec, object map[string]any) bool {
	for _, key := range fileKeys {
		text, _ := object[key].(string)
		if u, err := url.Parse(text); err == nil && u.Scheme != "" {
			text = u.Path
		}
		for _, ending := range s.Endings {
			if len(text) > len(ending) && strings.HasSuffix(strings.ToLower(text), ending) {
				return true
			}
		}
	}
	return false
}

// endingsOnly keeps the file names of a configuration that names no server.
func endingsOnly(object map[string]any) map[string]any {
	kept := map[string]any{}
	if _, server := object["host"]; server {
		return kept
	}
	for _, key := range fileKeys {
		if v, ok := object[key]; ok {
			kept[key] = v
		}
	}
	return kept
}

// port returns the configured TCP port, also one inside a URL or after the
// host, or 0.
func port(object map[string]any) int {
	if number, ok := object["port"].(json.Number); ok {
		n, _ := strconv.Atoi(number.String())
		return n
	}
	for _, key := range urlKeys {
		text, _ := object[key].(string)
		if u, err := url.Parse(text); err == nil && u.Port() != "" {
			n, _ := strconv.Atoi(u.Port())
			return n
		}
		if _, p, err := net.SplitHostPort(text); err == nil {
			n, _ := strconv.Atoi(p)
			return n
		}
	}
	return 0
}

// names lists the connectors of a class, or all with the classes.
func (r *Registry) names(class string) string {
	var names []string
	for _, e := range r.drivers {
		if class == "" || e.spec.Class == class {
			names = append(names, append([]string{e.spec.Name}, e.spec.Aliases...)...)
		}
		if class == "" {
			names = append(names, e.spec.Class)
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}
