package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/dustin/go-humanize"

	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/terminal"
)

// OperationCmd shows an operation and its targets.
type OperationCmd struct {
	ClientFlags `embed:""`
	ID          string `arg:"" name:"id" help:"Id of the operation, as a 202 or 'sync --detach' gives it."`
	Wait        bool   `help:"Wait until it has ended; fail unless it was carried out."`
	Cancel      bool   `help:"Cancel it."`
}

// Run prints the operation.
func (c *OperationCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	var op rest.OperationDoc
	switch {
	case c.Cancel:
		op, err = api.cancel(ctx, c.ID)
	case c.Wait:
		op, err = api.WaitOperation(ctx, c.ID)
	default:
		op, err = api.Operation(ctx, c.ID)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		err = terminal.PrintJSON(s, op)
	} else {
		err = printOperation(s, op)
	}
	if c.Wait && !c.Cancel {
		return errors.Join(err, rest.OperationError(op))
	}
	return err
}

func printOperation(s terminal.Streams, op rest.OperationDoc) error {
	fmt.Fprintf(s.Out, "%s  %s  %s  started %s by %s\n", terminal.Plain(op.OperationID), terminal.Plain(op.Kind), terminal.Plain(op.Status),
		op.CreatedAt.Local().Format(time.DateTime), terminal.Plain(op.Actor))
	g := terminal.NewGrid("SOURCE", "STATUS", "REASON", "SYNC", "MESSAGE")
	for _, target := range op.Targets {
		name := target.Name
		if name == "" {
			name = target.SourceID
		}
		g.Add(name, target.Status, target.Reason, target.SyncID, flags.Said(target.Message))
	}
	return g.Print(s.Out, "it has no targets")
}

// OperationsCmd lists operations.
type OperationsCmd struct {
	ClientFlags `embed:""`
	Kind        string `enum:",connect,update,rename,schedule,test,sync,cancel,cleanup,discover,restore,purge,verify,maintain" default:"" help:"Only operations of this kind: connect, update, rename, schedule, test, sync, cancel, cleanup, discover, restore, purge, verify or maintain."`
	Status      string `enum:",running,completed,partial,failed,cancelled" default:"" help:"Only operations with this status: running, completed, partial, failed or cancelled."`
	Limit       int    `default:"20" help:"At most this many, newest first."`
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

// Run prints the operations. An empty list is not an error.
func (c *OperationsCmd) Run(ctx context.Context, s terminal.Streams) error {
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
	a, err := api.Get(ctx, api.Path("operations"), query)
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var all []operationHead
	if err := a.Into(&all); err != nil {
		return err
	}
	g := terminal.NewGrid("OPERATION", "KIND", "STATUS", "#TARGETS", "BY", "#TIME", "STARTED")
	for _, o := range all {
		lasted := ""
		// The start of a quick operation is known only from its end.
		if o.Finished != nil && o.Finished.After(o.CreatedAt) {
			lasted = terminal.Took(o.Finished.Sub(o.CreatedAt).Milliseconds())
		}
		g.Add(o.ID, o.Kind, o.Status, terminal.Count(int64(o.Targets)), o.Actor, lasted, humanize.RelTime(o.CreatedAt, time.Now(), "ago", "from now"))
	}
	return g.Print(s.Out, fmt.Sprintf("no operations with scope %s in workspace %s", c.Scope, c.Workspace))
}
