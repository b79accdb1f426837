package client

import (
	"context"
	"errors"

	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/client/settings"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// TestCmd tries a connection and saves nothing.
type TestCmd struct {
	ClientFlags          `embed:""`
	settings.SourceFlags `embed:""`
}

// Run prints the steps of the test. It fails with the reason if the connection
// does not work.
func (c *TestCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	kind, config, err := c.Source(ctx, s, api.Conn)
	if err != nil {
		return err
	}
	doc, raw, failed := api.Test(ctx, s, kind, config)
	if failed != nil && raw == nil {
		return failed
	}
	if c.JSON {
		return errors.Join(terminal.PrintJSON(s, raw), failed)
	}
	g := terminal.NewGrid("STEP", "RESULT", "#TIME", "MESSAGE")
	for _, step := range doc.Steps {
		g.Add(step.Name, step.Status, terminal.Took(step.DurationMS), flags.Said(step.Message))
	}
	if err := g.Print(s.Out, "no steps were reported"); err != nil {
		return err
	}
	return failed
}

// Test tries a connection. If it does not work, Test returns the steps and an
// error. raw is the answer as received, nil if there was none.
func (c *Client) Test(ctx context.Context, s terminal.Streams, kind string, config map[string]any) (doc rest.TestDoc, raw any, err error) {
	body := map[string]any{"source_config": map[string]any{"type": kind, "connection_config": config}}
	a, err := c.Post(ctx, c.Path("test-connection"), body, "")
	if err != nil {
		return doc, nil, err
	}
	op, waited, err := c.Settled(ctx, s, a)
	if err != nil {
		return doc, nil, err
	}
	if waited {
		if len(op.Targets) != 1 {
			return doc, op, rest.OperationError(op)
		}
		a = rest.Answer{Status: "success", Message: op.Targets[0].Message, Data: op.Targets[0].Result}
		if op.Targets[0].Status != "completed" {
			a.Status = "error"
		}
	}
	if len(a.Data) > 0 && string(a.Data) != "null" {
		if err := a.Into(&doc); err != nil {
			return doc, nil, err
		}
	}
	if a.Status != "success" {
		return doc, a.Data, exit.With(exit.Failed, errors.New(flags.Said(a.Message)))
	}
	return doc, a.Data, nil
}
