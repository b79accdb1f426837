package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"headwater/connectors/drivertest/ports"
)

// service is the real program in a process of its own, with a data directory of
// its own, driven over REST.
type service struct {
	cmd   *exec.Cmd
	dir   string
	base  string
	token string
	log   *bytes.Buffer // complete once the process has ended
	ended chan struct{}
	// parallelism says whether syncs take sync_options.parallelism.
	parallelism bool
	workspace   string // of calls, "" for bench
}

// start runs a fresh service whose file sources lie in files, and waits until it
// answers. The bench stops it at its end, the caller may do so before.
func (b *bench) start(ctx context.Context, files string) (*service, error) {
	return b.startAt(ctx, files, "")
}

// startAt is start with a lake elsewhere, "" for the data directory.
func (b *bench) startAt(ctx context.Context, files, lake string) (*service, error) {
	dir, err := b.folder("service")
	if err != nil {
		return nil, err
	}
	return b.startIn(ctx, dir, files, lake)
}

// startIn is startAt in a folder whose data directory may hold something.
func (b *bench) startIn(ctx context.Context, dir, files, lake string) (*service, error) {
	port, err := ports.Take()
	if err != nil {
		return nil, err
	}
	listen := ports.Address(port)
	s := &service{dir: dir, base: "http://" + listen, log: new(bytes.Buffer), ended: make(chan struct{})}
	s.cmd = exec.CommandContext(ctx, b.program, "serve", "--data-dir", filepath.Join(dir, "data"), "--files-root", files, "--files-of", "bench",
		"--listen", listen, "--nats-listen", "off", "--metrics-listen", "off", "--wait", "10m")
	if lake != "" {
		s.cmd.Args = append(s.cmd.Args, "--lake", lake)
	}
	s.cmd.Env = environmentOf(lake, dir)
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.WaitDelay = 40 * time.Second
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	b.onClose(s.stop)
	serves := make(chan struct{})
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(io.TeeReader(stderr, s.log))
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "headwater serves at") {
				close(serves)
			}
		}
		_ = s.cmd.Wait()
	}()
	select {
	case <-serves:
	case <-s.ended:
		return nil, fmt.Errorf("the service did not start: %s", s.log)
	case <-time.After(time.Minute):
		return nil, errors.New("the service did not start within a minute")
	}
	out, err := exec.CommandContext(ctx, b.program, "token", "--data-dir", filepath.Join(dir, "data"), "--org", "bench", "--user", "bench").Output()
	if err != nil {
		return nil, fmt.Errorf("make a token: %w", err)
	}
	s.token = strings.TrimSpace(string(out))
	contract, err := http.Get(s.base + "/openapi.yaml")
	if err != nil {
		return nil, err
	}
	defer contract.Body.Close()
	text, err := io.ReadAll(contract.Body)
	s.parallelism = bytes.Contains(text, []byte("parallelism:"))
	return s, err
}

// stop ends the service and waits for it. It is safe to call twice.
func (s *service) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	<-s.ended
}

type object = map[string]any

// call makes one request and decodes the data of its answer. An answer that is
// not a success is an error with its message.
func (s *service) call(ctx context.Context, method, path string, body, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base+"/api/v1/data/"+cmp.Or(s.workspace, "bench")+"/"+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer struct {
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
		Error   json.RawMessage `json:"error"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: answer %d: %w", path, res.StatusCode, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: answer %d: %s %s", path, res.StatusCode, answer.Message, answer.Error)
	}
	return json.Unmarshal(answer.Data, into)
}

// connect connects a source and returns its id.
func (s *service) connect(ctx context.Context, kind, name string, config object) (string, error) {
	var data struct {
		Connected []struct{ ID string } `json:"connected_sources"`
	}
	err := s.call(ctx, "POST", "connect", object{"sources": []object{{"type": kind, "name": name, "connection_config": config}}}, &data)
	if err != nil {
		return "", err
	}
	if len(data.Connected) != 1 {
		return "", fmt.Errorf("connect %s: no source", name)
	}
	return data.Connected[0].ID, nil
}

// landed is where a sync left a table.
type landed struct {
	Name       string `json:"name"`
	Records    int64  `json:"records_processed"`
	Location   string `json:"location"`
	SnapshotID int64  `json:"snapshot_id,string"`
}

// sync syncs one source and returns its one table and how long the answer took.
func (s *service) sync(ctx context.Context, source string, options object) (landed, time.Duration, error) {
	tables, took, err := s.syncTables(ctx, source, options)
	if err == nil && len(tables) != 1 {
		err = fmt.Errorf("%d tables were synced", len(tables))
	}
	if err != nil {
		return landed{}, 0, err
	}
	return tables[0], took, nil
}

// syncTables is sync of a source of many tables.
func (s *service) syncTables(ctx context.Context, source string, options object) ([]landed, time.Duration, error) {
	var data struct {
		Syncs []struct {
			ID     string `json:"sync_id"`
			Status string
			Tables []landed
		}
	}
	began := time.Now()
	err := s.call(ctx, "POST", "sync", object{"source_ids": []string{source}, "sync_options": options}, &data)
	took := time.Since(began)
	if err != nil {
		return nil, 0, err
	}
	if len(data.Syncs) != 1 || data.Syncs[0].Status != "completed" {
		return nil, 0, fmt.Errorf("the sync ended as %+v", data.Syncs)
	}
	return data.Syncs[0].Tables, took, nil
}

// syncing is the side that syncs a source and expects so many records.
func (s *service) syncing(source string, options object, records int, into *landed) side {
	return func(ctx context.Context) (time.Duration, error) {
		l, took, err := s.sync(ctx, source, options)
		if err == nil && l.Records != int64(records) {
			err = fmt.Errorf("%d records landed, the source has %d", l.Records, records)
		}
		if into != nil {
			*into = l
		}
		return took, err
	}
}
