package client

import (
	"context"
	"fmt"

	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/client/settings"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// UpdateCmd changes some settings of a source and keeps the others.
type UpdateCmd struct {
	ClientFlags `embed:""`
	Source      string   `arg:"" help:"Name or id of the source."`
	Config      []string `short:"c" sep:"none" placeholder:"FIELD=VALUE" help:"Setting to change, as in 'connect'; FIELD=null removes it. May repeat."`
	Secret      []string `short:"s" sep:"none" placeholder:"FIELD=FROM" help:"Secret setting to change: env:NAME, file:PATH, or - for one line of standard input. May repeat."`
	Metadata    []string `short:"m" sep:"none" placeholder:"FIELD=VALUE" help:"Your own remarks, which replace the earlier ones; may repeat."`
}

// Run tries the source with the new settings, and saves them if they work.
func (c *UpdateCmd) Run(ctx context.Context, s terminal.Streams) error {
	if len(c.Config)+len(c.Secret)+len(c.Metadata) == 0 {
		return exit.Usagef("nothing to change: give --config, --secret or --metadata, such as --secret password=-")
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	ids, err := api.sourceIDs(ctx, c.Scope, []string{c.Source})
	if err != nil {
		return err
	}
	config, err := settings.SourceFlags{Config: c.Config, Secret: c.Secret}.Settings(s)
	if err != nil {
		return err
	}
	body := map[string]any{"scope": c.Scope, "source_id": ids[0]}
	if len(config) > 0 {
		body["connection_config"] = settings.Listed(ctx, api.Conn, "", config)
	}
	if len(c.Metadata) > 0 {
		metadata := map[string]any{}
		for _, flag := range c.Metadata {
			if err := settings.Set(metadata, flag); err != nil {
				return exit.Usagef("--metadata: %w", err)
			}
		}
		body["metadata"] = metadata
	}
	return c.changed(ctx, s, api, "update", body, "updated")
}

// changed sends a change of one source and prints the resulting source.
func (c *ClientFlags) changed(ctx context.Context, s terminal.Streams, api *Client, call string, body map[string]any, done string) error {
	a, err := api.Post(ctx, api.Path(call), body, "")
	if err != nil {
		return err
	}
	op, waited, err := api.Settled(ctx, s, a)
	if err != nil {
		return err
	}
	if waited {
		if err := rest.OperationError(op); err != nil || c.JSON {
			return orPrint(s, op, err)
		}
		_, err = fmt.Fprintln(s.Out, done)
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var doc struct{ Source rest.SourceDoc }
	if err := a.Into(&doc); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "%s %s  %s\n", done, terminal.Plain(doc.Source.Name), doc.Source.ID)
	return err
}

func orPrint(s terminal.Streams, data any, err error) error {
	if err != nil {
		return err
	}
	return terminal.PrintJSON(s, data)
}

// RenameCmd gives a source another name.
type RenameCmd struct {
	ClientFlags `embed:""`
	Source      string `arg:"" help:"Name or id of the source."`
	Name        string `arg:"" help:"Its new name."`
}

// Run renames the source. Its landed tables stay where they are.
func (c *RenameCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	ids, err := api.sourceIDs(ctx, c.Scope, []string{c.Source})
	if err != nil {
		return err
	}
	if err := c.changed(ctx, s, api, "rename", map[string]any{"scope": c.Scope, "source_id": ids[0], "name": c.Name}, "renamed to"); err != nil {
		return err
	}
	s.Note("its tables stay in the lake's folder of its id; 'headwater where' shows them")
	return nil
}
