package api

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"headwater/api/call"
	"headwater/bus/event"
	"headwater/projections"
)

// told is an error of which a part may be told to anybody.
type told struct{ error }

func (told) Told() string { return "PutObject k: 403 AccessDenied" }

func TestService(t *testing.T) {
	ready := errors.New("the projection is at 3 of 7")
	h := newHouse(t, func(d *Deps) { d.Ready = func(context.Context) error { return ready } })
	c := h.ada()
	anyone := caller{h, "", ""}
	for _, base := range []string{"", "/api/v1"} {
		anyone.base = base
		if r := anyone.get("/healthz"); r.Code != 200 || r.Status != "success" {
			t.Errorf("%s/healthz: %d %s", base, r.Code, r.Raw)
		}
		if r := anyone.get("/readyz"); r.Code != 503 || strings.Contains(r.Raw, "3 of 7") || !strings.Contains(h.logs.String(), "3 of 7") {
			t.Errorf("%s/readyz: %d %s", base, r.Code, r.Raw)
		}
		if r := anyone.get("/openapi.yaml"); r.Code != 200 || r.Raw != string(openapi) {
			t.Errorf("%s/openapi.yaml: %d", base, r.Code)
		}
	}
	ready = told{ready}
	if r := anyone.get("/readyz"); r.Code != 503 || !strings.Contains(r.Raw, "PutObject k: 403 AccessDenied") || strings.Contains(r.Raw, "3 of 7") {
		t.Errorf("what may be told: %d %s", r.Code, r.Raw)
	}
	ready = nil
	if r := anyone.get("/readyz"); r.Code != 200 {
		t.Errorf("ready: %d %s", r.Code, r.Raw)
	}
	if r := c.get("/connectors"); r.Code != 200 || !strings.Contains(r.Raw, `"x-secret":true`) {
		t.Errorf("connectors: %d %s", r.Code, r.Raw)
	}
	for _, name := range []string{"SyncCompleted.v1.json", "SyncCompleted", "ConnectSource.v1.json"} {
		r := anyone.get("/schemas/" + name)
		parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(r.Raw))
		if err != nil || r.Code != 200 {
			t.Fatalf("%s: %d %v", name, r.Code, err)
		}
		compiler := jsonschema.NewCompiler()
		if err := errors.Join(compiler.AddResource("urn:x", parsed)); err != nil {
			t.Fatal(err)
		}
		if _, err := compiler.Compile("urn:x"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !strings.Contains(anyone.get("/schemas/SyncCompleted").Raw, `"$id": "`+event.DataSchema("SyncCompleted")+`"`) {
		t.Error("the schema is not the one that events name")
	}
	if r := anyone.get("/schemas/Nothing"); r.Code != 404 {
		t.Errorf("unknown schema: %d", r.Code)
	}
	if r := c.get("/data/w1/list", call.HeaderRequestID, "my-id.1"); r.Header.Get(call.HeaderRequestID) != "my-id.1" {
		t.Errorf("request id: %v", r.Header)
	}
	if r := c.get("/data/w1/list", call.HeaderRequestID, "a b;c"); r.Header.Get(call.HeaderRequestID) == "a b;c" {
		t.Error("any text is a request id")
	}
}

// TestEveryCallIsMounted holds routes and contract together.
func TestEveryCallIsMounted(t *testing.T) {
	h := newHouse(t)
	var contract, mounted []string
	for path, item := range h.contract.Paths.Map() {
		for _, method := range slices.Sorted(maps.Keys(item.Operations())) {
			contract = append(contract, method+" "+path)
		}
	}
	for _, route := range h.handler.table() {
		mounted = append(mounted, route.method+" "+route.path)
		if open := route.operation == nil && route.open; open {
			op := h.contract.Paths.Value(route.path).GetOperation(route.method)
			if op == nil || op.Security == nil || len(*op.Security) != 0 {
				t.Errorf("%s is open and the contract does not say so", route.path)
			}
		}
	}
	slices.Sort(contract)
	slices.Sort(mounted)
	if !slices.Equal(contract, mounted) {
		t.Errorf("contract %v\nmounted %v", contract, mounted)
	}
}

// TestEveryKindIsInTheContract holds that readers of the contract are told of every
// kind of operation. A refused request is an event and no operation.
func TestEveryKindIsInTheContract(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas struct {
				Kind struct{ Enum []string } `yaml:"OperationKind"`
			}
		}
	}
	if err := yaml.Unmarshal(openapi, &doc); err != nil {
		t.Fatal(err)
	}
	listed := doc.Components.Schemas.Kind.Enum
	for _, kind := range event.Kinds() {
		if slices.Contains(listed, kind) == (kind == event.KindRequest) {
			t.Errorf("openapi.yaml, OperationKind: %s, listed %v", kind, listed)
		}
	}
	if len(listed) != len(event.Kinds())-1 {
		t.Errorf("openapi.yaml lists %d kinds of operation, there are %d", len(listed), len(event.Kinds())-1)
	}
}

// panicking is a read model with a defect.
type panicking struct{ Reads }

func (panicking) List(projections.ListQuery) (projections.Page, error) { panic("hunter2-canary") }
func (panicking) SourceDoc(event.Address) ([]byte, error)              { panic("hunter2-canary") }
func (panicking) Syncs(projections.SyncQuery) (projections.Page, error) {
	return projections.Page{}, projections.ErrDamaged
}

func TestOurOwnFaults(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Reads = panicking{d.Reads} })
	c := h.ada()
	for name, r := range map[string]reply{
		"a read":    c.get("/data/w1/list"),
		"a command": c.post("/data/w1/connect", object{"sources": []object{source("x", "db")}}),
		"an error":  c.get("/data/w1/syncs"),
	} {
		if r.Code != http.StatusInternalServerError || r.code() != "internal" {
			t.Errorf("%s: %d %s", name, r.Code, r.Raw)
		}
		if id := r.Header.Get(call.HeaderRequestID); !strings.Contains(h.logs.String(), id) {
			t.Errorf("%s: the log does not know %s", name, id)
		}
	}
	if shown := h.answers.String() + h.logs.String(); strings.Contains(shown, "hunter2") || strings.Contains(h.answers.String(), "damaged") {
		t.Error("the value of a panic, or the cause of an error, was shown")
	}
	if logs := h.logs.String(); !strings.Contains(logs, "service_test.go") || !strings.Contains(logs, "the projection is damaged") {
		t.Errorf("the log does not say where: %s", logs)
	}
}
