package webhooks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/api/web"
	"headwater/bus/event"
	registry "headwater/bus/webhooks"
)

// paperRegistry has webhooks by their addresses. Its log holds the events 5 to 20.
type paperRegistry struct {
	Registry
	has    map[event.Address]registry.Webhook
	broken error
}

func (p paperRegistry) Get(_ context.Context, a event.Address) (registry.Webhook, error) {
	if p.broken != nil {
		return registry.Webhook{}, p.broken
	}
	if w, ok := p.has[a]; ok {
		return w, nil
	}
	return registry.Webhook{}, fmt.Errorf("get: %w", registry.ErrNotFound)
}

func (p paperRegistry) State(context.Context) (first, last uint64, created time.Time, err error) {
	return 5, 20, time.Time{}, p.broken
}

func asked(user string, vars map[string]string) *call.Request {
	return &call.Request{Workspace: "w", HTTP: &http.Request{Header: http.Header{}}, Vars: vars, Caller: auth.Claims{Organization: "acme", Username: user, Role: auth.RoleEditor}}
}

// told returns a failure's status and body, 0 without one.
func told(t *testing.T, err error) (int, string) {
	t.Helper()
	var f *web.Failure
	if err == nil {
		return 0, ""
	}
	if !errors.As(err, &f) {
		t.Fatalf("%v is no failure", err)
	}
	return f.Status, string(f.Answer().Body)
}

func TestChoose(t *testing.T) {
	at := func(n uint64) *uint64 { return &n }
	for _, c := range []struct {
		name   string
		body   createRequest
		types  []string
		after  uint64
		status int
		says   string
	}{
		{"everything from now on", createRequest{}, nil, 20, 0, ""},
		{"all there is", createRequest{After: at(0)}, nil, 0, 0, ""},
		{"from the first that is left", createRequest{After: at(4)}, nil, 4, 0, ""},
		{"from before it", createRequest{After: at(3)}, nil, 0, 400, `"field":"after"`},
		{"from the end", createRequest{After: at(20)}, nil, 20, 0, ""},
		{"from behind it", createRequest{After: at(21)}, nil, 0, 400, `"field":"after"`},
		{"some types, in order and once", createRequest{Types: []string{"SyncFailed", "SyncCompleted", "SyncFailed"}}, []string{"SyncCompleted", "SyncFailed"}, 20, 0, ""},
		{"a type that is none", createRequest{Types: []string{"SyncFailed", "Sync*"}}, nil, 0, 400, `"field":"types"`},
		{"a wildcard for a source", createRequest{SourceID: "src_*"}, nil, 0, 400, `"field":"source_id"`},
		{"all that is wrong", createRequest{SourceID: ">", Types: []string{"Nothing"}, After: at(99)}, nil, 0, 400, "(and 2 more)"},
	} {
		var w registry.Webhook
		calls := &Calls{History: paperRegistry{}}
		status, says := told(t, calls.choose(t.Context(), &w, c.body))
		if status != c.status || !strings.Contains(says, c.says) || status == 0 && (w.After != c.after || !slices.Equal(w.Types, c.types)) {
			t.Errorf("%s: %d %s, %+v", c.name, status, says, w)
		}
	}
	calls := &Calls{History: paperRegistry{broken: errors.New("no bus")}}
	if status, says := told(t, calls.choose(t.Context(), new(registry.Webhook), createRequest{})); status != 503 || strings.Contains(says, "no bus") {
		t.Errorf("a log that does not answer: %d %s", status, says)
	}
}

// TestFind: one's own and the organization's webhooks are found by id, others are not
// there, and a registry that fails says nothing of what there is.
func TestFind(t *testing.T) {
	own := event.Address{Organization: "acme", Workspace: "w", Owner: "ada", Source: "whk_own"}
	shared := event.Address{Organization: "acme", Workspace: "w", Source: "whk_shared"}
	has := map[event.Address]registry.Webhook{own: {ID: "whk_own"}, shared: {ID: "whk_shared"}}
	for _, c := range []struct {
		user, id string
		broken   error
		status   int
	}{
		{"ada", "whk_own", nil, 0}, {"ada", "whk_shared", nil, 0}, {"bob", "whk_shared", nil, 0}, {"bob", "whk_own", nil, 404}, {"ada", "whk_none", nil, 404}, {"ada", "", nil, 404},
		{"ada", "whk_own", errors.New("no bus"), 503},
	} {
		calls := &Calls{Registry: paperRegistry{has: has, broken: c.broken}}
		w, err := calls.find(t.Context(), asked(c.user, map[string]string{"webhook_id": c.id}))
		if status, says := told(t, err); status != c.status || status == 0 && w.ID != c.id || strings.Contains(says, "no bus") {
			t.Errorf("%s finds %q: %d %s", c.user, c.id, status, says)
		}
	}
}

// TestFailures: each error of the registry has the status and the field that a caller can
// act on.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		says   string
	}{
		{registry.ErrNotFound, 404, "There is no webhook whk_1"},
		{registry.ErrTooMany, 409, fmt.Sprintf("has %d webhooks of this scope", registry.MaxPerScope)},
		{registry.ErrTooManyOfAll, 409, fmt.Sprintf("has %d webhooks already", registry.MaxPerOrganization)},
		{&registry.Problem{Kind: registry.ErrUnreachable, Message: "its host is unknown"}, 422, `"field":"url","message":"its host is unknown"`},
		{&registry.Problem{Kind: registry.ErrURL, Message: "must begin with https"}, 400, `"field":"url","message":"must begin with https"`},
		{errors.New("secret of the bus"), 503, "Idempotency-Key"},
	} {
		for _, err := range []error{c.err, fmt.Errorf("registry: %w", c.err)} {
			if status, says := told(t, failure(err, "whk_1")); status != c.status || !strings.Contains(says, c.says) || strings.Contains(says, "secret of") {
				t.Errorf("%v: %d %s", err, status, says)
			}
		}
	}
}

// TestShownWebhook: what is shown has no key unless it is new, and what is told to the log
// has no path, which may be secret.
func TestShownWebhook(t *testing.T) {
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	w := registry.Webhook{ID: "whk_1", Organization: "acme", Workspace: "w", Owner: "ada", URL: "https://u:p@hook.example.com:8443/T0/s3cret?k=v"}
	for until, shown := range map[time.Time]bool{later: true, before: false, {}: false} {
		w.PreviousUntil = until
		if doc := asShown(w); (doc.PreviousSecret != nil) != shown || doc.Types == nil || doc.Secret != "" || doc.Scope != "user" || *doc.Owner != "ada" || doc.SourceID != nil {
			t.Errorf("until %s: %+v", until, doc)
		}
	}
	if got := receiver(w); got != "https://hook.example.com:8443" {
		t.Errorf("the receiver is told as %s", got)
	}
	if w.URL = "http://%zz"; receiver(w) != "" {
		t.Errorf("the receiver is told as %s", receiver(w))
	}
	for want, state := range map[string]registry.State{
		"1 event to deliver": {LastReason: "before"},
		"1 event to deliver; the last attempt failed: the receiver answered 500": {LastReason: "the receiver answered 500", Failures: 1, LastStatus: 500},
	} {
		if got := deliveryMessage(deliveryAsShown(state, 1)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if d := deliveryAsShown(registry.State{Waiting: []registry.Waiting{{SourceID: "src_1"}}}, 0); d.LastStatus != nil || d.LastReason != nil || d.LastDelivered != nil || d.Waiting[0].Status != nil {
		t.Errorf("what never happened is shown: %+v", d)
	}
}
