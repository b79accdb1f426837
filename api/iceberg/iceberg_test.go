package iceberg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"headwater/bus/event"
	"headwater/projections"
)

// TestContract holds openapi.yaml and what is served to each other.
func TestContract(t *testing.T) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(Contract())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(loader.Context); err != nil {
		t.Fatal(err)
	}
	var told, served []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			told = append(told, method+" "+path)
		}
	}
	for _, r := range Routes() {
		served = append(served, r.Method+" "+r.Path)
	}
	slices.Sort(told)
	slices.Sort(served)
	if !slices.Equal(told, served) {
		t.Errorf("the contract has\n%s\nserved is\n%s", strings.Join(told, "\n"), strings.Join(served, "\n"))
	}
}

// shop is a workspace w of ada's with sources and tables of awkward names, where
// everything lies in memory.
type shop struct {
	own, shared []projections.Source
	tables      []projections.LandedTable
	broken      error
	asked       time.Time
	access      Access
}

func (s *shop) Sources(q projections.ListQuery) (all []projections.Source, next string, err error) {
	if q.Organization != "acme" || q.Workspace != "w" {
		return nil, "", s.broken
	}
	of := s.shared
	if q.Owner == "ada" {
		of = s.own
	}
	for _, source := range of {
		if q.Name == "" || source.Name == q.Name {
			all = append(all, source)
		}
	}
	return all, "", s.broken
}

func (s *shop) List(q projections.ListQuery) (projections.Page, error) {
	docs := []map[string]string{}
	if q.Owner == "ada" && q.AsOf == 7 {
		docs = append(docs, map[string]string{"id": "src_then", "name": "then", "type": "database"})
	}
	body, err := json.Marshal(docs)
	return projections.Page{JSON: body}, err
}

func (s *shop) SequenceAt(at time.Time) (uint64, error) {
	if at.Year() < 2001 {
		return 0, nil
	}
	return 7, nil
}

func (s *shop) LandedTables(a event.Address) ([]projections.LandedTable, error) {
	if a.Source == "src_removed" {
		return nil, projections.ErrNotFound
	}
	return slices.Clone(s.tables), nil
}

func (s *shop) Metadata(_ context.Context, a event.Address, namespace, table string, at time.Time) (Table, error) {
	s.asked = at
	switch table {
	case "young":
		return Table{}, fmt.Errorf("%w: %s", ErrNoTable, table)
	case "swept":
		return Table{}, fmt.Errorf("%w: %s", ErrExpired, table)
	case "broken":
		return Table{}, errors.New("secret-path: no such file")
	}
	return Table{Folder: "file:///lake/t", Location: "file:///lake/t/metadata/00002-x.metadata.json", Metadata: []byte(
		`{"current-snapshot-id":3,"refs":{"main":{"snapshot-id":3},"audit":{"snapshot-id":1}},"snapshots":[{"snapshot-id":1},{"snapshot-id":2},{"snapshot-id":3}],"format-version":2,"last-sequence-number":9007199254740993}`)}, nil
}

func source(id, name, owner string) projections.Source {
	s := projections.Source{Address: event.Address{Organization: "acme", Workspace: "w", Owner: owner, Source: id}}
	s.Name, s.Type = name, "database"
	return s
}

func landed(schema, name string) projections.LandedTable {
	return projections.LandedTable{Namespace: schema, Name: name, Landed: projections.Landed{SnapshotID: 1}}
}

func newShop() *shop {
	return &shop{
		own:    []projections.Source{source("src_1", "shop", "ada"), source("src_2", "a.b/c d", "ada"), source("src_3", "twin", "ada"), source("src_4", "twin", "ada"), source("src_5", "both", "ada")},
		shared: []projections.Source{source("src_6", "both", ""), source("src_7", "日本", "")},
		tables: []projections.LandedTable{landed("public", "orders"), landed("sales", "orders"), landed("", "x.y/z"), landed("sales", "a_"), landed("", "young"), landed("", "swept"), landed("", "broken"), {Namespace: "", Name: "empty"}},
	}
}

func (s *shop) get(t *testing.T, method, path string, headers ...string) (int, string, http.Header) {
	t.Helper()
	h := New(Deps{Reads: s, Lake: s, Access: s.access, Verify: func(token string) (Caller, error) {
		if token != "good" {
			return Caller{}, errors.New("the token is not valid")
		}
		return Caller{Organization: "acme", Username: "ada"}, nil
	}})
	r := httptest.NewRequest(method, "http://here"+Base+path, strings.NewReader("{}"))
	r.Header.Set("Authorization", "bearer good")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header()
}

// namesOf returns the last names in a list of namespaces or tables.
func namesOf(t *testing.T, body string) (names []string, next string) {
	t.Helper()
	var page struct {
		Namespaces  [][]string
		Identifiers []struct{ Name string }
		Next        string `json:"next-page-token"`
	}
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatal(err)
	}
	for _, n := range page.Namespaces {
		names = append(names, n[0])
	}
	for _, i := range page.Identifiers {
		names = append(names, i.Name)
	}
	return names, page.Next
}

func TestNamespaces(t *testing.T) {
	s := newShop()
	want := []string{"a_x002E_b_x002F_c_x0020_d", "both__organization", "both__user", "shop", "twin__src_3", "twin__src_4", "日本"}
	_, body, _ := s.get(t, "GET", "/w/namespaces")
	if got, next := namesOf(t, body); !slices.Equal(got, want) || next != "" {
		t.Errorf("%q, want %q", got, want)
	}
	var paged []string
	for token, pages := "", 0; ; pages++ {
		_, body, _ := s.get(t, "GET", "/w/namespaces?pageSize=3&pageToken="+token)
		got, next := namesOf(t, body)
		if paged = append(paged, got...); next == "" {
			if pages != 2 || !slices.Equal(paged, want) {
				t.Errorf("%d pages hold %q", pages+1, paged)
			}
			break
		}
		token = next
	}
	for path, want := range map[string]string{
		"shop": "src_1", "shop__user": "src_1", "shop__src_1": "src_1", "a_x002E_b_x002F_c_x0020_d": "src_2", "a.b%2Fc%20d": "src_2", "%E6%97%A5%E6%9C%AC": "src_7",
		"both__user": "src_5", "both__organization": "src_6", "both__src_6": "src_6", "twin__src_4": "src_4",
		"both": "Several sources", "twin": "Several sources", "twin__user": "Several sources",
		"shop__organization": "There is no", "none": "There is no", "shop%1Fpublic": "There is no", "..": "There is no", "%FF": "There is no", "shop__": "There is no",
	} {
		status, body, _ := s.get(t, "GET", "/w/namespaces/"+path)
		if (status == 200) != strings.HasPrefix(want, "src_") || status != 200 && status != 404 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", path, status, body, want)
		}
		if head, _, _ := s.get(t, "HEAD", "/w/namespaces/"+path); head != map[bool]int{true: 204, false: 404}[status == 200] {
			t.Errorf("HEAD of %s: %d", path, head)
		}
	}
	for path, want := range map[string]int{
		"/w/namespaces?parent=shop": 200, "/w/namespaces?parent=none": 404, "/w/namespaces?pageSize=0": 400, "/w/namespaces?pageSize=x": 400, "/w/namespaces?pageToken=!": 400,
		"/other/namespaces": 200, "/no.good/namespaces": 404, "/w/namespaces/shop/views": 200, "/w/namespaces/shop/views/v": 404, "/w/namespaces/none/views": 404,
	} {
		if status, body, _ := s.get(t, "GET", path); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, body, want)
		}
	}
}

func TestTables(t *testing.T) {
	s := newShop()
	_, body, _ := s.get(t, "GET", "/w/namespaces/shop/tables?pageToken=&pageSize=20")
	want := []string{"broken", "public__orders", "sales__a_x005F_", "sales__orders", "swept", "x_x002E_y_x002F_z", "young"}
	if got, next := namesOf(t, body); !slices.Equal(got, want) || next != "" {
		t.Errorf("%q, want %q", got, want)
	}
	for path, want := range map[string]int{
		"public__orders": 200, "public.orders": 200, "sales__a_x005F_": 200, "a_": 200, "x_x002E_y_x002F_z": 200, "x.y%2Fz": 200,
		"orders": 404, "empty": 404, "none": 404, "": 404, "%00": 404, "young": 404, "swept": 404, "broken": 500,
	} {
		status, body, _ := s.get(t, "GET", "/w/namespaces/shop/tables/"+path)
		if status != want {
			t.Errorf("%q: %d %s, want %d", path, status, body, want)
		}
		if strings.Contains(body, "secret-path") {
			t.Errorf("%q: an answer shows the lake: %s", path, body)
		}
	}
	for _, call := range []string{"HEAD /w/namespaces/shop/tables/public__orders", "POST /w/namespaces/shop/tables/public__orders/metrics"} {
		method, path, _ := strings.Cut(call, " ")
		if status, body, _ := s.get(t, method, path); status != 204 || body != "" {
			t.Errorf("%s: %d %s", call, status, body)
		}
	}
	if status, body, _ := s.get(t, "GET", "/w/namespaces/shop/tables/public__orders/credentials"); status != 200 || body != `{"storage-credentials":[]}` {
		t.Errorf("keys to files that readers reach by themselves: %d %s", status, body)
	}
}

// withoutKeys is the Access of a store that was asked for keys and gave none.
type withoutKeys struct{}

func (withoutKeys) View(_ context.Context, ask Ask) (View, error) {
	v := View{Table: ask.Table, Config: map[string]string{"headwater.credentials": "none"}}
	if ask.Delegated {
		v.Warning = `it is "closed"`
	}
	return v, nil
}

// TestNoKeysAreExplained holds that an answer says in a header why it has no keys.
func TestNoKeysAreExplained(t *testing.T) {
	s := newShop()
	s.access = withoutKeys{}
	const path, want = "/w/namespaces/shop/tables/public__orders", `199 headwater "no keys to the table: it is \"closed\""`
	status, body, header := s.get(t, "GET", path, headerDelegation, vended)
	if status != 200 || header.Get("Warning") != want || strings.Contains(body, "storage-credentials") {
		t.Errorf("%d %q %s", status, header.Get("Warning"), body)
	}
	if status, _, header := s.get(t, "GET", path, headerDelegation, vended, "If-None-Match", header.Get("ETag")); status != 304 || header.Get("Warning") != want {
		t.Errorf("unchanged: %d %q", status, header.Get("Warning"))
	}
	if status, body, header := s.get(t, "GET", path+"/credentials"); status != 200 || body != `{"storage-credentials":[]}` || header.Get("Warning") != want {
		t.Errorf("credentials: %d %q %s", status, header.Get("Warning"), body)
	}
	if status, _, header := s.get(t, "GET", path); status != 200 || header.Get("Warning") != "" {
		t.Errorf("none asked for: %d %q", status, header.Get("Warning"))
	}
}

func TestLoadedOnce(t *testing.T) {
	s := newShop()
	const path = "/w/namespaces/shop/tables/public__orders"
	status, body, header := s.get(t, "GET", path)
	var loaded struct {
		Location string `json:"metadata-location"`
		Metadata struct {
			Snapshots []struct {
				ID int `json:"snapshot-id"`
			}
			Last json.Number `json:"last-sequence-number"`
		}
		Config map[string]string
	}
	if err := json.Unmarshal([]byte(body), &loaded); err != nil || status != 200 {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	if loaded.Location != "file:///lake/t/metadata/00002-x.metadata.json" || len(loaded.Metadata.Snapshots) != 3 || loaded.Config == nil || len(loaded.Config) != 0 || strings.Contains(body, "storage-credentials") {
		t.Errorf("%s", body)
	}
	tag := header.Get("ETag")
	for _, match := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
		if status, body, _ := s.get(t, "GET", path, "If-None-Match", match); status != 304 || body != "" {
			t.Errorf("If-None-Match %s: %d %s", match, status, body)
		}
	}
	status, body, header = s.get(t, "GET", path+"?snapshots=refs", "If-None-Match", tag)
	if err := json.Unmarshal([]byte(body), &loaded); err != nil || status != 200 || header.Get("ETag") == tag {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	if ids := loaded.Metadata.Snapshots; len(ids) != 2 || ids[0].ID != 1 || ids[1].ID != 3 || loaded.Metadata.Last != "9007199254740993" {
		t.Errorf("snapshots=refs: %s", body)
	}
	if status, _, _ := s.get(t, "GET", path+"?snapshots=some"); status != 400 {
		t.Errorf("snapshots=some: %d", status)
	}
}

func TestAsOf(t *testing.T) {
	s := newShop()
	status, body, _ := s.get(t, "GET", "/config?warehouse=w@2026-01-31T13:00:00.5%2B01:00")
	if status != 200 || !strings.Contains(body, `"prefix":"w@2026-01-31T12:00:00.500Z"`) {
		t.Fatalf("%d %s", status, body)
	}
	for _, prefix := range []string{"w@2026-01-31T12:00:00.500Z", "w%402026-01-31T12%3A00%3A00.500Z"} {
		_, body, _ = s.get(t, "GET", "/"+prefix+"/namespaces")
		if got, _ := namesOf(t, body); !slices.Equal(got, []string{"then"}) {
			t.Errorf("%s: namespaces %q", prefix, got)
		}
		if status, body, _ := s.get(t, "GET", "/"+prefix+"/namespaces/then/tables/public__orders"); status != 200 || s.asked.UnixMilli() != time.Date(2026, 1, 31, 12, 0, 0, 5e8, time.UTC).UnixMilli() {
			t.Errorf("%s: %d %s as of %s", prefix, status, body, s.asked)
		}
		for table, want := range map[string]int{"young": 404, "swept": 404, "public__orders": 204} {
			if status, _, _ := s.get(t, "HEAD", "/"+prefix+"/namespaces/then/tables/"+table); status != want {
				t.Errorf("%s: HEAD of %s: %d", prefix, table, status)
			}
		}
	}
	for warehouse, want := range map[string]int{"": 400, "w@": 400, "w@yesterday": 400, "w@9999-01-01": 400, "w@1999-01-01": 404, "w@2026-01-31": 200, "a.b": 404, "w": 200} {
		if status, body, _ := s.get(t, "GET", "/config?warehouse="+warehouse); status != want {
			t.Errorf("warehouse %q: %d %s, want %d", warehouse, status, body, want)
		}
	}
}

// TestWritesAreRefused asks for everything that the specification has and this
// catalog has not.
func TestWritesAreRefused(t *testing.T) {
	s := newShop()
	for call, want := range map[string]int{
		"POST /w/namespaces": 405, "DELETE /w/namespaces/shop": 405, "POST /w/namespaces/shop/properties": 404, "POST /w/namespaces/shop/tables": 405,
		"POST /w/namespaces/shop/register": 404, "POST /w/namespaces/shop/tables/public__orders": 405, "DELETE /w/namespaces/shop/tables/public__orders": 405,
		"POST /w/tables/rename": 404, "POST /w/transactions/commit": 404, "POST /w/namespaces/shop/views": 405, "POST /w/namespaces/shop/tables/public__orders/plan": 404,
		"POST /oauth/tokens": 404, "GET /namespaces": 404, "POST /config": 405, "PUT /w/namespaces/shop/tables/public__orders/metrics": 405,
	} {
		method, path, _ := strings.Cut(call, " ")
		status, body, header := s.get(t, method, path)
		var e struct {
			Error struct {
				Message, Type string
				Code          int
			}
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil || status != want || e.Error.Code != want || e.Error.Type == "" || e.Error.Message == "" || (header.Get("Allow") == "") != (want == 404) {
			t.Errorf("%s: %d %s, Allow %q", call, status, body, header.Get("Allow"))
		}
	}
	if status, body, _ := s.get(t, "GET", "/config?warehouse=w", "Authorization", "Basic good"); status != 401 || !strings.Contains(body, "NotAuthorizedException") {
		t.Errorf("another scheme: %d %s", status, body)
	}
}
