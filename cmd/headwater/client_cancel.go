package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// CancelCmd stops an operation, or one sync of one.
type CancelCmd struct {
	ClientFlags `embed:""`
	ID          string `arg:"" name:"id" help:"Id of an operation (op_...) or of a sync (syn_...), of which the others of its operation go on."`
}

// Run cancels and prints how it ended. What had ended before is printed as it is.
func (c *CancelCmd) Run(ctx context.Context, s Streams) error {
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
		return printJSON(s, op)
	}
	return printOperation(s, op)
}

func (c *CancelCmd) sync(ctx context.Context, s Streams, api *client) error {
	if _, err := api.post(ctx, api.path("syncs", c.ID, "cancel"), map[string]any{}, ""); err != nil {
		return err
	}
	sync, err := api.syncOf(ctx, c.ID)
	for err == nil && sync.Status == "running" { // it was answered 202
		if err = sleep(ctx, api.poll); err == nil {
			sync, err = api.syncOf(ctx, c.ID)
		}
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s, sync)
	}
	return syncGrid([]syncDoc{sync}, time.Now()).print(s.Out, "")
}

// OperationsCmd lists what was asked for.
type OperationsCmd struct {
	ClientFlags `embed:""`
	Kind        string `enum:",connect,update,rename,test,sync,cleanup,discover,restore,purge,verify" default:"" help:"Only operations of this kind: connect, update, rename, test, sync, cleanup, discover, restore, purge or verify."`
	Status      string `enum:",running,completed,partial,failed,cancelled" default:"" help:"Only operations with this status: running, completed, partial, failed or cancelled."`
	Limit       int    `default:"20" help:"At most so many, the newest first."`
}

// operationHead is an operation without its targets.
type operationHead struct {
	ID        string     `json:"operation_id"`
	Kind      string     `json:"kind"`
	Status    string     `json:"status"`
	Actor     string     `json:"actor"`
	Targets   int        `json:"targets_total"`
	CreatedAt time.Time  `json:"created_at"`
	Finished  *time.Time `json:"finished_at"`
}

// Run prints the operations. None is no error.
func (c *OperationsCmd) Run(ctx context.Context, s Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	query := url.Values{"scope": {c.Scope}, "limit": {fmt.Sprint(c.Limit)}}
	for name, value := range map[string]string{"kind": c.Kind, "status": c.Status} {
		if value != "" {
			query.Set(name, value)
		}
	}
	a, err := api.get(ctx, api.path("operations"), query)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s, a.Data)
	}
	var all []operationHead
	if err := a.into(&all); err != nil {
		return err
	}
	g := newGrid("OPERATION", "KIND", "STATUS", "#TARGETS", "BY", "#TIME", "STARTED")
	for _, o := range all {
		lasted := ""
		// A quick one is known only from its end.
		if o.Finished != nil && o.Finished.After(o.CreatedAt) {
			lasted = took(o.Finished.Sub(o.CreatedAt).Milliseconds())
		}
		g.add(o.ID, o.Kind, o.Status, count(int64(o.Targets)), o.Actor, lasted, humanize.RelTime(o.CreatedAt, time.Now(), "ago", "from now"))
	}
	return g.print(s.Out, fmt.Sprintf("no operations with scope %s in workspace %s", c.Scope, c.Workspace))
}
