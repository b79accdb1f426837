package client

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// SchemaCmd shows the tables of a source, or the columns of some.
type SchemaCmd struct {
	ClientFlags `embed:""`
	Source      string `arg:"" help:"Name or id of the source."`
	Table       string `help:"Only this table, with its columns."`
	Columns     bool   `help:"Every table with its columns."`
	AsOf        string `name:"as-of" help:"As it was at a sequence of the log, or at a time such as 2026-01-31T12:00:00Z."`
	Refresh     bool   `help:"Read the schema from the source again first."`
}

// Run prints the schema as it was last discovered.
func (c *SchemaCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	ids, err := api.sourceIDs(ctx, c.Scope, []string{c.Source})
	if err != nil {
		return err
	}
	if c.Refresh {
		if c.AsOf != "" {
			return exit.Usagef("--refresh reads the schema as it is now, --as-of as it was; leave one of the two")
		}
		if err := api.refresh(ctx, s, c.Scope, ids[0]); err != nil {
			return err
		}
	}
	query := url.Values{"scope": {c.Scope}, "source_id": {ids[0]}}
	if c.Table != "" {
		query.Set("table", c.Table)
	}
	if c.AsOf != "" {
		query.Set("as_of", c.AsOf)
	}
	a, err := api.Get(ctx, api.Path("schema"), query)
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var schema rest.SchemaDoc
	if err := a.Into(&schema); err != nil {
		return err
	}
	if c.Table != "" && len(schema.Tables) == 0 {
		return exit.With(exit.Refused, fmt.Errorf("source %q has no table %q", c.Source, c.Table))
	}
	if !c.Columns && c.Table == "" {
		if err := tableGrid(schema.Tables).Print(s.Out, "the source has no tables"); err != nil {
			return err
		}
		remarks(s, schema)
		return nil
	}
	for i, t := range schema.Tables {
		if i > 0 {
			fmt.Fprintln(s.Out)
		}
		fmt.Fprintln(s.Out, terminal.Plain(rest.FullName(t.Namespace, t.Name)))
		if err := columnGrid(t).Print(s.Out, "the table has no columns"); err != nil {
			return err
		}
		if t.NotSeen != "" {
			fmt.Fprintln(s.Out, "An incremental sync: "+flags.Said(t.NotSeen))
		}
		for _, text := range append(t.Notes, t.CursorNotes...) {
			fmt.Fprintln(s.Out, flags.Said(text))
		}
	}
	return nil
}

// refresh has the service read a source's schema again, and waits for it.
func (c *Client) refresh(ctx context.Context, s terminal.Streams, scope, id string) error {
	a, err := c.Post(ctx, c.Path("schema", "refresh"), map[string]any{"scope": scope, "source_ids": []string{id}}, "")
	if err != nil {
		return err
	}
	op, waited, err := c.Settled(ctx, s, a)
	if err != nil || !waited {
		return err
	}
	return rest.OperationError(op)
}

// remarks prints what syncs of the tables cannot see or preserve, and what the
// source does not offer.
func remarks(s terminal.Streams, schema rest.SchemaDoc) {
	for _, t := range schema.Tables {
		for _, text := range append(t.Notes, t.CursorNotes...) {
			s.Note("%s: %s", terminal.Plain(rest.FullName(t.Namespace, t.Name)), flags.Said(text))
		}
	}
	for _, l := range schema.LeftOut {
		s.Note("%s is left out: %s", terminal.Plain(rest.FullName(l.Namespace, l.Name)), flags.Said(l.Reason))
	}
}

func tableGrid(tables []rest.TableDoc) *terminal.Grid {
	g := terminal.NewGrid("TABLE", "KIND", "#ROWS", "KEY", "CURSOR", "#COLUMNS")
	for _, t := range tables {
		rows := ""
		if t.RowEstimate != nil && *t.RowEstimate >= 0 {
			rows = terminal.Count(*t.RowEstimate)
		}
		g.Add(rest.FullName(t.Namespace, t.Name), t.Kind, rows, strings.Join(t.PrimaryKey, ", "), t.Cursor, terminal.Count(int64(len(t.Columns))))
	}
	return g
}

func columnGrid(t rest.TableDoc) *terminal.Grid {
	g := terminal.NewGrid("COLUMN", "TYPE", "SOURCE TYPE", "NULLABLE", "KEY")
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
		g.Add(column.Name, column.Type, column.SourceType, null, key)
	}
	return g
}
