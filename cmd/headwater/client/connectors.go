package client

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// ConnectorsCmd lists the connectors, or shows the settings of one.
type ConnectorsCmd struct {
	ClientFlags `embed:""`
	Connector   string `arg:"" optional:"" help:"Show the settings of this one, by its name or another it is known by: postgres, pg, mariadb, http, csv."`
}

// connectorDoc is a connector with the JSON Schema of its connection_config.
type connectorDoc struct {
	Name    string          `json:"name"`
	Aliases []string        `json:"aliases"`
	Class   string          `json:"class"`
	Title   string          `json:"title"`
	Schema  json.RawMessage `json:"schema"`
}

// Run prints all connectors, or the settings of the named one.
func (c *ConnectorsCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	a, err := api.Get(ctx, "/connectors", nil)
	if err != nil {
		return err
	}
	if c.JSON && c.Connector == "" {
		return terminal.PrintJSON(s, a.Data)
	}
	var connectors []connectorDoc
	if err := a.Into(&connectors); err != nil {
		return err
	}
	g := terminal.NewGrid("NAME", "TYPE", "ALSO", "WHAT")
	for _, connector := range connectors {
		if connector.called(c.Connector) {
			if c.JSON {
				return terminal.PrintJSON(s, connector)
			}
			return settingsGrid(s, connector)
		}
		if c.Connector != "" && connector.Class != strings.ToLower(c.Connector) {
			continue
		}
		g.Add(connector.Name, connector.Class, strings.Join(connector.Aliases, ", "), connector.Title)
	}
	if c.Connector != "" && g.Empty() {
		return exit.With(exit.Refused, fmt.Errorf("no connector %q; 'headwater connectors' lists them", c.Connector))
	}
	if c.JSON {
		return terminal.PrintJSON(s, slices.DeleteFunc(connectors, func(d connectorDoc) bool { return d.Class != strings.ToLower(c.Connector) }))
	}
	return g.Print(s.Out, "no connectors")
}

// called reports whether the connector has that name, ignoring case.
func (d connectorDoc) called(name string) bool {
	name = strings.ToLower(name)
	return d.Name == name || slices.Contains(d.Aliases, name)
}

// settingDoc is the JSON Schema of one setting.
type settingDoc struct {
	Type        any                   `json:"type"`
	Title       string                `json:"title"`
	Description string                `json:"description"`
	Secret      bool                  `json:"x-secret"`
	Default     any                   `json:"default"`
	Enum        []any                 `json:"enum"`
	Examples    []any                 `json:"examples"`
	Required    []string              `json:"required"`
	Properties  map[string]settingDoc `json:"properties"`
	Items       *settingDoc           `json:"items"`
}

// settings returns the schema of the connection_config, or the zero settingDoc
// if it cannot be read.
func (d connectorDoc) settings() (s settingDoc) {
	_ = json.Unmarshal(d.Schema, &s)
	return s
}

func settingsGrid(s terminal.Streams, connector connectorDoc) error {
	g := terminal.NewGrid("SETTING", "TYPE", "NEEDED", "SECRET", "DEFAULT", "WHAT")
	addSettings(g, "", connector.settings(), false)
	if err := g.Print(s.Out, "it has no settings"); err != nil {
		return err
	}
	return nil
}

// addSettings adds the settings of an object, each followed by those nested in
// it.
func addSettings(g *terminal.Grid, prefix string, object settingDoc, secret bool) {
	mark := map[bool]string{true: "yes"}
	for _, name := range slices.Sorted(maps.Keys(object.Properties)) {
		p := object.Properties[name]
		value := ""
		if p.Default != nil {
			value = fmt.Sprint(p.Default)
		}
		what := cmp.Or(p.Description, p.Title)
		if what == "" && len(p.Examples) > 0 {
			what = "such as " + fmt.Sprint(p.Examples[0])
		}
		g.Add(prefix+name, p.kind(), mark[slices.Contains(object.Required, name)], mark[p.Secret || secret], value, what)
		addSettings(g, prefix+name+".", p, p.Secret || secret)
		if p.Items != nil {
			addSettings(g, prefix+name+"[].", *p.Items, p.Secret || secret)
		}
	}
}

// kind describes the type of a setting.
func (p settingDoc) kind() string {
	if len(p.Enum) > 0 {
		all := make([]string, len(p.Enum))
		for i, v := range p.Enum {
			all[i] = fmt.Sprint(v)
		}
		return strings.Join(all, "|")
	}
	kind, _ := p.Type.(string)
	if kind == "array" && p.Items != nil {
		if inner := p.Items.kind(); inner != "" {
			return "list of " + inner
		}
	}
	return kind
}
