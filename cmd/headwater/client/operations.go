package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"headwater/cmd/headwater/terminal"
)

// OperationCmd shows one accepted request and what became of its targets.
type OperationCmd struct {
	ClientFlags `embed:""`
	ID          string `arg:"" name:"id" help:"Id of the operation, as a 202 or 'sync --detach' gives it."`
	Wait        bool   `help:"Wait until it has ended. It is then an error if it was not carried out."`
	Cancel      bool   `help:"Cancel it."`
}

// Run prints the operation.
func (c *OperationCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	var op OperationDoc
	switch {
	case c.Cancel:
		op, err = api.cancel(ctx, c.ID)
	case c.Wait:
		op, err = api.waitOperation(ctx, c.ID)
	default:
		op, err = api.operation(ctx, c.ID)
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
		return errors.Join(err, operationError(op))
	}
	return err
}

func printOperation(s terminal.Streams, op OperationDoc) error {
	fmt.Fprintf(s.Out, "%s  %s  %s  started %s by %s\n", terminal.Plain(op.OperationID), terminal.Plain(op.Kind), terminal.Plain(op.Status),
		op.CreatedAt.Local().Format(time.DateTime), terminal.Plain(op.Actor))
	g := terminal.NewGrid("SOURCE", "STATUS", "REASON", "SYNC", "MESSAGE")
	for _, target := range op.Targets {
		name := target.Name
		if name == "" {
			name = target.SourceID
		}
		g.Add(name, target.Status, target.Reason, target.SyncID, said(target.Message))
	}
	return g.Print(s.Out, "it has no targets")
}

// SyncsCmd lists syncs, or shows one with its tables.
type SyncsCmd struct {
	ClientFlags `embed:""`
	ID          string `arg:"" name:"id" optional:"" help:"Show this sync with its tables."`
	Source      string `help:"Only syncs of this source, by name or id."`
	Status      string `help:"Only syncs with this status: running, completed, partial, failed or cancelled."`
	Limit       int    `default:"20" help:"At most so many, the newest first."`
}

// Run prints the syncs. None is no error.
func (c *SyncsCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	if c.ID != "" {
		return c.one(ctx, s, api)
	}
	query := url.Values{"scope": {c.Scope}, "limit": {fmt.Sprint(c.Limit)}}
	if c.Source != "" {
		ids, err := api.sourceIDs(ctx, c.Scope, []string{c.Source})
		if err != nil {
			return err
		}
		query.Set("source_id", ids[0])
	}
	if c.Status != "" {
		query.Set("status", c.Status)
	}
	a, err := api.get(ctx, api.Path("syncs"), query)
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var syncs []SyncDoc
	if err := a.into(&syncs); err != nil {
		return err
	}
	return syncGrid(syncs, time.Now()).Print(s.Out, "no syncs yet")
}

func (c *SyncsCmd) one(ctx context.Context, s terminal.Streams, api *Client) error {
	a, err := api.get(ctx, api.Path("syncs", c.ID), nil)
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var sync SyncDoc
	if err := a.into(&sync); err != nil {
		return err
	}
	if err := syncGrid([]SyncDoc{sync}, time.Now()).Print(s.Out, ""); err != nil {
		return err
	}
	if sync.Error != nil {
		fmt.Fprintf(s.Out, "%s: %s\n", terminal.Plain(sync.Error.Reason), said(sync.Error.Message))
	}
	fmt.Fprintln(s.Out)
	g := terminal.NewGrid("TABLE", "STATUS", "MODE", "#ROWS", "#BYTES", "#FILES", "#TIME", "LANDED AT")
	for _, t := range sync.Tables {
		where := t.Location
		if t.Message != "" {
			where = said(t.Message)
		}
		g.Add(FullName(t.Namespace, t.Name), t.Status, t.Mode, terminal.Count(t.Records), terminal.Size(t.Bytes), terminal.Count(int64(t.Files)), terminal.Took(t.DurationMS), where)
	}
	return g.Print(s.Out, "no tables yet")
}

func syncGrid(syncs []SyncDoc, now time.Time) *terminal.Grid {
	g := terminal.NewGrid("SYNC", "SOURCE", "STATUS", "MODE", "#ROWS", "#BYTES", "#TIME", "STARTED")
	for _, sync := range syncs {
		g.Add(sync.SyncID, sync.SourceName, sync.Status, sync.Mode, terminal.Count(sync.Records), terminal.Size(sync.Bytes),
			terminal.Took(sync.DurationMS), humanize.RelTime(sync.StartedAt, now, "ago", "from now"))
	}
	return g
}

// CancelCmd stops an operation, or one sync of one.
type CancelCmd struct {
	ClientFlags `embed:""`
	ID          string `arg:"" name:"id" help:"Id of an operation (op_...) or of a sync (syn_...), of which the others of its operation go on."`
}

// Run cancels and prints how it ended. What had ended before is printed as it is.
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
	if _, err := api.post(ctx, api.Path("syncs", c.ID, "cancel"), map[string]any{}, ""); err != nil {
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
		return terminal.PrintJSON(s, sync)
	}
	return syncGrid([]SyncDoc{sync}, time.Now()).Print(s.Out, "")
}

// OperationsCmd lists what was asked for.
type OperationsCmd struct {
	ClientFlags `embed:""`
	Kind        string `enum:",connect,update,rename,schedule,test,sync,cancel,cleanup,discover,restore,purge,verify,maintain" default:"" help:"Only operations of this kind: connect, update, rename, schedule, test, sync, cancel, cleanup, discover, restore, purge, verify or maintain."`
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
	a, err := api.get(ctx, api.Path("operations"), query)
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var all []operationHead
	if err := a.into(&all); err != nil {
		return err
	}
	g := terminal.NewGrid("OPERATION", "KIND", "STATUS", "#TARGETS", "BY", "#TIME", "STARTED")
	for _, o := range all {
		lasted := ""
		// A quick one is known only from its end.
		if o.Finished != nil && o.Finished.After(o.CreatedAt) {
			lasted = terminal.Took(o.Finished.Sub(o.CreatedAt).Milliseconds())
		}
		g.Add(o.ID, o.Kind, o.Status, terminal.Count(int64(o.Targets)), o.Actor, lasted, humanize.RelTime(o.CreatedAt, time.Now(), "ago", "from now"))
	}
	return g.Print(s.Out, fmt.Sprintf("no operations with scope %s in workspace %s", c.Scope, c.Workspace))
}
