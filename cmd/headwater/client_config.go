package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// SourceFlags describe how to reach a source.
type SourceFlags struct {
	Type   string   `short:"t" required:"" help:"Kind of source: database, api, file, or a name of 'headwater connectors' such as postgresql."`
	Config []string `short:"c" sep:"none" placeholder:"FIELD=VALUE" help:"Connection setting; may repeat. FIELD=VALUE (numbers, true, false and JSON as such, FIELD='\"123\"' for a text of digits), a JSON object, or @FILE that holds one."`
	Secret []string `short:"s" sep:"none" placeholder:"FIELD=FROM" help:"Secret setting that stays off the command line; may repeat. FROM is env:NAME, file:PATH, or - for one line of standard input."`
}

// connectionConfig returns the connection_config that the flags describe; later
// flags win. Errors name the flag and the field, never a value.
func (f SourceFlags) connectionConfig(s Streams) (map[string]any, error) {
	config := map[string]any{}
	for _, flag := range f.Config {
		if err := setting(config, flag); err != nil {
			return nil, usage("--config: %w", err)
		}
	}
	for _, flag := range f.Secret {
		field, from, ok := strings.Cut(flag, "=")
		if !ok || field == "" {
			return nil, usage("--secret: want FIELD=env:NAME, FIELD=file:PATH or FIELD=-")
		}
		value, err := secret(s, field, from)
		if err != nil {
			return nil, usage("--secret %s: %w", field, err)
		}
		config[field] = value
	}
	return config, nil
}

func setting(config map[string]any, flag string) error {
	object := []byte(flag)
	if path, ok := strings.CutPrefix(flag, "@"); ok {
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		object = body
	}
	if trimmed := bytes.TrimSpace(object); len(trimmed) > 0 && trimmed[0] == '{' || strings.HasPrefix(flag, "@") {
		var settings map[string]any
		if err := exact(object, &settings); err != nil {
			return errors.New("no JSON object could be read")
		}
		for field, value := range settings {
			config[field] = value
		}
		return nil
	}
	field, text, ok := strings.Cut(flag, "=")
	if !ok || field == "" {
		return errors.New("want FIELD=VALUE, a JSON object or @FILE")
	}
	var value any
	if exact([]byte(text), &value) != nil {
		value = text
	}
	config[field] = value
	return nil
}

// exact decodes JSON without rounding its numbers.
func exact(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one value")
	}
	return nil
}

func secret(s Streams, field, from string) (string, error) {
	if name, ok := strings.CutPrefix(from, "env:"); ok {
		value := s.getenv(name)
		if value == "" {
			return "", fmt.Errorf("the variable %s is not set", name)
		}
		return value, nil
	}
	if path, ok := strings.CutPrefix(from, "file:"); ok {
		body, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		return strings.TrimRight(string(body), "\r\n"), nil
	}
	if from == "-" {
		value, err := s.line(field+": ", true)
		if err != nil {
			return "", fmt.Errorf("no line on standard input: %w", err)
		}
		return value, nil
	}
	return "", errors.New("want env:NAME, file:PATH or -")
}
