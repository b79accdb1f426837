package client

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"headwater/cmd/headwater/client/settings"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// ConnectorsCmd lists the connectors, or shows the settings of one.
type ConnectorsCmd struct {
	ClientFlags `embed:""`
	Connector   string `arg:"" optional:"" help:"Show the settings of this one, by its name or another it is known by: postgres, pg, mariadb, http, csv."`
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
	var connectors []settings.Connector
	if err := a.Into(&connectors); err != nil {
		return err
	}
	g := terminal.NewGrid("NAME", "TYPE", "ALSO", "WHAT")
	for _, connector := range connectors {
		if connector.Called(c.Connector) {
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
		return terminal.PrintJSON(s, slices.DeleteFunc(connectors, func(d settings.Connector) bool { return d.Class != strings.ToLower(c.Connector) }))
	}
	return g.Print(s.Out, "no connectors")
}

func settingsGrid(s terminal.Streams, connector settings.Connector) error {
	g := terminal.NewGrid("SETTING", "TYPE", "NEEDED", "SECRET", "DEFAULT", "WHAT")
	addSettings(g, "", connector.Settings(), false)
	if err := g.Print(s.Out, "it has no settings"); err != nil {
		return err
	}
	return nil
}

// addSettings adds the settings of an object, each followed by those nested in
// it.
func addSettings(g *terminal.Grid, prefix string, object settings.Setting, secret bool) {
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
		g.Add(prefix+name, p.Kind(), mark[slices.Contains(object.Required, name)], mark[p.Secret || secret], value, what)
		addSettings(g, prefix+name+".", p, p.Secret || secret)
		if p.Items != nil {
			addSettings(g, prefix+name+"[].", *p.Items, p.Secret || secret)
		}
	}
}
