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

	"headwater/cmd/bench/report"
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
	*service
	wide string // a source with a schema of 9 KB
}

// reads returns the service whose sources are listed, started by the first
// work that asks.
func (b *bench) reads(ctx context.Context) (*reading, error) {
	if b.listed != nil {
		return b.listed, nil
	}
	files, err := b.folder("sources")
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
	s, err := b.start(ctx, files)
	if err != nil {
		return nil, err
	}
	var sources []object
	for i := range listSources {
		name := "narrow.csv"
		if i == 0 {
			name = "wide.csv"
		}
		sources = append(sources, object{
			"type": "csv", "name": fmt.Sprintf("source_%03d", i), "connection_config": object{"path": name},
			"metadata": object{"note": strings.Repeat("x", metadataPadding)},
		})
	}
	var data struct {
		Connected []struct{ ID string } `json:"connected_sources"`
	}
	if err := s.call(ctx, "POST", "connect", object{"sources": sources}, &data); err != nil {
		return nil, err
	}
	if len(data.Connected) != listSources {
		return nil, fmt.Errorf("%d of %d sources are connected", len(data.Connected), listSources)
	}
	b.listed = &reading{s, data.Connected[0].ID}
	return b.listed, nil
}

const dataPath = "/api/v1/data/bench/"

// look makes one GET and returns the whole answer.
func (s *service) look(ctx context.Context, path string) (constant, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", s.base+path, nil)
	if err != nil {
		return constant{}, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return constant{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: answer %d: %s", path, res.StatusCode, body)
	}
	return constant{res.StatusCode, http.Header{"Content-Type": res.Header["Content-Type"], "Content-Length": res.Header["Content-Length"], "Etag": res.Header["Etag"]}, body}, err
}

func (b *bench) list(ctx context.Context) ([]report.Row, error) {
	r, err := b.reads(ctx)
	if err != nil {
		return nil, err
	}
	return b.readBeside(ctx, r, fmt.Sprintf("list of %d sources", listSources), dataPath+"list", 0.5)
}

func (b *bench) schema(ctx context.Context) ([]report.Row, error) {
	r, err := b.reads(ctx)
	if err != nil {
		return nil, err
	}
	return b.readBeside(ctx, r, fmt.Sprintf("schema of %d columns", schemaColumns), dataPath+"schema?source_id="+r.wide, 0.6)
}

// readBeside measures a read beside a bare server that answers the same bytes.
func (b *bench) readBeside(ctx context.Context, r *reading, name, path string, least float64) ([]report.Row, error) {
	answer, err := r.look(ctx, path)
	if err != nil {
		return nil, err
	}
	bare, err := b.bare(ctx, answer)
	if err != nil {
		return nil, err
	}
	name = fmt.Sprintf("%s, %.1f KB, %d connections", name, float64(len(answer.Body))/1000, callers)
	n := b.rows(readRequests)
	bearer := []string{"Authorization", "Bearer " + r.token}
	ours, limit, err := b.pair(ctx, name, generating(get(r.base, path, 200, len(answer.Body), n, bearer...)),
		generating(get(bare, path, 200, len(answer.Body), n, bearer...)))
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
	path := dataPath + "list"
	answer, err := r.look(ctx, path)
	if err != nil {
		return nil, err
	}
	tag := answer.Header.Get("Etag")
	if tag == "" {
		return nil, errors.New("the list has no ETag")
	}
	bare, err := b.bare(ctx, constant{Status: http.StatusNotModified, Header: http.Header{"Etag": {tag}}})
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("list of %d sources with If-None-Match, unchanged, %d connections", listSources, callers)
	n := b.rows(noteRequests)
	headers := []string{"Authorization", "Bearer " + r.token, "If-None-Match", tag}
	ours, limit, err := b.pair(ctx, name, generating(get(r.base, path, 304, 0, n, headers...)), generating(get(bare, path, 304, 0, n, headers...)))
	if err != nil {
		return nil, err
	}
	return []report.Row{report.Pace(name, "bare net/http, 304", n, ours, limit, 0.6)}, nil
}
