// Package demo is the tour. It uses the service through its client; the function
// that starts the service is passed in.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"headwater/cmd/headwater/client"
	"headwater/cmd/headwater/client/address"
	"headwater/cmd/headwater/terminal"
)

// Cmd starts everything in one process and demonstrates it on the data that
// ships with the program.
type Cmd struct {
	Once     bool   `help:"Exit after the tour: 0 when every step worked, else 1."`
	Postgres string `placeholder:"URL" help:"Also connect this database: postgres://user:password@host:port/database."`
	Listen   string `help:"Address of the REST API (default 127.0.0.1:8080, or a free port when that is taken)."`
	DataDir  string `help:"Where to keep everything; without it a temporary folder that is removed at exit."`
}

// Server is how the demo wants the service to run.
type Server struct {
	Listen       string // host:port of the REST API
	DataDir      string
	FilesRoot    string // holds the sample files
	Organization string // of the token
	User         string
}

// Starter starts the service. It returns the URL of its API, an editor's token,
// and a function that stops it, which may be called once, even after ctx is
// done.
type Starter func(ctx context.Context, cfg Server) (baseURL, token string, stop func(context.Context) error, err error)

// Run shows the tour, then serves until ctx is done. Its error names every step
// that failed.
func (d *Cmd) Run(ctx context.Context, s terminal.Streams, start Starter) (err error) {
	samples := []client.SourceSpec{
		{Type: "file", Name: "airports", Config: map[string]any{"path": "airports.csv"},
			Metadata: map[string]any{"description": "Airports of the United States, a CSV file"}},
		{Type: "database", Name: "timezones", Config: map[string]any{"path": "timezones.db"},
			Metadata: map[string]any{"description": "The tz database's zones and countries, a SQLite file"}},
	}
	if d.Postgres != "" {
		config, err := postgresConfig(d.Postgres)
		if err != nil {
			return fmt.Errorf("--postgres: %w", err)
		}
		samples = append(samples, client.SourceSpec{Type: "database", Name: "postgres", Config: config,
			Metadata: map[string]any{"description": "The PostgreSQL database given with --postgres"}})
	}
	cfg := Server{Listen: d.Listen, DataDir: d.DataDir, Organization: "demo", User: "you"}
	if cfg.DataDir == "" {
		dir, err := os.MkdirTemp("", "headwater-demo-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		cfg.DataDir = dir
	}
	cfg.FilesRoot = filepath.Join(cfg.DataDir, "files")
	if cfg.Listen == "" {
		cfg.Listen = freeAddress("127.0.0.1:8080")
	}

	t := newTour(s)
	t.heading("Headwater on real public-domain data, all in this process")
	t.step("sample files", func() (string, error) {
		written, err := WriteFiles(cfg.FilesRoot)
		return fmt.Sprintf("%s (%s)", strings.Join(files, ", "), terminal.Size(written)), err
	})
	var sample *runningAPI
	t.step("sample API", func() (_ string, err error) {
		if sample, err = startAPI(); err != nil {
			return "", err
		}
		return fmt.Sprintf("%s, %s records in %d pages, behind an API key", sample.url, terminal.Count(int64(len(sample.records))), sample.pages()), nil
	})
	if err := t.err(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ending(ctx, sample.stop)) }()
	samples = append(samples, client.SourceSpec{Type: "api", Name: "earthquakes",
		Config:   map[string]any{"base_url": sample.url, "api_key": sample.key},
		Metadata: map[string]any{"description": "One week of earthquakes, a paginated JSON API"}})

	var base, token string
	var stop func(context.Context) error
	t.step("Headwater", func() (_ string, err error) {
		base, token, stop, err = start(ctx, cfg)
		return base, err
	})
	if err := t.err(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ending(ctx, stop)) }()

	api, err := client.NewClient(base, token, workspace)
	if err != nil {
		return err
	}
	t.api = api
	t.run(ctx, samples)
	if ctx.Err() != nil {
		return errors.New("interrupted before the tour was over")
	}
	if d.Once {
		return t.err()
	}
	t.goOn(base, token, cfg, d.DataDir == "")
	<-ctx.Done()
	fmt.Fprintln(s.Out, "\nstopping")
	return t.err()
}

// ending runs stop with 30 s of its own, since ctx is done after Ctrl-C.
func ending(ctx context.Context, stop func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return stop(ctx)
}

// freeAddress returns the wanted address if it is free, else the same host with
// port 0.
func freeAddress(wanted string) string {
	listener, err := net.Listen("tcp", wanted)
	if err != nil {
		host, _, _ := net.SplitHostPort(wanted)
		return net.JoinHostPort(host, "0")
	}
	listener.Close()
	return wanted
}

// postgresConfig returns the connection_config of a PostgreSQL URL. Errors never
// quote the URL, which holds a password.
func postgresConfig(text string) (map[string]any, error) {
	kind, config, leftOut, err := address.Parse(text)
	switch {
	case err != nil || kind != "postgresql" || config["host"] == nil:
		return nil, errors.New("want postgres://user:password@host:port/database")
	case config["database"] == nil:
		return nil, errors.New("the URL names no database: want postgres://user:password@host:port/database")
	case leftOut != nil:
		return nil, fmt.Errorf("cannot read %q in the URL", leftOut[0])
	}
	return config, nil
}

// section writes a heading.
func section(w io.Writer, text string) { fmt.Fprintf(w, "\n%s\n", text) }
