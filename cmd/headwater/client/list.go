package client

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"headwater/cmd/headwater/client/progress"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/terminal"
)

// ListCmd lists the sources of a workspace.
type ListCmd struct {
	ClientFlags `embed:""`
	Type        string `help:"Only sources of this type."`
	Name        string `help:"Only the source of this name."`
	Status      string `help:"Only sources with this status: connected, syncing or failed."`
	Query       string `short:"q" help:"Only sources whose name contains this text."`
	AsOf        string `name:"as-of" help:"As they were at a sequence of the log, or at a time such as 2026-01-31T12:00:00Z."`
	Removed     bool   `help:"List removed sources that can be restored."`
}

// Run prints the sources. An empty list is not an error.
func (c *ListCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	query := url.Values{"scope": {c.Scope}}
	for name, value := range map[string]string{"type": c.Type, "name": c.Name, "status": c.Status, "q": c.Query, "as_of": c.AsOf} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if c.Removed {
		query.Set("removed", "true")
	}
	a, err := api.Get(ctx, api.Path("list"), query)
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var sources []rest.SourceDoc
	if err := a.Into(&sources); err != nil {
		return err
	}
	if c.Removed {
		return removedGrid(sources, time.Now()).Print(s.Out, fmt.Sprintf("no removed sources with scope %s in workspace %s", c.Scope, c.Workspace))
	}
	if len(sources) == 0 && c.Type+c.Name+c.Status+c.Query != "" {
		s.Note("no source that fits%s, with scope %s in workspace %s%s", c.filter(), c.Scope, c.Workspace, c.elsewhere(ctx, api, query))
		return nil
	}
	return SourceGrid(sources, time.Now()).Print(s.Out, fmt.Sprintf("no sources with scope %s in workspace %s%s", c.Scope, c.Workspace, c.elsewhere(ctx, api, query)))
}

// filter describes the filters in words.
func (c *ListCmd) filter() string {
	text := ""
	for _, f := range []struct{ flag, value string }{{"-q", c.Query}, {"--name", c.Name}, {"--type", c.Type}, {"--status", c.Status}} {
		if f.value != "" {
			text += " " + f.flag + " " + terminal.Plain(f.value)
		}
	}
	return text
}

// elsewhere says how many sources the other scope has if this one has none.
func (c *ListCmd) elsewhere(ctx context.Context, api *Client, query url.Values) string {
	query.Set("scope", rest.OtherScope(c.Scope))
	found, err := rest.Fetch[[]rest.SourceDoc](ctx, api.Conn, api.Path("list"), query)
	if err != nil || len(found) == 0 {
		return ""
	}
	return fmt.Sprintf("; %s with --scope %s", terminal.Count(int64(len(found))), rest.OtherScope(c.Scope))
}

// SourceGrid returns the sources as a table for people. Times are relative to
// now.
func SourceGrid(sources []rest.SourceDoc, now time.Time) *terminal.Grid {
	columns := []string{"NAME", "TYPE", "CONNECTOR", "STATUS", "#TABLES", "#RECORDS", "LAST SYNC"}
	scheduled := slices.ContainsFunc(sources, func(s rest.SourceDoc) bool { return s.Schedule != nil })
	if scheduled {
		columns = append(columns, "NEXT")
	}
	g := terminal.NewGrid(append(columns, "ID")...)
	for _, source := range sources {
		last := "never"
		if l := source.LastSync; l != nil {
			last = l.Status
			if l.FinishedAt != nil {
				last += " " + humanize.RelTime(*l.FinishedAt, now, "ago", "from now")
			}
		}
		row := []string{source.Name, source.Type, source.Connector, source.Status, terminal.Count(int64(source.Tables)), terminal.Count(source.Records), last}
		if scheduled {
			next := ""
			if source.Schedule != nil {
				next = nextRun(source.Schedule, now) + lag(source.Changes, source.Schedule, now)
			}
			row = append(row, next)
		}
		g.Add(append(row, source.ID)...)
	}
	return g
}

// lag says how far a source that is synced continuously is behind, "" if unknown.
func lag(c *rest.ChangesDoc, s *rest.ScheduleDoc, now time.Time) string {
	if c == nil || !s.Continuous || s.Paused || c.BehindSeconds == nil {
		return ""
	}
	return ", " + terminal.Lasted(time.Duration(*c.BehindSeconds)*time.Second) + " behind" + progress.Asked(c.At, now)
}
