package call

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/api/quota"
	"headwater/api/web"
	"headwater/bus/event"
	"headwater/bus/kv"
	"headwater/projections"
)

// paperModel has what ada may name in the workspace w, and what others have. Its log is
// at 20 and began in 2026.
type paperModel struct{ broken error }

var (
	own     = event.Address{Organization: "acme", Workspace: "w", Owner: "ada", Source: "src_own"}
	shared  = event.Address{Organization: "acme", Workspace: "w", Source: "src_shared"}
	foreign = event.Address{Organization: "acme", Workspace: "w", Owner: "bob", Source: "src_bob"}
)

func (m paperModel) AnySource(a event.Address) (projections.Source, error) {
	gone := own
	gone.Source = "src_removed"
	if m.broken != nil {
		return projections.Source{}, m.broken
	}
	if !slices.Contains([]event.Address{own, shared, foreign, gone}, a) {
		return projections.Source{}, fmt.Errorf("source: %w", projections.ErrNotFound)
	}
	return projections.Source{Address: a, Removed: a == gone}, nil
}

func (m paperModel) Source(a event.Address) (projections.Source, error) {
	s, err := m.AnySource(a)
	if err == nil && s.Removed {
		err = projections.ErrNotFound
	}
	return s, err
}

func (m paperModel) Sources(q projections.ListQuery) ([]projections.Source, string, error) {
	if q != (projections.ListQuery{Organization: "acme", Workspace: "w", Owner: "ada"}) {
		return nil, "", fmt.Errorf("asked for %+v", q)
	}
	return []projections.Source{{Address: own}}, "", m.broken
}

func (m paperModel) Operation(organization, workspace, id string) (projections.Operation, error) {
	owners := map[string]string{"op_own": "ada", "op_shared": "", "op_bob": "bob"}
	owner, known := owners[id]
	if organization != "acme" || workspace != "w" || !known {
		return projections.Operation{}, projections.ErrNotFound
	}
	return projections.Operation{ID: id, Owner: owner}, nil
}

func (m paperModel) Sync(organization, workspace, id string) (projections.Sync, error) {
	owners := map[string]string{"syn_own": "ada", "syn_shared": "", "syn_bob": "bob"}
	owner, known := owners[id]
	if organization != "acme" || workspace != "w" || !known {
		return projections.Sync{}, projections.ErrNotFound
	}
	return projections.Sync{ID: id, Address: event.Address{Owner: owner}}, nil
}

func (paperModel) Position() uint64 { return 20 }

func (m paperModel) SequenceAt(at time.Time) (uint64, error) {
	if at.Year() < 2026 {
		return 0, m.broken
	}
	return 7, m.broken
}

// asked is a request of ada's for a path with a query.
func asked(path string, vars map[string]string) *Request {
	u, err := url.Parse("http://here" + path)
	if err != nil {
		panic(err)
	}
	return &Request{
		HTTP: &http.Request{URL: u, Header: http.Header{}}, Query: u.Query(), Vars: vars, Model: paperModel{}, Workspace: "w",
		Caller: auth.Claims{Organization: "acme", Username: "ada", Role: auth.RoleEditor},
	}
}

// failed returns the failure that err is, and fails the test for another error.
func failed(t *testing.T, err error) *web.Failure {
	t.Helper()
	var f *web.Failure
	if !errors.As(err, &f) {
		t.Fatalf("%v is no failure", err)
	}
	return f
}

func TestFindSources(t *testing.T) {
	for _, c := range []struct {
		name, owner string
		ids         []string // nil for none in the request
		found       []string
		missing     []string // fields of the 404
	}{
		{"all", "ada", nil, []string{"src_own"}, nil},
		{"one", "ada", []string{"src_own"}, []string{"src_own"}, nil},
		{"repeats", "ada", []string{"src_own", "src_own"}, []string{"src_own"}, nil},
		{"none", "ada", []string{}, nil, nil}, // whether that is an error the contract says
		{"of the organization", "", []string{"src_shared"}, []string{"src_shared"}, nil},
		{"of another scope", "ada", []string{"src_own", "src_shared"}, nil, []string{"source_ids[1]"}},
		{"somebody else's, unknown, removed", "ada", []string{"src_bob", "src_own", "src_x", "src_removed"}, nil, []string{"source_ids[0]", "source_ids[2]", "source_ids[3]"}},
	} {
		var ids *[]string
		if c.ids != nil {
			ids = &c.ids
		}
		all, err := asked("/", nil).FindSources(c.owner, ids)
		var found []string
		for _, s := range all {
			found = append(found, s.Address.Source)
		}
		if c.missing == nil {
			if err != nil || !slices.Equal(found, c.found) {
				t.Errorf("%s: %v, %v", c.name, found, err)
			}
			continue
		}
		body := string(failed(t, err).Answer().Body)
		if failed(t, err).Status != 404 || found != nil {
			t.Errorf("%s: %v, %s", c.name, found, body)
		}
		for i := range c.ids {
			field := fmt.Sprintf(`"source_ids[%d]"`, i)
			if strings.Contains(body, field) != slices.Contains(c.missing, strings.Trim(field, `"`)) {
				t.Errorf("%s: %s, wanted %v", c.name, body, c.missing)
			}
		}
	}
	r := asked("/", nil)
	broken := errors.New("disk")
	r.Model = paperModel{broken}
	if _, err := r.FindSources("ada", &[]string{"src_own"}); !errors.Is(err, broken) {
		t.Errorf("an error of the read model became %v", err)
	}
	if _, err := r.FindSource("user", "src_own"); !errors.Is(err, broken) {
		t.Errorf("an error of the read model became %v", err)
	}
}

// TestForeignIsMissing: what is somebody else's is answered like what nobody has.
func TestForeignIsMissing(t *testing.T) {
	find := map[string]func(id string) error{
		"source": func(id string) error { _, err := asked("/", nil).FindSource("user", "src_"+id); return err },
		"scheduled": func(id string) error {
			_, err := asked("/?scope=user", map[string]string{"source_id": "src_" + id}).ScheduledSource()
			return err
		},
		"operation": func(id string) error {
			_, err := asked("/", map[string]string{"operation_id": "op_" + id}).FindOperation()
			return err
		},
		"sync": func(id string) error {
			_, err := asked("/", map[string]string{"sync_id": "syn_" + id}).FindSync()
			return err
		},
	}
	for what, by := range find {
		if err := by("own"); err != nil {
			t.Errorf("%s of the caller: %v", what, err)
		}
		theirs, none := failed(t, by("bob")), failed(t, by("xxx"))
		if theirs.Status != 404 || strings.ReplaceAll(string(theirs.Answer().Body), "_bob", "_xxx") != string(none.Answer().Body) {
			t.Errorf("%s: %s is told from %s", what, theirs.Answer().Body, none.Answer().Body)
		}
	}
	for _, what := range []string{"operation", "sync"} {
		if err := find[what]("shared"); err != nil {
			t.Errorf("%s of the organization: %v", what, err)
		}
	}
	if _, err := asked("/", nil).FindSource("organization", "src_shared"); err != nil {
		t.Errorf("source of the organization: %v", err)
	}
}

func TestMoment(t *testing.T) {
	for text, want := range map[string]struct {
		sequence uint64
		status   int
	}{
		"":   {0, 0},
		"1":  {1, 0},
		"20": {20, 0}, "21": {0, 400}, "0": {0, 400}, "-1": {0, 400}, "1.5": {0, 400}, "18446744073709551616": {0, 400},
		"2026-01-31T12:00:00Z": {7, 0}, "2026-01-31T12:00:00.123456789+02:00": {7, 0}, "2025-12-31T23:59:59Z": {0, 404}, "9999-01-01T00:00:00Z": {0, 400},
		"2026-01-31": {0, 400}, "yesterday": {0, 400},
	} {
		sequence, err := asked("/?as_of="+url.QueryEscape(text), nil).AsOf()
		if want.status == 0 && err != nil || want.status != 0 && (err == nil || failed(t, err).Status != want.status) || sequence != want.sequence {
			t.Errorf("as_of %q: %d, %v", text, sequence, err)
		}
	}
	r := asked("/?as_of=2026-01-31T12:00:00Z", nil)
	r.Model = paperModel{errors.New("disk")}
	if _, err := r.AsOf(); err == nil || errors.As(err, new(*web.Failure)) {
		t.Errorf("an error of the read model became %v", err)
	}
}

func TestPage(t *testing.T) {
	for next, want := range map[string]string{
		"":     "",
		"a+/=": `</api/v1/data/w/list?cursor=a%2B%2F%3D&limit=2&q=a+%26+b>; rel="next"`,
	} {
		a := asked("/api/v1/data/w/list?limit=2&cursor=before&q=a+%26+b", nil).Page("2 things", projections.Page{JSON: []byte("[1,2]"), Next: next, Sequence: 9})
		if got := a.Header.Get("Link"); got != want || a.Header.Get(HeaderSequence) != "9" {
			t.Errorf("next %q: Link %q, want %q; %v", next, got, want, a.Header)
		}
	}
	for _, c := range []struct {
		err   error
		field string // "" for an error that is none of the caller's
	}{
		{fmt.Errorf("page: %w", projections.ErrBadCursor), "cursor"}, {projections.ErrFuture, "as_of"}, {errors.New("disk"), ""}, {nil, ""},
	} {
		err := ReadFailure(c.err)
		if c.field == "" && err != c.err || c.field != "" && (failed(t, err).Status != 400 || !strings.HasPrefix(failed(t, err).Message, c.field+" ")) {
			t.Errorf("%v became %v", c.err, err)
		}
	}
}

func TestDecode(t *testing.T) {
	type shape struct {
		Name  string
		Limit struct{ Rows int }
	}
	for body, field := range map[string]string{
		"": "", `{"name":"a","limit":{"rows":1}}`: "", `{"name":1}`: "name", `{"limit":{"rows":"many"}}`: "limit.rows", `{"limit":{"rows":1.5}}`: "limit.rows", `{`: "body",
	} {
		r := asked("/", nil)
		r.Body = []byte(body)
		err := r.Decode(&shape{})
		if field == "" && err != nil || field != "" && (failed(t, err).Status != 400 || !strings.HasPrefix(strings.ToLower(failed(t, err).Message), field+" ")) {
			t.Errorf("%s: %v, want a problem with %q", body, err, field)
		}
	}
}

// paperEvents conflicts so many times, and then takes an event.
type paperEvents struct {
	conflicts, tries int
	broken           error
	told             *event.Event
}

func (p *paperEvents) LastSequence(context.Context, event.Address) (uint64, error) {
	return uint64(p.tries), nil
}

func (p *paperEvents) Append(_ context.Context, after uint64, e *event.Event) (uint64, error) {
	p.tries++
	if p.broken != nil {
		return 0, p.broken
	}
	if p.tries <= p.conflicts {
		return 0, fmt.Errorf("append: %w", kv.ErrConflict)
	}
	p.told = e
	return after + 1, nil
}

func TestAppendNext(t *testing.T) {
	broken, unsettled := errors.New("no bus"), errors.New("unsettled")
	for _, c := range []struct {
		name      string
		events    paperEvents
		settledAt uint64 // the last sequence at which there is nothing left to do
		settling  error
		tries     int
		want      error
	}{
		{"at once", paperEvents{}, 99, nil, 1, nil},
		{"others come first", paperEvents{conflicts: 3}, 99, nil, 4, nil},
		{"somebody else did it", paperEvents{conflicts: 9}, 2, nil, 2, nil},
		{"again and again", paperEvents{conflicts: 99}, 99, nil, appendTries + 1, kv.ErrConflict},
		{"another error", paperEvents{broken: broken}, 99, nil, 1, broken},
		{"it cannot be known", paperEvents{}, 0, unsettled, 0, unsettled},
	} {
		err := AppendNext(t.Context(), &c.events, own, &event.Event{}, func(after uint64) (bool, error) { return after >= c.settledAt, c.settling })
		if !errors.Is(err, c.want) || c.want == nil && err != nil || c.events.tries != c.tries {
			t.Errorf("%s: %v after %d tries, want %v after %d", c.name, err, c.events.tries, c.want, c.tries)
		}
	}
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for given, want := range map[string]string{trace: trace, "": "", strings.ToUpper(trace): "", trace + "-x": "", "01" + trace[2:]: ""} {
		r, events := asked("/", nil), &paperEvents{}
		r.HTTP.Header.Set("Traceparent", given)
		r.HTTP.Header.Set(HeaderRequestID, "r1")
		data := &event.TokenRevoked{Name: "engine"}
		if err := r.Tell(t.Context(), events, "e1", own, data); err != nil {
			t.Fatal(err)
		}
		if events.told.TraceParent != want || events.told.ID != "e1" || data.Operation.Actor != "ada" || data.Operation.RequestID != "r1" || data.SourceID != "src_own" {
			t.Errorf("%q: told %+v of %+v", given, events.told, data)
		}
	}
}

type stuck struct{}

func (stuck) Wait(ctx context.Context, _ uint64) error { <-ctx.Done(); return ctx.Err() }

func TestReach(t *testing.T) {
	err := Reach(t.Context(), stuck{}, time.Millisecond, 7)
	if f := failed(t, err); f.Status != 503 || f.Header.Get("Retry-After") == "" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v, %v", f, err)
	}
}

// TestShares holds what two callers share, and that a request gives all back.
func TestShares(t *testing.T) {
	bob := asked("/", nil)
	bob.Caller.Username = "bob"
	elsewhere := asked("/", nil)
	elsewhere.Workspace = "w2"
	foreign := asked("/", nil)
	foreign.Caller.Organization = "other"
	for _, c := range []struct {
		name                          string
		other                         *Request
		user, workspace, organization bool
	}{
		{"herself", asked("/", nil), true, true, true},
		{"a colleague", bob, false, true, true},
		{"herself elsewhere", elsewhere, true, false, true},
		{"another organization", foreign, false, false, false},
	} {
		a, b := asked("/", nil), c.other
		if a.OfUser(1).Key == b.OfUser(1).Key != c.user || a.OfWorkspace(1).Key == b.OfWorkspace(1).Key != c.workspace || a.OfOrganization(1).Key == b.OfOrganization(1).Key != c.organization {
			t.Errorf("%s shares otherwise", c.name)
		}
	}
	var limiter quota.Limiter
	full := func(s *quota.Share) *web.Failure { return web.Fail(429, "full", "%s", s.Whom) }
	r := asked("/", nil)
	for i, n := range []int64{2, 1} {
		if err := r.Hold(&limiter, n, full, r.OfUser(3), r.OfOrganization(100)); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if err := r.Hold(&limiter, 1, full, r.OfOrganization(100), r.OfUser(3)); err == nil || failed(t, err).Message != "You have" {
		t.Errorf("beyond the share: %v", err)
	}
	r.Release()
	if err := asked("/", nil).Hold(&limiter, 3, full, r.OfUser(3)); err != nil {
		t.Errorf("nothing was given back: %v", err)
	}
}

func TestMounts(t *testing.T) {
	for _, c := range []struct {
		vars map[string]string
		want string
	}{
		{nil, "/api/v1/data/w/operations/"},
		{map[string]string{"org": "acme%2F1", "user": "ada"}, "/jarvispy/acme%2F1/ada/api/v1/data/w/operations/"},
	} {
		if got := asked("/", c.vars).Operations(); got != c.want {
			t.Errorf("%v: %s", c.vars, got)
		}
	}
	r := asked("/?limit=7", map[string]string{"bad": "%zz", "good": "a%2Fb"})
	if r.Variable("bad") != "" || r.Variable("none") != "" || r.Variable("good") != "a/b" || r.Limit() != 7 || asked("/", nil).Limit() != 0 {
		t.Error("variables or limit are read otherwise")
	}
	if r.Owner("organization") != "" || r.Owner("user") != "ada" || r.Owner("") != "ada" {
		t.Error("scopes have other owners")
	}
	w := httptest.NewRecorder()
	Unchanged(`W/"t"`, 9).Write(w, r.HTTP)
	if w.Code != 304 || w.Header().Get("Etag") != `W/"t"` || w.Header().Get(HeaderSequence) != "9" || !bytes.Equal(w.Body.Bytes(), nil) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
