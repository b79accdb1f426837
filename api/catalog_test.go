package api

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"headwater/api/auth"
	"headwater/api/iceberg"
	"headwater/api/web"
)

// engine is a caller of the catalog. Its answers are held against the catalog's
// own contract.
type engine struct {
	caller
	doc *openapi3.T
}

func (c caller) engine() engine {
	c.t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(iceberg.Contract())
	if err != nil {
		c.t.Fatal(err)
	}
	return engine{c, doc}
}

// asked is an answer of the catalog.
type asked struct {
	Code   int
	Header http.Header
	Raw    string
	Error  struct {
		Message, Type string
		Code          int
	}
}

// call asks for a path below Base. route is the path as the contract names it.
func (e engine) call(method, route, path string, headers ...string) (a asked) {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), method, e.server.URL+iceberg.Base+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	if e.token != "" {
		req.Header.Set("Authorization", "Bearer "+e.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	a = asked{Code: res.StatusCode, Header: res.Header, Raw: string(body)}
	if res.Header.Get("X-Request-Id") == "" {
		e.t.Errorf("%s %s has no request id", method, path)
	}
	if len(body) == 0 || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		return a
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		e.t.Fatalf("%s %s: %v", method, path, err)
	}
	schema := e.doc.Components.Schemas["Error"].Value
	if item := e.doc.Paths.Value(route); item != nil && item.GetOperation(method) != nil {
		response := item.GetOperation(method).Responses.Value(strconv.Itoa(a.Code))
		if response != nil {
			schema = response.Value.Content.Get("application/json").Schema.Value
		}
	}
	if err := schema.VisitJSON(value, openapi3.MultiErrors()); err != nil {
		e.t.Errorf("%s %s: %d breaks the contract: %v\n%s", method, path, a.Code, err, body)
	}
	if a.Code >= 400 {
		if err := json.Unmarshal(body, &a); err != nil || a.Error.Code != a.Code {
			e.t.Errorf("%s %s: %d says %s", method, path, a.Code, body)
		}
	}
	return a
}

// filled puts values in the place of a path's variables.
func filled(path string, values map[string]string) string {
	for name, value := range values {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
	}
	return path
}

// TestIsolationOfTheCatalog asks every call of the catalog's contract for what is
// somebody else's: it must look exactly like what nobody has.
func TestIsolationOfTheCatalog(t *testing.T) {
	h := newHouse(t)
	ada := h.ada()
	ada.connected("user", source("landed own", "db"))
	ada.connected("organization", source("landed shared", "db"))
	for _, scope := range []string{"user", "organization"} {
		if r := ada.post("/data/w1/sync", object{"scope": scope}); r.Code != 200 {
			t.Fatal(r.Raw)
		}
	}
	const own, shared, made = "landed_x0020_own", "landed_x0020_shared", "landed_x0020_non"
	ways := map[string]engine{
		"the owner": ada.engine(), "a colleague": h.as("acme", "bob", auth.RoleViewer).engine(), "an admin": h.as("acme", "root", auth.RoleAdmin).engine(),
		"another organization": h.as("other", "ada", auth.RoleEditor).engine(), "a user named like _": h.as("acme", "_", auth.RoleEditor).engine(),
	}
	for name, e := range ways {
		for _, route := range iceberg.Routes() {
			if route.Path == "/config" || route.Path == "/openapi.yaml" {
				continue
			}
			ask := func(prefix, namespace string) asked {
				path := filled(route.Path, map[string]string{"prefix": prefix, "namespace": namespace, "table": "public__customers", "view": "v"})
				if !strings.Contains(route.Path, "{namespace}") {
					path += "?parent=" + namespace
				}
				return e.call(route.Method, route.Path, path)
			}
			sees := func(namespace string) bool {
				return name == "the owner" || namespace == shared && name != "another organization"
			}
			missing := ask("w1", made)
			for _, namespace := range []string{own, shared} {
				got := ask("w1", namespace)
				if sees(namespace) {
					if want := !strings.Contains(route.Path, "{view}"); (got.Code < 300) != want {
						t.Errorf("%s: %s %s of %s: %d %s", name, route.Method, route.Path, namespace, got.Code, got.Raw)
					}
				} else if got.Code != 404 || strings.ReplaceAll(got.Raw, namespace, made) != missing.Raw {
					t.Errorf("%s: %s %s tells %s from a missing one:\n%d %s\n%d %s", name, route.Method, route.Path, namespace, got.Code, got.Raw, missing.Code, missing.Raw)
				}
				if got := ask("w2", namespace); got.Code != 404 {
					t.Errorf("%s: %s %s of %s in another workspace: %d", name, route.Method, route.Path, namespace, got.Code)
				}
			}
		}
		listed := e.call("GET", "/{prefix}/namespaces", "/w1/namespaces")
		if strings.Contains(listed.Raw, own) != (name == "the owner") || strings.Contains(listed.Raw, shared) == (name == "another organization") {
			t.Errorf("%s sees %s", name, listed.Raw)
		}
	}
	for _, route := range iceberg.Routes() {
		path := filled(route.Path, map[string]string{"prefix": "w1", "namespace": own, "table": "public__customers", "view": "v"})
		for token, status := range map[string]int{"": 401, "no.such.token": 401} {
			e := ada.engine()
			e.token = token
			if got := e.call(route.Method, route.Path, path); got.Code != status && route.Path != "/openapi.yaml" {
				t.Errorf("with the token %q: %s %s: %d %s", token, route.Method, path, got.Code, got.Raw)
			}
		}
	}
}

// TestCatalogTellsOfItself holds what the operator is told, and a token that has
// expired, apart from the rest.
func TestCatalogTellsOfItself(t *testing.T) {
	var seen []web.Exchange
	h := newHouse(t, func(d *Deps) { d.Answered = func(x web.Exchange) { seen = append(seen, x) } })
	ada := h.ada().engine()
	if r := ada.call("GET", "/config", "/config?warehouse=w1"); r.Code != 200 || !strings.Contains(r.Raw, `"prefix":"w1"`) {
		t.Errorf("%d %s", r.Code, r.Raw)
	}
	ada.call("GET", "/{prefix}/namespaces/{namespace}", "/w1/namespaces/none")
	token, err := h.auth.Issue(auth.Claims{Organization: "acme", Username: "ada", Role: auth.RoleViewer}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	late := engine{caller{h, token, ""}, ada.doc}
	eventually(t, "an expired token is 419", func() bool {
		r := late.call("GET", "/config", "/config?warehouse=w1")
		return r.Code == 419 && r.Error.Type == "AuthenticationTimeoutException"
	})
	h.server.Close()
	if len(seen) < 3 || seen[0].Route != "/iceberg/v1/config" || seen[0].Organization != "acme" || seen[0].Status != 200 ||
		seen[1].Route != "/iceberg/v1/{prefix}/namespaces/{namespace}" || seen[1].Workspace != "w1" || seen[1].Code != "NoSuchNamespaceException" {
		t.Errorf("%+v", seen)
	}
}
