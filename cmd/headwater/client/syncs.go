package client

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/dustin/go-humanize"

	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/terminal"
)

// SyncsCmd lists syncs, or shows one with its tables.
type SyncsCmd struct {
	ClientFlags `embed:""`
	ID          string `arg:"" name:"id" optional:"" help:"Show this sync with its tables."`
	Source      string `help:"Only syncs of this source, by name or id."`
	Status      string `help:"Only syncs with this status: running, completed, partial, failed or cancelled."`
	Limit       int    `default:"20" help:"At most this many, newest first."`
}

// Run prints the syncs. An empty list is not an error.
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
	a, err := api.Get(ctx, api.Path("syncs"), query)
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var syncs []rest.SyncDoc
	if err := a.Into(&syncs); err != nil {
		return err
	}
	return syncGrid(syncs, time.Now()).Print(s.Out, "no syncs yet")
}

func (c *SyncsCmd) one(ctx context.Context, s terminal.Streams, api *Client) error {
	a, err := api.Get(ctx, api.Path("syncs", c.ID), nil)
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var sync rest.SyncDoc
	if err := a.Into(&sync); err != nil {
		return err
	}
	if err := syncGrid([]rest.SyncDoc{sync}, time.Now()).Print(s.Out, ""); err != nil {
		return err
	}
	if sync.Error != nil {
		fmt.Fprintf(s.Out, "%s: %s\n", terminal.Plain(sync.Error.Reason), flags.Said(sync.Error.Message))
	}
	fmt.Fprintln(s.Out)
	g := terminal.NewGrid("TABLE", "STATUS", "MODE", "#ROWS", "#BYTES", "#FILES", "#TIME", "LANDED AT")
	for _, t := range sync.Tables {
		where := t.Location
		if t.Message != "" {
			where = flags.Said(t.Message)
		}
		g.Add(rest.FullName(t.Namespace, t.Name), t.Status, t.Mode, terminal.Count(t.Records), terminal.Size(t.Bytes), terminal.Count(int64(t.Files)), tableTook(&t), where)
	}
	return g.Print(s.Out, "no tables yet")
}

func syncGrid(syncs []rest.SyncDoc, now time.Time) *terminal.Grid {
	g := terminal.NewGrid("SYNC", "SOURCE", "STATUS", "MODE", "#ROWS", "#BYTES", "#TIME", "STARTED")
	for _, sync := range syncs {
		g.Add(sync.SyncID, sync.SourceName, sync.Status, sync.Mode, terminal.Count(sync.Records), terminal.Size(sync.Bytes),
			syncTook(&sync, now), humanize.RelTime(sync.StartedAt, now, "ago", "from now"))
	}
	return g
}

// syncTook says how long the sync has taken, up to now while it runs.
func syncTook(d *rest.SyncDoc, now time.Time) string {
	if d.Status == "running" && !d.StartedAt.IsZero() {
		return terminal.Lasted(now.Sub(d.StartedAt))
	}
	return terminal.Took(d.DurationMS)
}

// tableTook says how long the table has taken, "" while that is not known.
func tableTook(t *rest.TableSync) string {
	if t.Status == "running" && t.DurationMS == 0 {
		return ""
	}
	return terminal.Took(t.DurationMS)
}
