package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/bus/bustest"
	"headwater/cmd/headwater/collector"
)

// mainVariable makes the test binary be the program: tests that kill it need a
// process of its own.
const mainVariable = "HEADWATER_TEST_MAIN"

// raceSettings are for every process that these tests start: a race ends it, so that
// whoever waits for it fails, and it does not sleep a second before it ends.
const raceSettings = "GORACE=halt_on_error=1 atexit_sleep_ms=0"

// programEnv is the environment of a process that is to be the program.
func programEnv(more ...string) []string {
	return append([]string{mainVariable + "=1", raceSettings, "PATH=" + os.Getenv("PATH")}, more...)
}

func TestMain(m *testing.M) {
	bustest.Main()
	if told := os.Getenv(floodVariable); told != "" {
		runFlood(told)
		return
	}
	isProgram := os.Getenv(mainVariable) != "" || len(os.Args) > 1 && os.Args[1] == connectorCommand
	if !isProgram || len(os.Args) > 1 && os.Args[1] == "serve" {
		bustest.CheckEvents() // nobody else publishes any
	}
	if isProgram {
		_ = os.Unsetenv(mainVariable)
		main()
		return
	}
	name, value, _ := strings.Cut(raceSettings, "=")
	_ = os.Setenv(name, value) // children of nodes in this process have it from here
	collector.Begin(1)
	os.Exit(m.Run())
}

// testNode is a whole service in this process, on free ports and a data
// directory of its own.
type testNode struct {
	*node
	cfg  Config
	logs *lockedBuffer
}

// lockedBuffer collects what a running service logs.
type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.all.Bytes())
}

func testConfig(t *testing.T) Config {
	t.Helper()
	return Config{
		Listen: "127.0.0.1:0", DataDir: filepath.Join(t.TempDir(), "data"), NATSListen: "off", EgressAllow: "auto",
		Roles: []string{roleAPI, roleWorker}, MetricsListen: "off", Wait: 60 * time.Second, FilesOf: "acme",
	}
}

func startTestNode(t *testing.T, cfg Config) *testNode {
	t.Helper()
	logs := new(lockedBuffer)
	n, err := startNode(t.Context(), cfg, slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), drainLimit+busy)
		defer cancel()
		if err := n.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &testNode{node: n, cfg: cfg, logs: logs}
}

// as returns a client of one user.
func (n *testNode) as(t *testing.T, org, user, role string) *caller {
	t.Helper()
	token, err := n.issue(auth.Claims{Organization: org, Username: user, Role: role}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &caller{t: t, base: n.URL + "/api/v1", token: token}
}

// caller makes API calls and fails the test on anything that is not an
// envelope.
type caller struct {
	t     *testing.T
	base  string
	token string
}

// answer is the envelope with its status code.
type answer struct {
	Code    int
	Header  http.Header
	Body    []byte
	Status  string          `json:"status"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
	Error   *struct {
		Code    string `json:"code"`
		Details []struct {
			Field   string `json:"field"`
			Message string `json:"message"`
		} `json:"details"`
	} `json:"error"`
}

// decode reads the envelope in the answer's body.
func (a *answer) decode() error {
	if err := json.Unmarshal(a.Body, a); err != nil {
		return fmt.Errorf("the answer is no envelope: %w", err)
	}
	return nil
}

// into decodes the answer's data.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.Data, v); err != nil {
		t.Fatalf("data of %d answer %s: %v", a.Code, a.Body, err)
	}
}

func (c *caller) get(path string) answer { return c.call(http.MethodGet, path, nil) }

func (c *caller) post(path string, body any) answer { return c.call(http.MethodPost, path, body) }

func (c *caller) call(method, path string, body any, headers ...string) answer {
	c.t.Helper()
	a, err := c.try(method, path, body, headers...)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// try is call for tests whose server may be gone.
func (c *caller) try(method, path string, body any, headers ...string) (answer, error) {
	var in io.Reader
	if body != nil {
		raw, ok := body.(string)
		if !ok {
			encoded, err := json.Marshal(body)
			if err != nil {
				return answer{}, err
			}
			raw = string(encoded)
		}
		in = bytes.NewReader([]byte(raw))
	}
	req, err := http.NewRequest(method, c.base+path, in)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	a := answer{Code: res.StatusCode, Header: res.Header}
	if a.Body, err = io.ReadAll(res.Body); err != nil {
		return answer{}, err
	}
	if err := a.decode(); err != nil || a.Status == "" {
		c.t.Errorf("%s %s: answer %d is no envelope: %s", method, path, res.StatusCode, a.Body)
	}
	return a, nil
}

// object is a JSON object in a request.
type object = map[string]any
