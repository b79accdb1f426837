package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// PreviewCmd shows some rows of a landed table.
type PreviewCmd struct {
	ClientFlags `embed:""`
	Source      string `arg:"" help:"Name or id of the source."`
	Table       string `arg:"" help:"TABLE or SCHEMA.TABLE."`
	Limit       int    `default:"20" help:"At most this many rows, up to 1,000."`
	AsOf        string `name:"as-of" help:"As the table was at a time such as 2026-01-31T12:00:00Z, at a sequence of the log, or in a snapshot, by its id."`
}

// PreviewDoc is the answer of GET preview. Values stay encoded, so that no
// number is rounded.
type PreviewDoc struct {
	Table      string                       `json:"table"`
	SnapshotID string                       `json:"snapshot_id"`
	SnapshotAt *time.Time                   `json:"snapshot_at"`
	Total      int64                        `json:"total_records"`
	Columns    []rest.ColumnDoc             `json:"columns"`
	Rows       []map[string]json.RawMessage `json:"rows"`
	Truncated  bool                         `json:"truncated"`
	Shortened  []json.RawMessage            `json:"shortened"`
}

// cellWidth is the width to which a value is cut; --json prints it whole.
const cellWidth = 48

// Run prints the rows. An empty table is not an error.
func (c *PreviewCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	if c.Limit < 1 {
		return exit.Usagef("--limit must be 1 or more")
	}
	ids, err := api.sourceIDs(ctx, c.Scope, []string{c.Source})
	if err != nil {
		return err
	}
	query := url.Values{"scope": {c.Scope}, "source_id": {ids[0]}, "table": {c.Table}, "limit": {strconv.Itoa(c.Limit)}}
	if c.AsOf != "" {
		query.Set("as_of", c.AsOf)
	}
	a, err := api.Get(ctx, api.Path("preview"), query)
	if err != nil {
		return err
	}
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var doc PreviewDoc
	if err := a.Into(&doc); err != nil {
		return err
	}
	if err := doc.Grid(len(doc.Columns), cellWidth).Print(s.Out, fmt.Sprintf("%s has no rows", terminal.Plain(doc.Table))); err != nil {
		return err
	}
	if doc.SnapshotAt != nil {
		s.Note("%s of %s, snapshot %s of %s", flags.Said(a.Message), terminal.Plain(doc.Table), terminal.Plain(doc.SnapshotID), doc.SnapshotAt.Format(time.RFC3339))
	}
	return nil
}

// Grid shows the first most columns of the rows, none wider than width.
func (d PreviewDoc) Grid(most, width int) *terminal.Grid {
	columns := d.Columns[:min(most, len(d.Columns))]
	headings := make([]string, len(columns))
	for i, column := range columns {
		heading := strings.TrimPrefix(terminal.Plain(column.Name), "#")
		if isNumber(column.Type) {
			heading = "#" + heading
		}
		headings[i] = heading
	}
	g := terminal.NewGrid(headings...)
	for _, row := range d.Rows {
		cells := make([]string, len(columns))
		for i, column := range columns {
			cells[i] = displaywidth.TruncateString(cell(row[column.Name]), width, "…")
		}
		g.Add(cells...)
	}
	return g
}

func isNumber(kind string) bool {
	return kind == "int32" || kind == "int64" || kind == "float32" || kind == "float64" || strings.HasPrefix(kind, "decimal(")
}

// cell formats a value for a grid: a string without its quotes.
func cell(value json.RawMessage) string {
	var text string
	switch {
	case len(value) == 0 || string(value) == "null":
		return "NULL"
	case json.Unmarshal(value, &text) != nil:
		return string(value)
	}
	return terminal.Plain(text)
}
