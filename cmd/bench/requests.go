package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
	"headwater/handlers/landing/buckettest"
)

const (
	requestRows    = 10
	requestAppends = 120
	farTables      = 20
	farLatency     = 200 * time.Millisecond
)

// store is a service whose lake is a bucket, behind a proxy that counts.
type store struct {
	*rig.Service
	proxy  *buckettest.Proxy
	bucket string // the folder that the server keeps it in
	shell  string
	path   string // of the SQLite file that it syncs
	source string
	rows   int // of its table
}

// stored starts a service whose lake is a bucket, or a folder, beside a SQLite
// file that its sources may read.
func (b *bench) stored(ctx context.Context, inBucket bool, schema string) (*store, error) {
	shell, err := exec.LookPath("sqlite3")
	if err != nil {
		return nil, err
	}
	dir, err := b.Folder("bucket")
	if err != nil {
		return nil, err
	}
	server, stop, err := buckettest.Serve(dir, "bench")
	if err != nil {
		return nil, err
	}
	b.OnClose(stop)
	proxy, end, err := buckettest.Before(server)
	if err != nil {
		return nil, err
	}
	b.OnClose(end)
	files, err := b.Folder("sources")
	if err != nil {
		return nil, err
	}
	s := &store{proxy: proxy, bucket: filepath.Join(dir, "bench"), shell: shell, path: filepath.Join(files, "t.db")}
	if err := s.exec(ctx, schema); err != nil {
		return nil, err
	}
	lake := ""
	if inBucket {
		lake = "s3://bench/lake?region=us-east-1&endpoint=" + proxy.URL
	}
	s.Service, err = b.StartAt(ctx, files, lake)
	return s, err
}

func (s *store) exec(ctx context.Context, script string) error {
	cmd := exec.CommandContext(ctx, s.shell, s.path)
	cmd.Stdin = strings.NewReader(".bail on\n" + script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	return nil
}

// add puts more rows into the table.
func (s *store) add(ctx context.Context) error {
	s.rows += requestRows
	return s.exec(ctx, fmt.Sprintf("insert into t(id, at) select value, value from generate_series(%d, %d);", s.rows-requestRows+1, s.rows))
}

// change makes so many rows that there are newer.
func (s *store) change(ctx context.Context) error {
	s.rows += requestRows
	return s.exec(ctx, fmt.Sprintf("update t set at = %d + id where id <= %d;", s.rows-requestRows, requestRows))
}

// requests measures what a sync asks of a bucket, beside the least that does.
func (b *bench) requests(ctx context.Context) ([]report.Row, error) {
	s, err := b.stored(ctx, true, "create table t(id integer primary key, at integer not null);")
	if err != nil {
		return nil, err
	}
	if s.source, err = s.Connect(ctx, "sqlite", "few", rig.Object{"path": "t.db"}); err != nil {
		return nil, err
	}
	full := rig.Object{"mode": "full_refresh", "tables": []string{"t"}}
	some := rig.Object{"mode": "incremental", "tables": []string{"t"}, "cursor_columns": rig.Object{"t": "at"}}
	merge := rig.Object{"mode": "incremental", "merge": true, "tables": []string{"t"}, "cursor_columns": rig.Object{"t": "at"}}
	nothing := func(context.Context) error { return nil }
	var rows []report.Row
	for _, kind := range []struct {
		name        string
		options     rig.Object
		prepare     func(context.Context) error
		before      int // appends that are not counted
		least, most int
		why         string
	}{
		{"first full refresh, 10 rows", full, s.add, 0, 4, 5, "data, manifest, list, metadata"},
		{"full refresh again", full, nothing, 0, 4, 7, "the same: what is there is known"},
		{"incremental, nothing new", some, nothing, 1, 2, 2, "list, metadata: that the sync came to its end"},
		{"append of 10 rows", some, s.add, 0, 4, 4, "data, manifest, list, metadata"},
		{"merge of 10 rows", merge, s.change, 0, 6, 10, "data, deletes, a manifest each, list, metadata"},
		{fmt.Sprintf("merge of 10 rows after %d appends", requestAppends), merge, s.change, requestAppends, 6, 10, "the same"},
		{fmt.Sprintf("full refresh after %d appends", requestAppends+2), full, nothing, 0, 4, 7, "the same as ever"},
	} {
		for range kind.before {
			if err := s.add(ctx); err != nil {
				return rows, err
			}
			if _, _, err := s.Sync(ctx, s.source, some); err != nil {
				return rows, err
			}
		}
		if err := kind.prepare(ctx); err != nil {
			return rows, err
		}
		s.proxy.Requests()
		if _, _, err := s.Sync(ctx, s.source, kind.options); err != nil {
			return rows, err
		}
		n, by := s.proxy.Requests()
		b.Say("%s: %d requests %v", kind.name, n, by)
		rows = append(rows, asked(kind.name, kind.why, n, kind.least, kind.most))
	}
	purged, err := s.purge(ctx, b)
	if err != nil {
		return rows, err
	}
	far, err := b.far(ctx)
	return append(rows, purged, far), err
}

func asked(work, why string, ours, least, most int) report.Row {
	return report.Row{Work: work, Ours: fmt.Sprint(ours), Limit: fmt.Sprint(least), Beside: why,
		Ratio: fmt.Sprintf("%.1f", float64(ours)/float64(least)), Target: fmt.Sprintf("at most %d", most), OK: ours <= most}
}

// purge removes the source and its files.
func (s *store) purge(ctx context.Context, b *bench) (report.Row, error) {
	found, err := s.files()
	if err != nil {
		return report.Row{}, err
	}
	s.proxy.Requests()
	var answer any
	if err := s.Call(ctx, "POST", "cleanup", rig.Object{"source_ids": []string{s.source}, "purge": true}, &answer); err != nil {
		return report.Row{}, err
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		left, err := s.files()
		if err != nil {
			return report.Row{}, err
		}
		if left == 0 {
			break
		}
		if time.Now().After(end) {
			return report.Row{}, fmt.Errorf("%d of %d files are still there a minute after the purge: %v", left, found, answer)
		}
	}
	time.Sleep(time.Second) // it lists once more
	n, by := s.proxy.Requests()
	b.Say("purge: %d requests %v", n, by)
	return asked(fmt.Sprintf("purge of %d files", found), "a listing, a removal", n, 2, 8), nil
}

// files counts the files of tables in the bucket.
func (s *store) files() (n int, err error) {
	err = filepath.WalkDir(s.bucket, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() && filepath.Base(path) != "headwater-lake.json" {
			n++
		}
		return err
	})
	return n, err
}

// far measures a full refresh of many small tables in a bucket that is far away.
func (b *bench) far(ctx context.Context) (report.Row, error) {
	const most = 12 * time.Second
	var script strings.Builder
	for i := range farTables {
		fmt.Fprintf(&script, "create table t%02d(id integer primary key, v text); insert into t%02d select value, 'v' || value from generate_series(1, %d);\n", i, i, requestRows)
	}
	s, err := b.stored(ctx, true, script.String())
	if err != nil {
		return report.Row{}, err
	}
	if s.source, err = s.Connect(ctx, "sqlite", "many", rig.Object{"path": "t.db"}); err != nil {
		return report.Row{}, err
	}
	options := rig.Object{"mode": "full_refresh"}
	if err := s.all(ctx, options); err != nil {
		return report.Row{}, err
	}
	s.proxy.Set(buckettest.Fault{Kind: "slow", Delay: farLatency})
	s.proxy.Requests()
	began := time.Now()
	if err := s.all(ctx, options); err != nil {
		return report.Row{}, err
	}
	took := time.Since(began)
	n, by := s.proxy.Requests()
	b.Say("%d tables: %d requests %v, %.1f s", farTables, n, by, took.Seconds())
	// Two tables are read at a time; of each, data, manifest and list, and metadata
	// follow one another.
	least := farTables / 2 * 3 * farLatency
	r := report.Row{Work: fmt.Sprintf("full refresh of %d tables of 10 rows at %v a request", farTables, farLatency), Ours: report.Seconds(took), Limit: report.Seconds(least), Beside: "three requests after one another, two tables at a time",
		Ratio: fmt.Sprintf("%.2f", took.Seconds()/least.Seconds()), Target: "at most " + report.Seconds(most), OK: took <= most}
	return r, nil
}

// all syncs every table of the source.
func (s *store) all(ctx context.Context, options rig.Object) error {
	var data struct {
		Syncs []struct{ Status string }
	}
	err := s.Call(ctx, "POST", "sync", rig.Object{"source_ids": []string{s.source}, "sync_options": options}, &data)
	if err == nil && (len(data.Syncs) != 1 || data.Syncs[0].Status != "completed") {
		err = fmt.Errorf("the sync ended as %+v", data.Syncs)
	}
	return err
}
