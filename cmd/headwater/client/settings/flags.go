// Package settings makes the configuration of a source from what stands on a command
// line: an address, settings as text, and secrets that are named and not written.
package settings

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"headwater/cmd/headwater/client/address"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// SourceFlags describe how to reach a source.
type SourceFlags struct {
	Address string   `arg:"" optional:"" help:"Where the source is, taken apart into settings: postgres://user@host:5432/db, mysql://..., user@tcp(host:3306)/db, jdbc:postgresql://..., https://..., sqlite:shop.db, orders.csv; env:NAME, or - for one line of standard input, keep a password off the command line."`
	Type    string   `short:"t" help:"Kind of source: database, api, file, or a name of 'headwater connectors' such as postgresql. An address says it, too."`
	Config  []string `short:"c" sep:"none" placeholder:"FIELD=VALUE" help:"Connection setting; may repeat. FIELD=VALUE (numbers, true, false and JSON as such, FIELD='\"123\"' for a text of digits, lists also as A,B), a JSON object, or @FILE that holds one."`
	Secret  []string `short:"s" sep:"none" placeholder:"FIELD=FROM" help:"Secret setting that stays off the command line; may repeat. FROM is env:NAME, file:PATH, or - for one line of standard input."`
}

// Source returns the type and the connection_config that the address and the
// flags describe. Flags take precedence over the address.
func (f SourceFlags) Source(ctx context.Context, s terminal.Streams, c *rest.Conn) (kind string, config map[string]any, err error) {
	config, err = f.Settings(s)
	if err != nil {
		return "", nil, err
	}
	if kind = f.Type; f.Address != "" {
		text := f.Address
		if text == "-" || strings.HasPrefix(text, "env:") {
			if text, err = secret(s, "address", text); err != nil {
				return "", nil, exit.Usagef("the address: %w", err)
			}
		}
		meant, settings, leftOut, err := address.Parse(text)
		if err != nil {
			return "", nil, exit.Usagef("the address: %w", err)
		}
		if kind == "" {
			kind = meant
		}
		for _, key := range leftOut {
			s.Note("%s of the address was left out: it is nothing that a read needs", terminal.Plain(key))
		}
		maps.Copy(settings, config)
		config = settings
	}
	if kind == "" {
		return "", nil, exit.Usagef("give an address, or say with --type what the source is")
	}
	return kind, Listed(ctx, c, kind, config), nil
}

// Listed turns the text A,B into a list where the setting is a list of strings.
// It changes nothing if the connectors cannot be fetched.
func Listed(ctx context.Context, c *rest.Conn, kind string, config map[string]any) map[string]any {
	if !slices.ContainsFunc(slices.Collect(maps.Values(config)), func(v any) bool { _, text := v.(string); return text }) {
		return config
	}
	connectors, err := rest.Fetch[[]Connector](ctx, c, "/connectors", nil)
	if err != nil {
		return config
	}
	for key, value := range config {
		text, ok := value.(string)
		if !ok {
			continue
		}
		lists, others := 0, 0
		for _, connector := range connectors {
			if kind != "" && !connector.Called(kind) && connector.Class != kind {
				continue
			}
			switch p, known := connector.Settings().Properties[key]; {
			case known && p.Type == "array" && p.Items != nil && p.Items.Type == "string":
				lists++
			case known:
				others++
			}
		}
		if lists > 0 && others == 0 {
			config[key] = address.List(text)
		}
	}
	return config
}

// Settings returns the connection_config that the flags describe; later
// flags take precedence. Errors name the flag and the field, never a value.
func (f SourceFlags) Settings(s terminal.Streams) (map[string]any, error) {
	config := map[string]any{}
	for _, flag := range f.Config {
		if err := Set(config, flag); err != nil {
			return nil, exit.Usagef("--config: %w", err)
		}
	}
	for _, flag := range f.Secret {
		field, from, ok := strings.Cut(flag, "=")
		if !ok || field == "" {
			return nil, exit.Usagef("--secret: want FIELD=env:NAME, FIELD=file:PATH or FIELD=-")
		}
		value, err := secret(s, field, from)
		if err != nil {
			return nil, exit.Usagef("--secret %s: %w", field, err)
		}
		config[field] = value
	}
	return config, nil
}

// Set adds what a text FIELD=VALUE, a JSON object or @FILE says to a configuration.
// Its error does not quote the text.
func Set(config map[string]any, flag string) error {
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

// exact decodes one JSON value without rounding its numbers.
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

func secret(s terminal.Streams, field, from string) (string, error) {
	if name, ok := strings.CutPrefix(from, "env:"); ok {
		value := s.Env(name)
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
		value, err := s.Line(field+": ", true)
		if err != nil {
			return "", fmt.Errorf("no line on standard input: %w", err)
		}
		return value, nil
	}
	return "", errors.New("want env:NAME, file:PATH or -")
}
