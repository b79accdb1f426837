package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"headwater/cmd/bench/load"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
)

const (
	readRequests    = 30_000
	noteRequests    = 60_000 // of a 304, which is quicker
	listSources     = 100
	schemaColumns   = 120
	metadataPadding = 20 // bytes, for documents of the size of real ones
)

// reading is a service with sources to list, shared by the works that read.
type reading struct {
	*rig.Service
	wide string // a source with a schema of 9 KB
}

// reads returns the service whose sources are listed, started by the first
// work that asks.
func (b *bench) reads(ctx context.Context) (*reading, error) {
	if b.listed != nil {
		return b.listed, nil
	}
	files, err := b.Folder("sources")
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range schemaColumns {
		names = append(names, fmt.Sprintf("column_%03d", i))
	}
	for name, text := range map[string]string{"narrow.csv": "id,name\n1,one\n", "wide.csv": strings.Join(names, ",") + "\n" + strings.Repeat("1,", schemaColumns-1) + "1\n"} {
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	s, err := b.Start(ctx, files)
	if err != nil {
		return nil, err
	}
	var sources []rig.Object
	for i := range listSources {
		name := "narrow.csv"
		if i == 0 {
			name = "wide.csv"
		}
		sources = append(sources, rig.Object{
			"type": "csv", "name": fmt.Sprintf("source_%03d", i), "connection_config": rig.Object{"path": name},
			"metadata": rig.Object{"note": strings.Repeat("x", metadataPadding)},
		})
	}
	var data struct {
		Connected []struct{ ID string } `json:"connected_sources"`
	}
	if err := s.Call(ctx, "POST", "connect", rig.Object{"sources": sources}, &data); err != nil {
		return nil, err
	}
	if len(data.Connected) != listSources {
		return nil, fmt.Errorf("%d of %d sources are connected", len(data.Connected), listSources)
	}
	b.listed = &reading{s, data.Connected[0].ID}
	return b.listed, nil
}

// look makes one GET and returns the whole answer.
func look(ctx context.Context, s *rig.Service, path string) (load.Constant, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", s.Base+path, nil)
	if err != nil {
		return load.Constant{}, err
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	req.Header.Set("Accept-Encoding", "identity") // as the load asks, or the answer has no length here
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return load.Constant{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: answer %d: %s", path, res.StatusCode, body)
	}
	return load.Constant{Status: res.StatusCode, Header: http.Header{"Content-Type": res.Header["Content-Type"], "Content-Length": res.Header["Content-Length"], "Etag": res.Header["Etag"]}, Body: body}, err
}

func (b *bench) list(ctx context.Context) ([]report.Row, error) {
	r, err := b.reads(ctx)
	if err != nil {
		return nil, err
	}
	return b.readBeside(ctx, r, fmt.Sprintf("list of %d sources", listSources), rig.DataPath+"list", 0.5)
}

func (b *bench) schema(ctx context.Context) ([]report.Row, error) {
	r, err := b.reads(ctx)
	if err != nil {
		return nil, err
	}
	return b.readBeside(ctx, r, fmt.Sprintf("schema of %d columns", schemaColumns), rig.DataPath+"schema?source_id="+r.wide, 0.6)
}

// bare starts a server that answers the same bytes to every request, until the run ends.
func (b *bench) bare(ctx context.Context, c load.Constant) (string, error) {
	base, stop, err := load.Bare(ctx, c)
	if err == nil {
		b.OnClose(stop)
	}
	return base, err
}

// readBeside measures a read beside a bare server that answers the same bytes.
func (b *bench) readBeside(ctx context.Context, r *reading, name, path string, least float64) ([]report.Row, error) {
	answer, err := look(ctx, r.Service, path)
	if err != nil {
		return nil, err
	}
	bare, err := b.bare(ctx, answer)
	if err != nil {
		return nil, err
	}
	name = fmt.Sprintf("%s, %.1f KB, %d connections", name, float64(len(answer.Body))/1000, load.Callers)
	n := b.Rows(readRequests)
	bearer := []string{"Authorization", "Bearer " + r.Token}
	ours, limit, err := b.Pair(ctx, name, load.Get(r.Base, path, 200, len(answer.Body), n, bearer...).Apart,
		load.Get(bare, path, 200, len(answer.Body), n, bearer...).Apart)
	if err != nil {
		return nil, err
	}
	return []report.Row{report.Pace(name, "bare net/http, the same bytes", n, ours, limit, least)}, nil
}

// unchanged measures lists that the client has already.
func (b *bench) unchanged(ctx context.Context) ([]report.Row, error) {
	r, err := b.reads(ctx)
	if err != nil {
		return nil, err
	}
	path := rig.DataPath + "list"
	answer, err := look(ctx, r.Service, path)
	if err != nil {
		return nil, err
	}
	tag := answer.Header.Get("Etag")
	if tag == "" {
		return nil, errors.New("the list has no ETag")
	}
	bare, err := b.bare(ctx, load.Constant{Status: http.StatusNotModified, Header: http.Header{"Etag": {tag}}})
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("list of %d sources with If-None-Match, unchanged, %d connections", listSources, load.Callers)
	n := b.Rows(noteRequests)
	headers := []string{"Authorization", "Bearer " + r.Token, "If-None-Match", tag}
	ours, limit, err := b.Pair(ctx, name, load.Get(r.Base, path, 304, 0, n, headers...).Apart, load.Get(bare, path, 304, 0, n, headers...).Apart)
	if err != nil {
		return nil, err
	}
	return []report.Row{report.Pace(name, "bare net/http, 304", n, ours, limit, 0.6)}, nil
}
