package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"
)

// demoWorkspace is where the demo connects its sources.
const demoWorkspace = "demo"

const demoScope = "user"

// tour runs the demo's steps one after the other and remembers what failed. A
// step that fails does not stop the others.
type tour struct {
	s      Streams
	api    *client
	failed []error
}

func newTour(s Streams) *tour { return &tour{s: s} }

func (t *tour) heading(text string) { section(t.s.Out, text) }

// step does one thing and prints a line with its outcome and duration. It
// returns whether it worked.
func (t *tour) step(name string, do func() (detail string, err error)) bool {
	start := time.Now()
	detail, err := do()
	mark := "✓"
	if err != nil {
		mark, detail = "✗", strings.ReplaceAll(err.Error(), "\n", "\n      ")
		t.failed = append(t.failed, fmt.Errorf("%s: %w", name, err))
	}
	fmt.Fprintf(t.s.Out, "  %s %-14s %7s  %s\n", mark, name, took(time.Since(start).Milliseconds()), detail)
	return err == nil
}

// err returns what failed so far, nil when everything worked.
func (t *tour) err() error {
	if len(t.failed) == 0 {
		return nil
	}
	return fmt.Errorf("%s of the demo failed: %w", several(len(t.failed), "step"), errors.Join(t.failed...))
}

// run does the main job through the public API: test, connect, list, sync, list
// again, schema.
func (t *tour) run(ctx context.Context, samples []sourceSpec) {
	t.heading("Test the connections: nothing is saved")
	for _, sample := range samples {
		t.step(sample.Name, func() (string, error) {
			doc, _, err := t.api.test(ctx, t.s, sample.Type, sample.Config)
			var steps []string
			for _, step := range doc.Steps {
				steps = append(steps, plain(step.Name)+" "+plain(step.Status))
			}
			return strings.Join(steps, ", "), err
		})
	}

	t.heading("Connect them: settings are kept, secrets are sealed, the schema is read")
	t.step("connect", func() (string, error) {
		doc, _, err := t.api.connect(ctx, t.s, demoScope, samples...)
		if err != nil {
			return "", err
		}
		return several(len(doc.Connected), "source"), failures(doc)
	})
	t.list(ctx)

	t.heading("Sync them: rows land as Parquet files of Iceberg tables")
	t.sync(ctx)
	t.list(ctx)

	t.heading("What landed")
	t.schemas(ctx)
	t.heading("Some rows of it, read from the lake")
	t.rows(ctx)
}

// rows shows the first rows of a table of each source.
func (t *tour) rows(ctx context.Context) {
	places, err := t.api.tables(ctx, url.Values{"scope": {demoScope}})
	if err != nil {
		t.step("rows", func() (string, error) { return "", err })
		return
	}
	shown := map[string]bool{}
	for _, place := range places {
		if shown[place.Source] {
			continue
		}
		shown[place.Source] = true
		rows, err := fetch[previewDoc](ctx, t.api, t.api.path("preview"), url.Values{"scope": {demoScope}, "source_id": {place.SourceID}, "table": {full(place.Namespace, place.Name)}, "limit": {"3"}})
		if err != nil {
			t.step("rows", func() (string, error) { return "", fmt.Errorf("%s: %w", place.called(), err) })
			continue
		}
		fmt.Fprintf(t.s.Out, "  %s, %s\n", plain(place.called()), several(int(place.Records), "row"))
		if err := rows.grid(5).print(t.s.Out, "no rows"); err != nil {
			t.failed = append(t.failed, err)
		}
	}
}

// previewDoc is some rows of a table as GET preview answers them.
type previewDoc struct {
	Columns []columnDoc                  `json:"columns"`
	Rows    []map[string]json.RawMessage `json:"rows"`
}

// grid shows the first columns of the rows.
func (d previewDoc) grid(most int) *grid {
	columns := d.Columns[:min(most, len(d.Columns))]
	g := newGrid()
	for _, column := range columns {
		g.headings = append(g.headings, strings.TrimPrefix(plain(column.Name), "#"))
	}
	for _, row := range d.Rows {
		var cells []string
		for _, column := range columns {
			var text string
			if json.Unmarshal(row[column.Name], &text) != nil {
				text = string(row[column.Name])
			}
			cells = append(cells, displaywidth.TruncateString(plain(text), 28, "…"))
		}
		g.add(cells...)
	}
	return g
}

func (t *tour) list(ctx context.Context) {
	sources, err := t.api.sources(ctx, demoScope)
	if err == nil {
		err = sourceGrid(sources, time.Now()).print(t.s.Out, "no sources")
	}
	if err != nil {
		t.step("list", func() (string, error) { return "", err })
	}
}

func (t *tour) sync(ctx context.Context) {
	t.step("sync", func() (string, error) {
		show := t.s
		if !show.Terminal {
			show.Err = show.Out // a tour that is kept in a file is kept whole
		}
		p := newProgress(show)
		id, err := t.api.startSync(ctx, demoScope, nil, nil)
		if err != nil {
			return "", err
		}
		op, syncs, err := t.api.followSync(ctx, id, p)
		p.close()
		if err != nil {
			return "", err
		}
		var rows, bytes int64
		tables := 0
		for _, sync := range syncs {
			rows, bytes, tables = rows+sync.Records, bytes+sync.Bytes, tables+len(sync.Tables)
		}
		return fmt.Sprintf("%s, %s in %s", several(int(rows), "row"), size(bytes), several(tables, "table")), syncError(op, syncs)
	})
}

func (t *tour) schemas(ctx context.Context) {
	sources, err := t.api.sources(ctx, demoScope)
	if err != nil {
		t.step("schema", func() (string, error) { return "", err })
		return
	}
	g := newGrid("SOURCE", "TABLE", "KIND", "KEY", "COLUMNS")
	for _, source := range sources {
		schema, err := fetch[schemaDoc](ctx, t.api, t.api.path("schema"), map[string][]string{"scope": {demoScope}, "source_id": {source.ID}})
		if err != nil {
			t.step("schema", func() (string, error) { return "", fmt.Errorf("%s: %w", source.Name, err) })
			continue
		}
		for _, table := range schema.Tables {
			g.add(source.Name, full(table.Namespace, table.Name), table.Kind, strings.Join(table.PrimaryKey, ", "), columns(table, 40))
		}
	}
	if err := g.print(t.s.Out, "no tables"); err != nil {
		t.failed = append(t.failed, err)
	}
}

// columns lists the columns with their types in at most width characters or a
// little more.
func columns(table tableDoc, width int) string {
	var b strings.Builder
	for i, column := range table.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		if b.Len() > width {
			fmt.Fprintf(&b, "and %d more", len(table.Columns)-i)
			break
		}
		b.WriteString(column.Name + " " + column.Type)
	}
	return b.String()
}

// goOn prints what to try next, ready to be pasted into another terminal.
func (t *tour) goOn(base, token string, cfg DemoServer, temporary bool) {
	out := t.s.Out
	t.heading("Go on in another terminal")
	fmt.Fprintf(out, "  export HEADWATER_URL=%s HEADWATER_WORKSPACE=%s HEADWATER_TOKEN=%s\n", base, demoWorkspace, token)
	for _, line := range []string{
		`curl -s "$HEADWATER_URL/api/v1/data/demo/list?scope=user" -H "Authorization: Bearer $HEADWATER_TOKEN"`,
		`curl -s -X POST "$HEADWATER_URL/api/v1/data/demo/sync" -H "Authorization: Bearer $HEADWATER_TOKEN" -H "Content-Type: application/json" -d '{"sync_options":{"incremental":true}}'`,
		`curl -s "$HEADWATER_URL/api/v1/data/demo/syncs?limit=3" -H "Authorization: Bearer $HEADWATER_TOKEN"`,
		`curl -s "$HEADWATER_URL/api/v1/connectors" -H "Authorization: Bearer $HEADWATER_TOKEN"`,
		`headwater list                  # go run ./cmd/headwater list, where it is not installed`,
		`headwater schema timezones --columns`,
		`headwater where airports`,
		`headwater sync airports earthquakes`,
	} {
		fmt.Fprintln(out, "  "+line)
	}
	place := filepath.Join(cfg.DataDir, "lake")
	if temporary {
		place += " (removed at exit; --data-dir keeps it)"
	}
	fmt.Fprintf(out, "\n  Landed tables: %s\n  File sources read: %s\n\nServing until Ctrl-C.\n", place, cfg.FilesRoot)
}
