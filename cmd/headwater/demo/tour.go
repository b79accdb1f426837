package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"headwater/cmd/headwater/client"
	"headwater/cmd/headwater/client/progress"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/terminal"
)

// workspace is where the demo connects its sources.
const workspace = "demo"

const scope = "user"

// tour runs the demo's steps in order and collects failures. A failed step does
// not stop the others.
type tour struct {
	s      terminal.Streams
	api    *client.Client
	failed []error
}

func newTour(s terminal.Streams) *tour { return &tour{s: s} }

func (t *tour) heading(text string) { section(t.s.Out, text) }

// step runs one step and prints a line with its outcome and duration. It returns
// true if the step succeeded.
func (t *tour) step(name string, do func() (detail string, err error)) bool {
	start := time.Now()
	detail, err := do()
	mark := "✓"
	if err != nil {
		mark, detail = "✗", strings.ReplaceAll(err.Error(), "\n", "\n      ")
		t.failed = append(t.failed, fmt.Errorf("%s: %w", name, err))
	}
	fmt.Fprintf(t.s.Out, "  %s %-14s %7s  %s\n", mark, name, terminal.Took(time.Since(start).Milliseconds()), detail)
	return err == nil
}

// err returns the failures so far, or nil.
func (t *tour) err() error {
	if len(t.failed) == 0 {
		return nil
	}
	return fmt.Errorf("%s of the demo failed: %w", terminal.Several(len(t.failed), "step"), errors.Join(t.failed...))
}

// run does the main job through the public API: test, connect, list, sync, list
// again, schema.
func (t *tour) run(ctx context.Context, samples []client.SourceSpec) {
	t.heading("Test the connections: nothing is saved")
	for _, sample := range samples {
		t.step(sample.Name, func() (string, error) {
			doc, _, err := t.api.Test(ctx, t.s, sample.Type, sample.Config)
			var steps []string
			for _, step := range doc.Steps {
				steps = append(steps, terminal.Plain(step.Name)+" "+terminal.Plain(step.Status))
			}
			return strings.Join(steps, ", "), err
		})
	}

	t.heading("Connect them: settings are kept, secrets are sealed, the schema is read")
	t.step("connect", func() (string, error) {
		doc, _, err := t.api.Connect(ctx, t.s, scope, samples...)
		if err != nil {
			return "", err
		}
		return terminal.Several(len(doc.Connected), "source"), client.Failures(doc)
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
	places, err := t.api.Tables(ctx, url.Values{"scope": {scope}})
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
		rows, err := rest.Fetch[client.PreviewDoc](ctx, t.api.Conn, t.api.Path("preview"), url.Values{"scope": {scope}, "source_id": {place.SourceID}, "table": {rest.FullName(place.Namespace, place.Name)}, "limit": {"3"}})
		if err != nil {
			t.step("rows", func() (string, error) { return "", fmt.Errorf("%s: %w", place.Called(), err) })
			continue
		}
		fmt.Fprintf(t.s.Out, "  %s, %s\n", terminal.Plain(place.Called()), terminal.Several(int(place.Records), "row"))
		if err := rows.Grid(5, 28).Print(t.s.Out, "no rows"); err != nil {
			t.failed = append(t.failed, err)
		}
	}
}

func (t *tour) list(ctx context.Context) {
	sources, err := t.api.Sources(ctx, scope)
	if err == nil {
		err = client.SourceGrid(sources, time.Now()).Print(t.s.Out, "no sources")
	}
	if err != nil {
		t.step("list", func() (string, error) { return "", err })
	}
}

func (t *tour) sync(ctx context.Context) {
	t.step("sync", func() (string, error) {
		show := t.s
		if !show.Terminal {
			show.Err = show.Out // so that a tour written to a file is complete
		}
		p := progress.New(show)
		id, err := t.api.StartSync(ctx, scope, nil, nil)
		if err != nil {
			return "", err
		}
		op, syncs, err := progress.Follow(ctx, t.api.Conn, id, p)
		p.Close()
		if err != nil {
			return "", err
		}
		var rows, bytes int64
		tables := 0
		for _, sync := range syncs {
			rows, bytes, tables = rows+sync.Records, bytes+sync.Bytes, tables+len(sync.Tables)
		}
		return fmt.Sprintf("%s, %s in %s", terminal.Several(int(rows), "row"), terminal.Size(bytes), terminal.Several(tables, "table")), client.SyncError(op, syncs)
	})
}

func (t *tour) schemas(ctx context.Context) {
	sources, err := t.api.Sources(ctx, scope)
	if err != nil {
		t.step("schema", func() (string, error) { return "", err })
		return
	}
	g := terminal.NewGrid("SOURCE", "TABLE", "KIND", "KEY", "COLUMNS")
	for _, source := range sources {
		schema, err := rest.Fetch[rest.SchemaDoc](ctx, t.api.Conn, t.api.Path("schema"), map[string][]string{"scope": {scope}, "source_id": {source.ID}})
		if err != nil {
			t.step("schema", func() (string, error) { return "", fmt.Errorf("%s: %w", source.Name, err) })
			continue
		}
		for _, table := range schema.Tables {
			g.Add(source.Name, rest.FullName(table.Namespace, table.Name), table.Kind, strings.Join(table.PrimaryKey, ", "), columns(table, 40))
		}
	}
	if err := g.Print(t.s.Out, "no tables"); err != nil {
		t.failed = append(t.failed, err)
	}
}

// columns lists the columns with their types in about width characters.
func columns(table rest.TableDoc, width int) string {
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

// goOn prints commands to try next in another terminal.
func (t *tour) goOn(base, token string, cfg Server, temporary bool) {
	out := t.s.Out
	t.heading("Go on in another terminal")
	fmt.Fprintf(out, "  export HEADWATER_URL=%s HEADWATER_WORKSPACE=%s HEADWATER_TOKEN=%s\n", base, workspace, token)
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
