package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/client/settings"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// ConnectCmd connects one source.
type ConnectCmd struct {
	ClientFlags          `embed:""`
	settings.SourceFlags `embed:""`
	Name                 string   `short:"n" required:"" help:"Name of the source in its workspace. A name that exists gets a new version of its configuration."`
	SyncOptions          string   `placeholder:"JSON" help:"Sync options that the source keeps for every sync of it, such as '{\"mode\":\"incremental\"}'; {} clears them."`
	Metadata             []string `short:"m" sep:"none" placeholder:"FIELD=VALUE" help:"Your own remarks about the source, shown in lists; may repeat, same forms as --config."`
}

// Run connects the source and waits for the outcome. It fails if the source
// could not be connected.
func (c *ConnectCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	kind, config, err := c.Source(ctx, s, api.Conn)
	if err != nil {
		return err
	}
	metadata := map[string]any{}
	for _, flag := range c.Metadata {
		if err := settings.Set(metadata, flag); err != nil {
			return exit.Usagef("--metadata: %w", err)
		}
	}
	spec := SourceSpec{Type: kind, Name: c.Name, Config: config, Metadata: metadata}
	if c.SyncOptions != "" {
		if spec.Sync = json.RawMessage(c.SyncOptions); !json.Valid(spec.Sync) {
			return exit.Usagef("--sync-options is not JSON")
		}
	}
	doc, raw, err := api.Connect(ctx, s, c.Scope, spec)
	if err != nil {
		return err
	}
	if c.JSON {
		err = terminal.PrintJSON(s, raw)
	} else {
		err = connectedGrid(doc.Connected).Print(s.Out, "nothing was connected")
		for _, source := range doc.Connected {
			for _, l := range source.LeftOut {
				s.Note("%s: %s is left out: %s", terminal.Plain(source.Name), terminal.Plain(rest.FullName(l.Namespace, l.Name)), flags.Said(l.Reason))
			}
			for _, text := range source.Notes {
				s.Note("%s: %s", terminal.Plain(source.Name), flags.Said(text))
			}
		}
	}
	return errors.Join(err, Failures(doc))
}

// SourceSpec is a source in a connect request.
type SourceSpec struct {
	Type     string          `json:"type"`
	Name     string          `json:"name"`
	Config   map[string]any  `json:"connection_config"`
	Metadata map[string]any  `json:"metadata,omitempty"`
	Sync     json.RawMessage `json:"sync,omitempty"`
}

// Connect connects all sources with one request and returns the outcome, decoded
// and as received. Failures of single sources are part of the outcome. An error
// means that no source was connected, or that the outcome is unknown.
func (c *Client) Connect(ctx context.Context, s terminal.Streams, scope string, sources ...SourceSpec) (rest.ConnectDoc, any, error) {
	var doc rest.ConnectDoc
	a, err := c.Post(ctx, c.Path("connect"), map[string]any{"scope": scope, "sources": sources}, "")
	if err != nil {
		return doc, nil, err
	}
	op, waited, err := c.Settled(ctx, s, a)
	if err != nil {
		return doc, nil, err
	}
	if !waited {
		return doc, a.Data, a.Into(&doc)
	}
	if err := rest.OperationError(op); err != nil {
		return doc, nil, err
	}
	listed, err := c.Sources(ctx, scope)
	if err != nil {
		return doc, nil, err
	}
	for _, target := range op.Targets {
		for _, source := range listed {
			if source.ID == target.SourceID && target.Status == "completed" {
				doc.Connected = append(doc.Connected, source)
			}
		}
	}
	doc.OperationID = op.OperationID
	return doc, doc, nil
}

func connectedGrid(sources []rest.SourceDoc) *terminal.Grid {
	g := terminal.NewGrid("NAME", "TYPE", "CONNECTOR", "SCOPE", "STATUS", "#TABLES", "ID")
	for _, source := range sources {
		g.Add(source.Name, source.Type, source.Connector, source.Scope, source.Status, terminal.Count(int64(source.Tables)), source.ID)
	}
	return g
}

// Failures returns an error that names every source that was not connected, or
// nil.
func Failures(doc rest.ConnectDoc) error {
	var lines []string
	for _, f := range doc.Failed {
		lines = append(lines, terminal.Plain(f.Name)+": "+flags.Said(f.Error))
	}
	if lines == nil {
		return nil
	}
	code := exit.Failed
	if len(doc.Connected) > 0 {
		code = exit.Partial
	}
	return exit.With(code, fmt.Errorf("%s not connected\n  %s", terminal.Several(len(lines), "source"), strings.Join(lines, "\n  ")))
}
