package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
)

// duckdbScript runs a statement on two threads and prints the seconds it took.
const duckdbScript = `
const { DuckDBInstance } = require(process.argv[2]);
(async () => {
  const db = await DuckDBInstance.create(':memory:', { threads: '2' });
  const c = await db.connect();
  const began = process.hrtime.bigint();
  await c.run(process.argv[3]);
  const took = Number(process.hrtime.bigint() - began) / 1e9;
  const version = (await c.runAndReadAll('select version()')).getRows()[0][0];
  console.log(JSON.stringify({ took, version }));
})().catch((e) => { console.error(e.message); process.exit(1); });
`

// csv compares with DuckDB converting the same file into Parquet, types sniffed
// by both.
func (b *bench) csv(ctx context.Context) ([]report.Row, error) {
	module := filepath.Join(b.Cache, "npm", "node_modules", "@duckdb", "node-api")
	if _, err := os.Stat(module); err != nil {
		return nil, fmt.Errorf("DuckDB is not installed, run .ci/bench-deps %s: %w", b.Cache, err)
	}
	file, err := b.Commas()
	if err != nil {
		return nil, err
	}
	dir, err := b.Folder("csv")
	if err != nil {
		return nil, err
	}
	script := filepath.Join(dir, "copy.cjs")
	if err := os.WriteFile(script, []byte(duckdbScript), 0o644); err != nil {
		return nil, err
	}
	limit := func(ctx context.Context) (time.Duration, error) {
		out := filepath.Join(dir, "out.parquet")
		defer os.Remove(out)
		cmd := exec.CommandContext(ctx, "node", script, module, fmt.Sprintf("COPY (FROM '%s') TO '%s'", file.Path, out))
		var said bytes.Buffer
		cmd.Stderr = &said
		text, err := cmd.Output()
		if err != nil {
			return 0, errors.Join(err, errors.New(said.String()))
		}
		var answer struct {
			Took    float64
			Version string
		}
		if err := json.Unmarshal(text, &answer); err != nil {
			return 0, err
		}
		b.Uses("DuckDB " + answer.Version)
		return time.Duration(answer.Took * float64(time.Second)), nil
	}
	s, err := b.Serve(ctx)
	if err != nil {
		return nil, err
	}
	inside, err := filepath.Rel(filepath.Join(b.Cache, "files"), file.Path)
	if err != nil {
		return nil, err
	}
	source, err := s.Connect(ctx, "csv", "csv", rig.Object{"path": inside})
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(file.Path)
	if err != nil {
		return nil, err
	}
	rows := int(file.Sums.Rows)
	name := fmt.Sprintf("CSV, %d MB, %d rows", info.Size()/1_000_000, rows)
	var last rig.Landed
	ours, lim, err := b.Pair(ctx, name, s.Syncing(source, rig.Object{"mode": "full_refresh"}, rows, &last), limit)
	if err != nil {
		return nil, err
	}
	r := report.Ratio(name, "DuckDB COPY, 2 threads", rows, ours, lim, 1.00)
	r.Rate += fmt.Sprintf(", %.0f MB/s", float64(info.Size())/1e6/ours.Seconds())
	return []report.Row{r}, b.Check(ctx, last, file.Sums)
}
