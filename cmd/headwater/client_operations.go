package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/dustin/go-humanize"
)

// OperationCmd shows one accepted request and what became of its targets.
type OperationCmd struct {
	ClientFlags `embed:""`
	ID          string `arg:"" name:"id" help:"Id of the operation, as a 202 or 'sync --detach' gives it."`
	Wait        bool   `help:"Wait until it has ended. It is then an error if it was not carried out."`
	Cancel      bool   `help:"Cancel it."`
}

// Run prints the operation.
func (c *OperationCmd) Run(ctx context.Context, s Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	var op operationDoc
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
		err = printJSON(s, op)
	} else {
		err = printOperation(s, op)
	}
	if c.Wait && !c.Cancel {
		return errors.Join(err, operationError(op))
	}
	return err
}

func printOperation(s Streams, op operationDoc) error {
	fmt.Fprintf(s.Out, "%s  %s  %s  started %s by %s\n", plain(op.OperationID), plain(op.Kind), plain(op.Status),
		op.CreatedAt.Local().Format(time.DateTime), plain(op.Actor))
	g := newGrid("SOURCE", "STATUS", "REASON", "SYNC", "MESSAGE")
	for _, target := range op.Targets {
		name := target.Name
		if name == "" {
			name = target.SourceID
		}
		g.add(name, target.Status, target.Reason, target.SyncID, said(target.Message))
	}
	return g.print(s.Out, "it has no targets")
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
func (c *SyncsCmd) Run(ctx context.Context, s Streams) error {
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
	a, err := api.get(ctx, api.path("syncs"), query)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s, a.Data)
	}
	var syncs []syncDoc
	if err := a.into(&syncs); err != nil {
		return err
	}
	return syncGrid(syncs, time.Now()).print(s.Out, "no syncs yet")
}

func (c *SyncsCmd) one(ctx context.Context, s Streams, api *client) error {
	a, err := api.get(ctx, api.path("syncs", c.ID), nil)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s, a.Data)
	}
	var sync syncDoc
	if err := a.into(&sync); err != nil {
		return err
	}
	if err := syncGrid([]syncDoc{sync}, time.Now()).print(s.Out, ""); err != nil {
		return err
	}
	if sync.Error != nil {
		fmt.Fprintf(s.Out, "%s: %s\n", plain(sync.Error.Reason), said(sync.Error.Message))
	}
	fmt.Fprintln(s.Out)
	g := newGrid("TABLE", "STATUS", "MODE", "#ROWS", "#BYTES", "#FILES", "#TIME", "LANDED AT")
	for _, t := range sync.Tables {
		where := t.Location
		if t.Message != "" {
			where = said(t.Message)
		}
		g.add(full(t.Namespace, t.Name), t.Status, t.Mode, count(t.Records), size(t.Bytes), count(int64(t.Files)), took(t.DurationMS), where)
	}
	return g.print(s.Out, "no tables yet")
}

func syncGrid(syncs []syncDoc, now time.Time) *grid {
	g := newGrid("SYNC", "SOURCE", "STATUS", "MODE", "#ROWS", "#BYTES", "#TIME", "STARTED")
	for _, sync := range syncs {
		g.add(sync.SyncID, sync.SourceName, sync.Status, sync.Mode, count(sync.Records), size(sync.Bytes),
			took(sync.DurationMS), humanize.RelTime(sync.StartedAt, now, "ago", "from now"))
	}
	return g
}
