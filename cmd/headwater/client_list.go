package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"sort"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// ListCmd lists the sources of a workspace.
type ListCmd struct {
	ClientFlags `embed:""`
	Type        string `help:"Only sources of this type."`
	Name        string `help:"Only the source of this name."`
	Status      string `help:"Only sources with this status: connected, syncing or failed."`
	Query       string `short:"q" help:"Only sources whose name holds this text."`
	AsOf        string `name:"as-of" help:"As they were then: a sequence, or a time such as 2026-01-31T12:00:00Z."`
	Removed     bool   `help:"Those that were removed and can be restored."`
}

// Run prints the sources. None is no error.
func (c *ListCmd) Run(ctx context.Context, s Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	query := url.Values{"scope": {c.Scope}}
	for name, value := range map[string]string{"type": c.Type, "name": c.Name, "status": c.Status, "q": c.Query, "as_of": c.AsOf} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if c.Removed {
		query.Set("removed", "true")
	}
	a, err := api.get(ctx, api.path("list"), query)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s, a.Data)
	}
	var sources []sourceDoc
	if err := a.into(&sources); err != nil {
		return err
	}
	if c.Removed {
		return removedGrid(sources, time.Now()).print(s.Out, fmt.Sprintf("no removed sources with scope %s in workspace %s", c.Scope, c.Workspace))
	}
	return sourceGrid(sources, time.Now()).print(s.Out, fmt.Sprintf("no sources with scope %s in workspace %s", c.Scope, c.Workspace))
}

func sourceGrid(sources []sourceDoc, now time.Time) *grid {
	g := newGrid("NAME", "TYPE", "CONNECTOR", "STATUS", "#TABLES", "#RECORDS", "LAST SYNC", "ID")
	for _, source := range sources {
		last := "never"
		if l := source.LastSync; l != nil {
			last = l.Status
			if l.FinishedAt != nil {
				last += " " + humanize.RelTime(*l.FinishedAt, now, "ago", "from now")
			}
		}
		g.add(source.Name, source.Type, source.Connector, source.Status,
			count(int64(source.Tables)), count(source.Records), last, source.ID)
	}
	return g
}

// SchemaCmd shows the tables of a source, or the columns of some.
type SchemaCmd struct {
	ClientFlags `embed:""`
	Source      string `arg:"" help:"Name or id of the source."`
	Table       string `help:"Only this table, with its columns."`
	Columns     bool   `help:"Every table with its columns."`
	AsOf        string `name:"as-of" help:"As it was then: a sequence, or a time such as 2026-01-31T12:00:00Z."`
}

// Run prints the schema as it was last discovered.
func (c *SchemaCmd) Run(ctx context.Context, s Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	ids, err := api.sourceIDs(ctx, c.Scope, []string{c.Source})
	if err != nil {
		return err
	}
	query := url.Values{"scope": {c.Scope}, "source_id": {ids[0]}}
	if c.Table != "" {
		query.Set("table", c.Table)
	}
	if c.AsOf != "" {
		query.Set("as_of", c.AsOf)
	}
	a, err := api.get(ctx, api.path("schema"), query)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s, a.Data)
	}
	var schema schemaDoc
	if err := a.into(&schema); err != nil {
		return err
	}
	if c.Table != "" && len(schema.Tables) == 0 {
		return withCode(exitRefused, fmt.Errorf("source %q has no table %q", c.Source, c.Table))
	}
	if !c.Columns && c.Table == "" {
		if err := tableGrid(schema.Tables).print(s.Out, "the source has no tables"); err != nil {
			return err
		}
		remarks(s, schema)
		return nil
	}
	for i, t := range schema.Tables {
		if i > 0 {
			fmt.Fprintln(s.Out)
		}
		fmt.Fprintln(s.Out, plain(full(t.Namespace, t.Name)))
		if err := columnGrid(t).print(s.Out, "the table has no columns"); err != nil {
			return err
		}
		if t.NotSeen != "" {
			fmt.Fprintln(s.Out, "An incremental sync: "+plain(t.NotSeen))
		}
		for _, text := range append(t.Notes, t.CursorNotes...) {
			fmt.Fprintln(s.Out, plain(text))
		}
	}
	return nil
}

// remarks prints what syncs of the tables cannot see or keep, and what of the
// source is left out.
func remarks(s Streams, schema schemaDoc) {
	for _, t := range schema.Tables {
		for _, text := range append(t.Notes, t.CursorNotes...) {
			s.note("%s: %s", plain(full(t.Namespace, t.Name)), plain(text))
		}
	}
	for _, l := range schema.LeftOut {
		s.note("%s is left out: %s", plain(full(l.Namespace, l.Name)), plain(l.Reason))
	}
}

func tableGrid(tables []tableDoc) *grid {
	g := newGrid("TABLE", "KIND", "#ROWS", "KEY", "CURSOR", "#COLUMNS")
	for _, t := range tables {
		rows := ""
		if t.RowEstimate != nil && *t.RowEstimate >= 0 {
			rows = count(*t.RowEstimate)
		}
		g.add(full(t.Namespace, t.Name), t.Kind, rows, strings.Join(t.PrimaryKey, ", "), t.Cursor, count(int64(len(t.Columns))))
	}
	return g
}

func columnGrid(t tableDoc) *grid {
	g := newGrid("COLUMN", "TYPE", "SOURCE TYPE", "NULLABLE", "KEY")
	for _, column := range t.Columns {
		null, key := "no", ""
		if column.Nullable {
			null = "yes"
		}
		for i, name := range t.PrimaryKey {
			if name == column.Name {
				key = fmt.Sprint(i + 1)
			}
		}
		g.add(column.Name, column.Type, column.SourceType, null, key)
	}
	return g
}

// ConnectorsCmd says what kinds of source there are, or what one of them needs.
type ConnectorsCmd struct {
	ClientFlags `embed:""`
	Connector   string `arg:"" optional:"" help:"Show the settings of this one."`
}

// connectorDoc is one connector with the JSON Schema of its connection_config.
type connectorDoc struct {
	Name    string          `json:"name"`
	Aliases []string        `json:"aliases"`
	Class   string          `json:"class"`
	Title   string          `json:"title"`
	Schema  json.RawMessage `json:"schema"`
}

// Run prints all connectors, or the settings of the one named.
func (c *ConnectorsCmd) Run(ctx context.Context, s Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	a, err := api.get(ctx, "/connectors", nil)
	if err != nil {
		return err
	}
	if c.JSON && c.Connector == "" {
		return printJSON(s, a.Data)
	}
	var connectors []connectorDoc
	if err := a.into(&connectors); err != nil {
		return err
	}
	g := newGrid("NAME", "TYPE", "ALSO", "WHAT")
	for _, connector := range connectors {
		if connector.Name == c.Connector {
			if c.JSON {
				return printJSON(s, connector)
			}
			return settingsGrid(s, connector)
		}
		g.add(connector.Name, connector.Class, strings.Join(connector.Aliases, ", "), connector.Title)
	}
	if c.Connector != "" {
		return withCode(exitRefused, fmt.Errorf("no connector %q; 'headwater connectors' lists them", c.Connector))
	}
	return g.print(s.Out, "no connectors")
}

func settingsGrid(s Streams, connector connectorDoc) error {
	var schema struct {
		Required   []string `json:"required"`
		Properties map[string]struct {
			Type        any    `json:"type"`
			Title       string `json:"title"`
			Description string `json:"description"`
			Secret      bool   `json:"x-secret"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(connector.Schema, &schema); err != nil {
		return fmt.Errorf("settings of %s: %w", connector.Name, err)
	}
	names := make([]string, 0, len(schema.Properties))
	for name := range schema.Properties {
		names = append(names, name)
	}
	sort.Strings(names)
	required := map[string]bool{}
	for _, name := range schema.Required {
		required[name] = true
	}
	g := newGrid("SETTING", "TYPE", "NEEDED", "SECRET", "WHAT")
	mark := map[bool]string{true: "yes"}
	for _, name := range names {
		p := schema.Properties[name]
		kind, _ := p.Type.(string)
		g.add(name, kind, mark[required[name]], mark[p.Secret], cmp.Or(p.Description, p.Title))
	}
	return g.print(s.Out, "it has no settings")
}
