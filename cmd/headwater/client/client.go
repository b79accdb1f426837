// Package client holds the commands that talk to a running service: one file for each
// noun of the API. They use the public REST API only, so any other program can do what it does.
package client

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
)

// Commands are the commands that talk to a running service.
type Commands struct {
	Connectors  ConnectorsCmd  `cmd:"" group:"client" help:"List the connectors, and the settings of each."`
	Test        TestCmd        `cmd:"" group:"client" help:"Test a connection; nothing is saved."`
	Connect     ConnectCmd     `cmd:"" group:"client" help:"Connect a source to a workspace."`
	Update      UpdateCmd      `cmd:"" group:"client" help:"Change some settings of a source, such as its password, and keep the others."`
	Rename      RenameCmd      `cmd:"" group:"client" help:"Rename a source. Its tables stay where they are."`
	List        ListCmd        `cmd:"" group:"client" help:"List the sources of a workspace."`
	Schema      SchemaCmd      `cmd:"" group:"client" help:"Show a source's tables and columns."`
	Sync        SyncCmd        `cmd:"" group:"client" help:"Sync sources into the lake."`
	Schedule    ScheduleCmd    `cmd:"" group:"client" help:"Sync a source automatically."`
	Where       WhereCmd       `cmd:"" group:"client" help:"Show where a landed table is stored and how to read it."`
	Preview     PreviewCmd     `cmd:"" group:"client" help:"Show some rows of a landed table."`
	Attach      AttachCmd      `cmd:"" group:"client" help:"Print what to paste into an engine so that it can read the tables of a source."`
	Verify      VerifyCmd      `cmd:"" group:"client" help:"Compare landed tables with their sources, row by row."`
	Maintain    MaintainCmd    `cmd:"" group:"client" help:"Compact landed tables: join small files and apply their deletes."`
	Syncs       SyncsCmd       `cmd:"" group:"client" help:"List past and running syncs."`
	Checkpoints CheckpointsCmd `cmd:"" group:"client" help:"List the commits of a source's tables, from which a sync can start."`
	Operations  OperationsCmd  `cmd:"" group:"client" help:"List past and running operations."`
	Operation   OperationCmd   `cmd:"" group:"client" help:"Show or cancel an operation."`
	Cancel      CancelCmd      `cmd:"" group:"client" help:"Cancel an operation, or one sync of it."`
	Events      EventsCmd      `cmd:"" group:"client" help:"Show past events, and follow new ones."`
	Tokens      TokensCmd      `cmd:"" group:"client" help:"Create, list and revoke API tokens for machines."`
	Webhooks    WebhooksCmd    `cmd:"" group:"client" help:"Post events to URLs."`
	Cleanup     CleanupCmd     `cmd:"" group:"client" help:"Remove sources."`
	Restore     RestoreCmd     `cmd:"" group:"client" help:"Restore removed sources."`
}

// ClientFlags are the flags that these commands share.
type ClientFlags struct {
	URL       string `name:"url" env:"HEADWATER_URL" default:"http://127.0.0.1:8080" help:"Address of the service."`
	Token     string `env:"HEADWATER_TOKEN" help:"Token that says who you are; 'headwater token' prints one. Other users of the machine can see a command line: prefer the variable."`
	Workspace string `short:"w" env:"HEADWATER_WORKSPACE" default:"default" help:"Workspace to work in."`
	Scope     string `enum:"user,organization" default:"user" help:"Your own sources (user) or the shared ones of the organization (organization)."`
	JSON      bool   `name:"json" help:"Print the answer's data as JSON, for programs."`
}

// Client is a connection to the service, with the calls of the commands. It is safe
// for concurrent use.
type Client struct{ *rest.Conn }

// NewClient returns a client for the service at address, with or without /api/v1 at
// its end. Its error names the flag to change.
func NewClient(address, token, workspace string) (*Client, error) {
	conn, err := rest.New(address, token, workspace)
	if err != nil {
		return nil, err
	}
	return &Client{conn}, nil
}

func (f ClientFlags) client() (*Client, error) { return NewClient(f.URL, f.Token, f.Workspace) }

// hint returns a sentence if the other scope has a source of that name, else "".
func (c *Client) hint(ctx context.Context, scope, name string) string {
	other := rest.OtherScope(scope)
	all, err := c.Sources(ctx, other)
	if err == nil && slices.ContainsFunc(all, func(s rest.SourceDoc) bool { return s.Name == name }) {
		return "; it is there with --scope " + other
	}
	return ""
}

// hints is hint for the first of the names that is not among the listed sources.
func (c *Client) hints(ctx context.Context, scope string, listed []rest.SourceDoc, named []string) string {
	for _, name := range named {
		if !strings.HasPrefix(name, "src_") && !slices.ContainsFunc(listed, func(d rest.SourceDoc) bool { return d.Name == name }) {
			return c.hint(ctx, scope, name)
		}
	}
	return ""
}

// sourceIDs returns the ids of the sources that the arguments name, by id or by
// name, without repeats. It fails for a name that no source of the scope has.
func (c *Client) sourceIDs(ctx context.Context, scope string, named []string) ([]string, error) {
	var ids []string
	var all []rest.SourceDoc
	for _, arg := range named {
		id := arg
		if !strings.HasPrefix(arg, "src_") {
			if all == nil {
				listed, err := c.Sources(ctx, scope)
				if err != nil {
					return nil, err
				}
				all = append([]rest.SourceDoc{}, listed...)
			}
			at := slices.IndexFunc(all, func(s rest.SourceDoc) bool { return s.Name == arg || s.ID == arg })
			if at < 0 {
				return nil, exit.With(exit.Refused, fmt.Errorf("no source %q with scope %s in workspace %s%s; 'headwater list' shows what is there", arg, scope, c.Workspace, c.hint(ctx, scope, arg)))
			}
			id = all[at].ID
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
