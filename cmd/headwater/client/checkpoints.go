package client

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/terminal"
)

// CheckpointsCmd lists the commits of a source's tables.
type CheckpointsCmd struct {
	ClientFlags `embed:""`
	Source      string `arg:"" help:"Name or id of the source."`
	Table       string `help:"Only this table."`
	Limit       int    `default:"20" help:"At most this many; 0 for all that are kept, which are 100 of each table."`
}

type checkpointDoc struct {
	Table        string    `json:"table"`
	Namespace    string    `json:"namespace"`
	CursorColumn string    `json:"cursor_column"`
	Cursor       string    `json:"cursor"`
	SnapshotID   string    `json:"snapshot_id"`
	SyncID       string    `json:"sync_id"`
	Sequence     int64     `json:"sequence"`
	Time         time.Time `json:"time"`
	Total        int64     `json:"total_records"`
}

// Run prints the checkpoints, newest first. An empty list is not an error.
func (c *CheckpointsCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	ids, err := api.sourceIDs(ctx, c.Scope, []string{c.Source})
	if err != nil {
		return err
	}
	query := url.Values{"scope": {c.Scope}, "source_id": {ids[0]}}
	if c.Table != "" {
		query.Set("table", c.Table)
	}
	if c.Limit > 0 {
		query.Set("limit", strconv.Itoa(c.Limit))
	}
	a, err := api.Get(ctx, api.Path("checkpoints"), query)
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var all []checkpointDoc
	if err := a.Into(&all); err != nil {
		return err
	}
	g := terminal.NewGrid("TIME", "TABLE", "CURSOR", "VALUE", "#RECORDS", "#SEQUENCE", "SYNC")
	for _, d := range all {
		g.Add(d.Time.UTC().Format(time.RFC3339), rest.FullName(d.Namespace, d.Table), d.CursorColumn, d.Cursor, terminal.Count(d.Total), strconv.FormatInt(d.Sequence, 10), d.SyncID)
	}
	if c.Table != "" {
		return g.Print(s.Out, fmt.Sprintf("nothing of a table %s was committed yet", terminal.Plain(c.Table)))
	}
	return g.Print(s.Out, "no table of the source was committed yet")
}
