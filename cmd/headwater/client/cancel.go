package client

import (
	"context"
	"strings"
	"time"

	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/terminal"
)

// CancelCmd cancels an operation, or one sync of it.
type CancelCmd struct {
	ClientFlags `embed:""`
	ID          string `arg:"" name:"id" help:"Id of an operation (op_...), or of one sync (syn_...): other syncs of its operation go on."`
}

// Run cancels and prints the final status. What had ended before is printed as
// it is.
func (c *CancelCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	if strings.HasPrefix(c.ID, "syn_") {
		return c.sync(ctx, s, api)
	}
	op, err := api.cancel(ctx, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, op)
	}
	return printOperation(s, op)
}

func (c *CancelCmd) sync(ctx context.Context, s terminal.Streams, api *Client) error {
	if _, err := api.Post(ctx, api.Path("syncs", c.ID, "cancel"), map[string]any{}, ""); err != nil {
		return err
	}
	sync, err := api.Sync(ctx, c.ID)
	for err == nil && sync.Status == "running" { // the cancel was answered 202
		if err = rest.Sleep(ctx, api.Poll); err == nil {
			sync, err = api.Sync(ctx, c.ID)
		}
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, sync)
	}
	return syncGrid([]rest.SyncDoc{sync}, time.Now()).Print(s.Out, "")
}
