// Package address splits the addresses of sources, as people and other programs
// write them, into the settings of a connection_config: URLs of databases and
// APIs, JDBC URLs, the data source names of libpq and of Go's MySQL driver, and
// paths of files.
package address

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// kinds maps the scheme of an address to a type of source.
var kinds = map[string]string{
	"postgres": "postgresql", "postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql", "http": "api", "https": "api",
	"sqlite": "sqlite", "sqlite3": "sqlite", "file": "",
}

// endings maps the ending of a path to a type of source.
var endings = map[string]string{
	".db": "sqlite", ".sqlite": "sqlite", ".sqlite3": "sqlite", ".db3": "sqlite",
	".csv": "file", ".tsv": "file", ".json": "file", ".ndjson": "file", ".jsonl": "file", ".parquet": "file",
}

var errNoAddress = errors.New("want an address such as postgres://user@host:5432/database, mysql://user@host/database, user@tcp(host:3306)/database, jdbc:postgresql://host/database, https://host/path, sqlite:shop.db or a file's path")

// errEnding is the error of a path whose ending does not say what it is.
var errEnding = fmt.Errorf("a file is known by its ending: %s, also with .gz behind it; for another name say --type file --config path=PATH, or --type sqlite for a database", strings.Join(slices.Sorted(maps.Keys(endings)), " "))

// Parse splits the address of a source into its type and its settings. leftOut are
// the names of parameters that no reader needs and that Parse ignored. Errors never
// quote the address, which may hold a password. A certificate that the address
// names is read from its file.
func Parse(text string) (kind string, config map[string]any, leftOut []string, err error) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "jdbc:")
	config = map[string]any{}
	scheme, rest, hasScheme := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	switch {
	case hasScheme && kinds[scheme] == "api":
		err = webAddress(text, config)
		return "api", config, nil, err
	case hasScheme && (kinds[scheme] == "postgresql" || kinds[scheme] == "mysql"):
		kind = kinds[scheme]
		leftOut, err = serverAddress(kind, rest, config)
	case hasScheme && scheme != "sqlite" && scheme != "sqlite3" && scheme != "file":
		err = errNoAddress
	case strings.Contains(text, "@tcp(") || strings.HasPrefix(text, "tcp("):
		kind = "mysql"
		leftOut, err = goAddress(text, config)
	case strings.Contains(text, "host=") || strings.Contains(text, "dbname="):
		kind = "postgresql"
		leftOut, err = keywordAddress(text, config)
	default:
		kind, err = fileAddress(text, config)
	}
	return kind, config, leftOut, err
}

// fileAddress reads sqlite:PATH, file:PATH and plain paths.
func fileAddress(text string, config map[string]any) (string, error) {
	kind := ""
	for _, scheme := range []string{"sqlite3", "sqlite", "file"} {
		if rest, ok := strings.CutPrefix(text, scheme+":"); ok {
			kind, text = kinds[scheme], strings.TrimPrefix(rest, "//")
			if absolute, ok := strings.CutPrefix(text, "//"); ok { // sqlite:////absolute
				text = "/" + absolute
			} else if kind == "sqlite" && strings.HasPrefix(rest, "///") { // sqlite:///relative, as SQLAlchemy writes it
				text = strings.TrimPrefix(text, "/")
			}
			text, _, _ = strings.Cut(text, "?")
			break
		}
	}
	ending := strings.TrimSuffix(strings.ToLower(text), ".gz")
	if kind == "" {
		if kind = endings[path.Ext(ending)]; kind == "" && strings.ContainsAny(text, "/\\.") && !strings.ContainsAny(text, "@:=") {
			return "", errEnding
		}
		if kind == "" {
			return "", errNoAddress
		}
	}
	if text == "" {
		return "", errNoAddress
	}
	config["path"] = text
	return kind, nil
}

// webAddress reads a URL of an API. Credentials and query become settings of their
// own.
func webAddress(text string, config map[string]any) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return errNoAddress
	}
	if u.User != nil {
		config["username"] = u.User.Username()
		if password, ok := u.User.Password(); ok {
			config["password"] = password
		}
	}
	params := map[string]string{}
	for key, values := range u.Query() {
		params[key] = values[len(values)-1]
	}
	if len(params) > 0 {
		config["params"] = params
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	config["base_url"] = u.String()
	return nil
}

// serverAddress reads user:password@host:port/database?settings. A password may
// contain any character, even those that a URL would have to escape.
func serverAddress(kind, rest string, config map[string]any) (leftOut []string, err error) {
	main, query, _ := strings.Cut(rest, "?")
	if at := strings.LastIndex(rest, "@"); at >= 0 && !strings.Contains(main, "@") && !strings.Contains(main, "/") {
		// The question mark belongs to the password.
		tail, more, _ := strings.Cut(rest[at:], "?")
		main, query = rest[:at]+tail, more
	}
	if at := strings.LastIndex(main, "@"); at >= 0 {
		user, password, has := strings.Cut(main[:at], ":")
		config["username"] = unescaped(user)
		if has {
			config["password"] = unescaped(password)
		}
		main = main[at+1:]
	}
	host, database, _ := strings.Cut(main, "/")
	if err := hostAndPort(host, config); err != nil {
		return nil, err
	}
	if database = unescaped(strings.TrimSuffix(database, "/")); database != "" {
		config["database"] = database
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("what follows the question mark of the address cannot be read")
	}
	leftOut, err = options(kind, values, config)
	if config["host"] == nil {
		err = errors.Join(err, errNoAddress)
	}
	return leftOut, err
}

func unescaped(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

func hostAndPort(text string, config map[string]any) error {
	if strings.Contains(text, ",") {
		return errors.New("the address names several hosts; a source reads from one")
	}
	host, port := text, ""
	if at := strings.LastIndex(text, ":"); at >= 0 && !strings.HasSuffix(text, "]") && !(strings.Count(text, ":") > 1 && !strings.HasPrefix(text, "[")) {
		host, port = text[:at], text[at+1:]
	}
	if host = strings.Trim(host, "[]"); host != "" {
		config["host"] = host
	}
	if port == "" {
		return nil
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 {
		return errors.New("the port of the address is not a number from 1 to 65535")
	}
	config["port"] = n
	return nil
}

// sslmodes maps the names that other programs have for TLS modes to ours.
var sslmodes = map[string]string{
	"disable": "disable", "prefer": "prefer", "allow": "prefer", "require": "require", "verify-ca": "verify-ca", "verify-full": "verify-full",
	"disabled": "disable", "preferred": "prefer", "required": "require", "verify_ca": "verify-ca", "verify_identity": "verify-full",
	"true": "require", "false": "disable", "skip-verify": "require", "trust": "require", "1": "require", "0": "disable",
}

// options reads the parameters after the question mark of an address.
func options(kind string, values url.Values, config map[string]any) (leftOut []string, err error) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		value := values.Get(key)
		switch strings.ToLower(key) {
		case "sslmode", "ssl-mode", "tls", "usessl", "ssl":
			mode, known := sslmodes[strings.ToLower(value)]
			if key == "tls" && value == "true" {
				mode = "verify-full" // the meaning in Go's driver
			}
			if !known {
				return nil, fmt.Errorf("%s of the address is none of disable, prefer, require, verify-ca, verify-full", key)
			}
			config["sslmode"] = mode
		case "sslrootcert", "ssl-ca":
			err = certificate(config, "ca_certificate", key, value)
		case "sslcert", "ssl-cert":
			err = certificate(config, "client_certificate", key, value)
		case "sslkey", "ssl-key":
			err = certificate(config, "client_key", key, value)
		case "user", "username":
			config["username"] = value
		case "password":
			config["password"] = value
		case "host":
			config["host"] = value
		case "port":
			err = hostAndPort(":"+value, config)
		case "dbname", "database":
			config["database"] = value
		case "schema", "schemas", "currentschema", "search_path":
			if kind != "postgresql" {
				return nil, fmt.Errorf("%s of the address is not a setting of %s", key, kind)
			}
			config["schemas"] = List(value)
		default:
			leftOut = append(leftOut, key)
		}
		if err != nil {
			return nil, err
		}
	}
	return leftOut, nil
}

func certificate(config map[string]any, setting, key, path string) error {
	pem, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s of the address: %w", key, err)
	}
	config[setting] = string(pem)
	return nil
}

// goAddress reads user:password@tcp(host:port)/database?settings.
func goAddress(text string, config map[string]any) ([]string, error) {
	before, after, _ := cutLast(text, "tcp(")
	host, rest, ok := strings.Cut(after, ")")
	if !ok {
		return nil, errNoAddress
	}
	if before = strings.TrimSuffix(before, "@"); before != "" {
		user, password, has := strings.Cut(before, ":")
		if config["username"] = user; has {
			config["password"] = password
		}
	}
	if err := hostAndPort(host, config); err != nil {
		return nil, err
	}
	database, query, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "?")
	if database != "" {
		config["database"] = database
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("what follows the question mark of the address cannot be read")
	}
	return options("mysql", values, config)
}

func cutLast(text, sep string) (before, after string, found bool) {
	at := strings.LastIndex(text, sep)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(sep):], true
}

// keywordAddress reads host=... dbname=..., the connection string of libpq.
func keywordAddress(text string, config map[string]any) ([]string, error) {
	values := url.Values{}
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		key, rest, ok := strings.Cut(text, "=")
		if !ok {
			return nil, errNoAddress
		}
		var value strings.Builder
		rest = strings.TrimLeft(rest, " ")
		inside := strings.HasPrefix(rest, "'")
		if inside {
			rest = rest[1:]
		}
		at := 0
		for ; at < len(rest); at++ {
			if rest[at] == '\\' && at+1 < len(rest) {
				at++
			} else if inside && rest[at] == '\'' || !inside && rest[at] == ' ' {
				break
			}
			value.WriteByte(rest[at])
		}
		values.Set(strings.TrimSpace(key), value.String())
		text = rest[min(at+1, len(rest)):]
	}
	return options("postgresql", values, config)
}

// List splits a list at commas. It drops surrounding spaces and empty items.
func List(text string) []string {
	var all []string
	for _, part := range strings.Split(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}
