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
)

// fillSQLite makes the wide table as a SQLite file in the cache.
func (b *bench) fillSQLite(ctx context.Context, shell string) (path string, want sums, err error) {
	short, err := b.tabbed()
	if err != nil {
		return "", sums{}, err
	}
	path = filepath.Join(filepath.Dir(short.Path), "wide.db")
	if _, err := os.Stat(path); err == nil {
		return path, short.Sums, nil
	}
	long, err := b.commas()
	if err != nil {
		return "", sums{}, err
	}
	b.say("loading wide into SQLite")
	var values []string
	for _, c := range wide {
		value := "nullif(" + c.name + ", '')"
		switch c.kind {
		case yesNo:
			value = "case " + c.name + " when 'true' then 1 when 'false' then 0 end"
		case instant:
			value = "substr(" + c.name + ", 1, 26)"
		}
		values = append(values, value)
	}
	making := path + ".making"
	_ = os.Remove(making)
	script := strings.Join([]string{
		".bail on", "pragma journal_mode=off;", "pragma synchronous=off;", ".mode csv",
		"attach '' as scratch;",
		".import --schema scratch '" + long.Path + "' raw",
		"create table wide (" + columnsOf(func(c column) string { return c.pg }) + ");",
		fmt.Sprintf("insert into wide select %s from scratch.raw where cast(id as integer) <= %d;", strings.Join(values, ", "), short.Sums.Rows),
		"analyze;",
	}, "\n") + "\n"
	cmd := exec.CommandContext(ctx, shell, making)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", sums{}, errors.Join(err, errors.New(string(out)))
	}
	return path, short.Sums, os.Rename(making, path)
}

func (b *bench) sqlite(ctx context.Context) ([]result, error) {
	shell, err := exec.LookPath("sqlite3")
	if err != nil {
		return nil, err
	}
	version, _, _ := strings.Cut(versionOf(ctx, shell, "--version"), " ")
	b.uses("SQLite " + version)
	path, want, err := b.fillSQLite(ctx, shell)
	if err != nil {
		return nil, err
	}
	s, err := b.serve(ctx)
	if err != nil {
		return nil, err
	}
	inside, err := filepath.Rel(filepath.Join(b.cache, "files"), path)
	if err != nil {
		return nil, err
	}
	source, err := s.connect(ctx, "sqlite", "sqlite", object{"path": inside})
	if err != nil {
		return nil, err
	}
	rows := int(want.Rows)
	name := fmt.Sprintf("SQLite wide, %d x %d", rows, len(wide))
	var last landed
	ours, limit, err := b.pair(ctx, name,
		s.syncing(source, object{"mode": "full_refresh", "tables": []string{"wide"}}, rows, &last),
		func(ctx context.Context) (time.Duration, error) {
			return drain(ctx, nil, shell, path, "select * from wide")
		})
	if err != nil {
		return nil, err
	}
	return []result{ratio(name, "sqlite3", rows, ours, limit, 1.30)}, b.check(ctx, last, want)
}
