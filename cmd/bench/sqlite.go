package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
	"headwater/cmd/bench/widetable"
)

// fillSQLite makes the wide table as a SQLite file in the cache.
func (b *bench) fillSQLite(ctx context.Context, shell string) (path string, want widetable.Sums, err error) {
	short, err := b.Tabbed()
	if err != nil {
		return "", widetable.Sums{}, err
	}
	path = filepath.Join(filepath.Dir(short.Path), "wide.db")
	if _, err := os.Stat(path); err == nil {
		return path, short.Sums, nil
	}
	long, err := b.Commas()
	if err != nil {
		return "", widetable.Sums{}, err
	}
	b.Say("loading wide into SQLite")
	var values []string
	for _, c := range widetable.Columns {
		value := "nullif(" + c.Name + ", '')"
		switch c.Kind {
		case widetable.YesNo:
			value = "case " + c.Name + " when 'true' then 1 when 'false' then 0 end"
		case widetable.Instant:
			value = "substr(" + c.Name + ", 1, 26)"
		}
		values = append(values, value)
	}
	making := path + ".making"
	_ = os.Remove(making)
	script := strings.Join([]string{
		".bail on", "pragma journal_mode=off;", "pragma synchronous=off;", ".mode csv",
		"attach '' as scratch;",
		".import --schema scratch '" + long.Path + "' raw",
		"create table wide (" + widetable.ColumnsOf(func(c widetable.Column) string { return c.Postgres }) + ");",
		fmt.Sprintf("insert into wide select %s from scratch.raw where cast(id as integer) <= %d;", strings.Join(values, ", "), short.Sums.Rows),
		"analyze;",
	}, "\n") + "\n"
	cmd := exec.CommandContext(ctx, shell, making)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", widetable.Sums{}, errors.Join(err, errors.New(string(out)))
	}
	return path, short.Sums, os.Rename(making, path)
}

func (b *bench) sqlite(ctx context.Context) ([]report.Row, error) {
	shell, err := exec.LookPath("sqlite3")
	if err != nil {
		return nil, err
	}
	version, _, _ := strings.Cut(rig.VersionOf(ctx, shell, "--version"), " ")
	b.Uses("SQLite " + version)
	path, want, err := b.fillSQLite(ctx, shell)
	if err != nil {
		return nil, err
	}
	s, err := b.Serve(ctx)
	if err != nil {
		return nil, err
	}
	inside, err := filepath.Rel(filepath.Join(b.Cache, "files"), path)
	if err != nil {
		return nil, err
	}
	source, err := s.Connect(ctx, "sqlite", "sqlite", rig.Object{"path": inside})
	if err != nil {
		return nil, err
	}
	rows := int(want.Rows)
	name := fmt.Sprintf("SQLite wide, %d x %d", rows, len(widetable.Columns))
	var last rig.Landed
	ours, limit, err := b.Pair(ctx, name,
		s.Syncing(source, rig.Object{"mode": "full_refresh", "tables": []string{"wide"}}, rows, &last),
		func(ctx context.Context) (time.Duration, error) {
			return rig.Drain(ctx, nil, shell, path, "select * from wide")
		})
	if err != nil {
		return nil, err
	}
	return []report.Row{report.Ratio(name, "sqlite3", rows, ours, limit, 1.30)}, b.Check(ctx, last, want)
}
