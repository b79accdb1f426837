package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/getkin/kin-openapi/openapi3"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/api/web"
	"headwater/bus"
	"headwater/bus/bustest"
	"headwater/bus/bustest/leaks"
	"headwater/bus/seal"
	"headwater/connectors"
	"headwater/connectors/driver"
	"headwater/projections"
)

func TestMain(m *testing.M) {
	bustest.CheckEvents()
	leaks.Verify(m)
}

const testLimit = time.Minute

// house is the API over a real bus, projection, vault and registry; only the
// worker is the test's own.
type house struct {
	t        *testing.T
	bus      *bus.Bus
	view     *projections.Store
	vault    *seal.Vault
	auth     *auth.Authenticator
	handler  *Handler
	server   *httptest.Server
	worker   *worker
	contract *openapi3.T
	logs     *lockedBuffer
	answers  *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// databaseSettings are what a database of the tests takes.
type databaseSettings struct {
	Host     string `json:"host" jsonschema:"required,minLength=1" public:"true"`
	Port     int    `json:"port,omitempty" jsonschema:"minimum=1,maximum=65535" public:"true"`
	Database string `json:"database,omitempty" public:"true"`
	Username string `json:"username,omitempty" public:"true"`
	Password string `json:"password,omitempty"`
}

type apiSettings struct {
	BaseURL string `json:"base_url" jsonschema:"required,minLength=1" public:"true"`
	APIKey  string `json:"api_key,omitempty"`
}

// paperDriver has settings and no sources: only workers open those.
type paperDriver struct{ spec driver.Spec }

func (d paperDriver) Spec() driver.Spec { return d.spec }

func (paperDriver) Open(context.Context, driver.Config) (driver.Source, error) {
	return nil, driver.E(driver.ErrUnreachable, nil, "the API never opens a source")
}

func testRegistry(t testing.TB) *connectors.Registry {
	t.Helper()
	r, err := connectors.New(connectors.Options{},
		paperDriver{driver.Spec{Name: "postgresql", Aliases: []string{"postgres"}, Class: "database", Ports: []int{5432}, Title: "PostgreSQL", Changes: true, Settings: &databaseSettings{}}},
		paperDriver{driver.Spec{Name: "mysql", Class: "database", Ports: []int{3306}, Title: "MySQL", Settings: &databaseSettings{}}},
		paperDriver{driver.Spec{Name: "api", Class: "api", Title: "HTTP API", Settings: &apiSettings{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// newHouse starts everything. change may alter the handler's parts.
func newHouse(t *testing.T, change ...func(*Deps)) *house {
	t.Helper()
	h := &house{t: t, logs: &lockedBuffer{}, answers: &lockedBuffer{}}
	log := slog.New(slog.NewTextHandler(h.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	h.bus, err = bus.Open(t.Context(), bus.Config{Dir: t.TempDir(), Listen: "off"})
	must(err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testLimit)
		defer cancel()
		if err := h.bus.Close(ctx); err != nil {
			t.Errorf("close the bus: %v", err)
		}
	})
	h.vault, err = seal.New(bytes.Repeat([]byte{7}, seal.MasterKeySize), h.bus.Bucket(bus.BucketSecrets))
	must(err)
	h.view, err = projections.Open(projections.Options{Dir: "view", FS: vfs.NewMem()})
	must(err)
	following, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	followed := make(chan error, 1)
	go func() { followed <- h.view.Follow(following, h.bus) }()
	t.Cleanup(func() {
		stop()
		if err := <-followed; err != nil {
			t.Errorf("follow: %v", err)
		}
		if err := h.view.Close(); err != nil {
			t.Errorf("close the projection: %v", err)
		}
	})
	<-h.view.Ready()
	h.auth, err = auth.New(t.Context(), auth.Config{Key: bytes.Repeat([]byte("k"), 32), Tokens: paperTokens{h.view}})
	must(err)
	h.worker = startWorker(t, h.bus, h.view, h.vault)
	d := Deps{
		Commands: h.bus, Events: h.bus, History: h.bus, Reads: h.view, Connectors: testRegistry(t), Vault: h.vault, Lake: paperLake{}, Catalog: paperLake{},
		Idempotency: h.bus.Bucket(bus.BucketIdempotency), Webhooks: testWebhooks(t, h), Auth: h.auth, Log: log,
	}
	for _, c := range change {
		c(&d)
	}
	h.handler, err = New(d)
	must(err)
	h.contract = openAPI(t)
	h.server = httptest.NewServer(h.handler)
	t.Cleanup(func() {
		h.worker.open()
		h.server.CloseClientConnections()
		h.server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), testLimit)
		defer cancel()
		if err := h.handler.Close(ctx); err != nil {
			t.Errorf("close the api: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return h
}

// caller is one user.
type caller struct {
	*house
	token string
	base  string
}

func (h *house) as(org, user, role string) caller {
	h.t.Helper()
	token, err := h.auth.Issue(auth.Claims{Organization: org, Username: user, Role: role}, time.Hour)
	if err != nil {
		h.t.Fatal(err)
	}
	return caller{h, token, "/api/v1"}
}

func (h *house) ada() caller { return h.as("acme", "ada", auth.RoleEditor) }

// reply is an answer, decoded.
type reply struct {
	Code       int
	Header     http.Header
	Raw        string
	Status     string          `json:"status"`
	Message    string          `json:"message"`
	Data       json.RawMessage `json:"data"`
	NextCursor string          `json:"next_cursor"`
	Error      *web.Error      `json:"error"`
}

func (r reply) fields() string {
	if r.Error == nil {
		return ""
	}
	var fields []string
	for _, d := range r.Error.Details {
		fields = append(fields, d.Field)
	}
	return strings.Join(fields, " ")
}

func (r reply) code() string {
	if r.Error == nil {
		return ""
	}
	return r.Error.Code
}

type object = map[string]any

// into decodes the data.
func into[T any](t *testing.T, r reply) (v T) {
	t.Helper()
	if err := json.Unmarshal(r.Data, &v); err != nil {
		t.Fatalf("data of %d %s: %v", r.Code, r.Raw, err)
	}
	return v
}

func (c caller) get(path string, headers ...string) reply {
	c.t.Helper()
	return c.call(http.MethodGet, path, nil, headers...)
}

func (c caller) post(path string, body any, headers ...string) reply {
	c.t.Helper()
	return c.call(http.MethodPost, path, body, headers...)
}

// call makes a request and holds its answer against the contract. A body that
// is a string is sent as it is.
func (c caller) call(method, path string, body any, headers ...string) reply {
	c.t.Helper()
	r, err := c.try(c.t.Context(), method, path, body, headers...)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func (c caller) try(ctx context.Context, method, path string, body any, headers ...string) (reply, error) {
	c.t.Helper()
	var in io.Reader
	if text, ok := body.(string); ok {
		in = strings.NewReader(text)
	} else if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		in = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.server.URL+c.base+path, in)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if req.Header.Del(headers[i]); headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{}, err
	}
	_, _ = c.answers.Write(all)
	r := reply{Code: res.StatusCode, Header: res.Header, Raw: string(all)}
	if method != http.MethodHead && res.StatusCode != http.StatusNotModified && strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(all, &r); err != nil {
			c.t.Errorf("%s %s: %d %q is no JSON: %v", method, path, r.Code, all, err)
		}
		c.holds(method, path, r)
	}
	if r.Header.Get(call.HeaderRequestID) == "" || r.Header.Get("X-Content-Type-Options") != "nosniff" {
		c.t.Errorf("%s %s: answer without its headers: %v", method, path, r.Header)
	}
	return r, nil
}

// holds checks an answer against openapi.yaml.
func (c caller) holds(method, path string, r reply) {
	c.t.Helper()
	path, _, _ = strings.Cut(path, "?")
	if _, below, ok := strings.Cut(path, "/api/v1"); ok {
		path = below
	}
	schema := c.contract.Components.Schemas["Error"].Value
	for template, item := range c.contract.Paths.Map() {
		pattern := regexp.MustCompile(`\\\{[a-z_]+\\\}`).ReplaceAllString(regexp.QuoteMeta(template), `[^/]+`)
		op := item.GetOperation(method)
		if op == nil || !regexp.MustCompile("^"+pattern+"$").MatchString(path) {
			continue
		}
		response := op.Responses.Value(strconv.Itoa(r.Code))
		if response == nil {
			response = op.Responses.Default()
		}
		schema = response.Value.Content.Get("application/json").Schema.Value
	}
	var value any
	if err := json.Unmarshal([]byte(r.Raw), &value); err != nil {
		c.t.Errorf("%s %s: %v", method, path, err)
		return
	}
	if err := schema.VisitJSON(value, openapi3.MultiErrors(), openapi3.VisitAsResponse()); err != nil {
		c.t.Errorf("%s %s: the answer %d breaks the contract: %v\n%s", method, path, r.Code, err, r.Raw)
	}
	for _, field := range undocumented([]*openapi3.Schema{schema}, value, "") {
		c.t.Errorf("%s %s: the contract does not name %s of the answer %d: %.2000s", method, path, field, r.Code, r.Raw)
	}
	if (r.Code >= 300) != (r.Error != nil) && !(r.Code == 200 && r.Status == "error") {
		c.t.Errorf("%s %s: code %d and status %q do not agree: %s", method, path, r.Code, r.Status, r.Raw)
	}
}

// eventually waits for a condition instead of sleeping for luck.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testLimit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", testLimit, what)
		}
	}
}

func database(host string) object {
	return object{"host": host, "port": 5432, "database": "customers", "username": "user", "password": "hunter2-canary"}
}

func source(name, host string) object {
	return object{"type": "database", "name": name, "connection_config": database(host)}
}

// connected connects sources and returns their ids by name.
func (c caller) connected(scope string, sources ...object) map[string]string {
	c.t.Helper()
	r := c.post("/data/w1/connect", object{"scope": scope, "sources": sources})
	if r.Code != http.StatusOK {
		c.t.Fatalf("connect: %d %s", r.Code, r.Raw)
	}
	ids := map[string]string{}
	for _, s := range into[struct {
		Connected []struct{ ID, Name string } `json:"connected_sources"`
	}](c.t, r).Connected {
		ids[s.Name] = s.ID
	}
	return ids
}
