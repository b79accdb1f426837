package rig

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
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"headwater/connectors/drivertest/ports"
	"headwater/handlers/landing/buckettest"
)

// Service is the real program in a process of its own, with a data directory of
// its own, driven over REST.
type Service struct {
	Base  string // URL
	Token string
	// Parallelism says whether syncs take sync_options.Parallelism.
	Parallelism bool
	Workspace   string // of calls, "" for bench

	cmd   *exec.Cmd
	log   *bytes.Buffer // complete once the process has ended
	ended chan struct{}
}

// DataPath is below what calls of the workspace bench lie.
const DataPath = "/api/v1/data/bench/"

// Pid is that of the process.
func (s *Service) Pid() int { return s.cmd.Process.Pid }

// Start runs a fresh service whose file sources lie in files, and waits until it
// answers. The bench stops it at its end, the caller may do so before.
func (b *Rig) Start(ctx context.Context, files string) (*Service, error) {
	return b.StartAt(ctx, files, "")
}

// StartAt is Start with a lake elsewhere, "" for the data directory.
func (b *Rig) StartAt(ctx context.Context, files, lake string) (*Service, error) {
	dir, err := b.Folder("service")
	if err != nil {
		return nil, err
	}
	return b.StartIn(ctx, dir, files, lake)
}

// StartIn is StartAt in a folder whose data directory may hold something.
func (b *Rig) StartIn(ctx context.Context, dir, files, lake string) (*Service, error) {
	port, err := ports.Take()
	if err != nil {
		return nil, err
	}
	listen := ports.Address(port)
	s := &Service{Base: "http://" + listen, log: new(bytes.Buffer), ended: make(chan struct{})}
	s.cmd = exec.CommandContext(ctx, b.Program, "serve", "--data-dir", filepath.Join(dir, "data"), "--files-root", files, "--files-of", "bench",
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
	b.OnClose(s.Stop)
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
	out, err := exec.CommandContext(ctx, b.Program, "token", "--data-dir", filepath.Join(dir, "data"), "--org", "bench", "--user", "bench").Output()
	if err != nil {
		return nil, fmt.Errorf("make a token: %w", err)
	}
	s.Token = strings.TrimSpace(string(out))
	contract, err := http.Get(s.Base + "/openapi.yaml")
	if err != nil {
		return nil, err
	}
	defer contract.Body.Close()
	text, err := io.ReadAll(contract.Body)
	s.Parallelism = bytes.Contains(text, []byte("parallelism:"))
	return s, err
}

// Stop ends the service and waits for it. It is safe to call twice.
func (s *Service) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	<-s.ended
}

// Object is a JSON object of a call.
type Object = map[string]any

// Call makes one request and decodes the data of its answer. An answer that is
// not a success is an error with its message.
func (s *Service) Call(ctx context.Context, method, path string, body, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.Base+"/api/v1/data/"+cmp.Or(s.Workspace, "bench")+"/"+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
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

// Connect connects a source and returns its id.
func (s *Service) Connect(ctx context.Context, kind, name string, config Object) (string, error) {
	var data struct {
		Connected []struct{ ID string } `json:"connected_sources"`
	}
	err := s.Call(ctx, "POST", "connect", Object{"sources": []Object{{"type": kind, "name": name, "connection_config": config}}}, &data)
	if err != nil {
		return "", err
	}
	if len(data.Connected) != 1 {
		return "", fmt.Errorf("connect %s: no source", name)
	}
	return data.Connected[0].ID, nil
}

// Landed is where a sync left a table.
type Landed struct {
	Name       string `json:"name"`
	Records    int64  `json:"records_processed"`
	Location   string `json:"location"`
	SnapshotID int64  `json:"snapshot_id,string"`
}

// Sync syncs one source and returns its one table and how long the answer took.
func (s *Service) Sync(ctx context.Context, source string, options Object) (Landed, time.Duration, error) {
	tables, took, err := s.SyncTables(ctx, source, options)
	if err == nil && len(tables) != 1 {
		err = fmt.Errorf("%d tables were synced", len(tables))
	}
	if err != nil {
		return Landed{}, 0, err
	}
	return tables[0], took, nil
}

// SyncTables is Sync of a source of many tables.
func (s *Service) SyncTables(ctx context.Context, source string, options Object) ([]Landed, time.Duration, error) {
	var data struct {
		Syncs []struct {
			ID     string `json:"sync_id"`
			Status string
			Tables []Landed
		}
	}
	began := time.Now()
	err := s.Call(ctx, "POST", "sync", Object{"source_ids": []string{source}, "sync_options": options}, &data)
	took := time.Since(began)
	if err != nil {
		return nil, 0, err
	}
	if len(data.Syncs) != 1 || data.Syncs[0].Status != "completed" {
		return nil, 0, fmt.Errorf("the sync ended as %+v", data.Syncs)
	}
	return data.Syncs[0].Tables, took, nil
}

// Syncing is the side that syncs a source and expects so many records.
func (s *Service) Syncing(source string, options Object, records int, into *Landed) Side {
	return func(ctx context.Context) (time.Duration, error) {
		l, took, err := s.Sync(ctx, source, options)
		if err == nil && l.Records != int64(records) {
			err = fmt.Errorf("%d records landed, the source has %d", l.Records, records)
		}
		if into != nil {
			*into = l
		}
		return took, err
	}
}

// Verify compares one table with its source, which must be equal and have so many rows.
// It returns how long the answer took.
func (s *Service) Verify(ctx context.Context, source, table string, rows int64) (time.Duration, error) {
	var data struct {
		Sources []struct {
			Tables []struct {
				Status     string
				Message    string
				LandedRows int64 `json:"landed_rows"`
				SourceRows int64 `json:"source_rows"`
			}
		} `json:"verified_sources"`
	}
	began := time.Now()
	err := s.Call(ctx, "POST", "verify", Object{"source_ids": []string{source}, "tables": []string{table}}, &data)
	if err != nil {
		return 0, err
	}
	if len(data.Sources) != 1 || len(data.Sources[0].Tables) != 1 {
		return 0, fmt.Errorf("the verification ended as %+v", data.Sources)
	}
	if t := data.Sources[0].Tables[0]; t.Status != "equal" || t.LandedRows != rows || t.SourceRows != rows {
		return 0, fmt.Errorf("the verification found %+v", t)
	}
	return time.Since(began), nil
}

// environmentOf returns what a service with such a lake is started with.
func environmentOf(lake, dir string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}
	if lake != "" {
		env = append(env, buckettest.Environment()...)
	}
	return env
}
