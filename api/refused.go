package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"headwater/bus/event"
)

// refusedSource is the place of the source in the address of refusals.
const refusedSource = "refused"

// maxRefusal bounds the message and the options of a refusal, in bytes each.
const maxRefusal = 4 << 10

// refusalTime bounds how long a caller waits for its refusal to be recorded.
const refusalTime = 2 * time.Second

// recordRefusal writes into the history of the caller's organization that it was
// refused. What cannot be recorded is refused all the same.
func (h *Handler) recordRefusal(r *request, f *failure) {
	if r.caller.Organization == "" || !recorded(r.route.method, f) {
		return
	}
	workspace := r.workspace
	if workspace == "" {
		workspace = r.variable("workspace_id")
	}
	if !workspaceID().MatchString(workspace) {
		return
	}
	skipped, ok := h.refusals.take(r.caller.Organization, r.caller.Username, time.Now())
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.http.Context()), refusalTime)
	defer cancel()
	at := event.Address{Organization: r.caller.Organization, Workspace: workspace, Owner: r.caller.Username, Source: refusedSource}
	err := h.tell(ctx, r, newSeed(time.Now()).uuid("refused"), at, &event.RequestRefused{
		Method: r.route.method, Route: basePath + r.route.path, Status: f.status, Code: f.code, Message: cut(f.message, maxRefusal),
		Options: publicOptions(r), Unrecorded: skipped,
	})
	if err != nil {
		h.Log.Warn("a refusal is not in the history", "request_id", r.http.Header.Get(headerRequestID), "error", err)
	}
}

// cut returns at most so many bytes of a text, whole characters of it.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// recorded reports whether history tells of such a refusal. A read that found
// nothing is none of its matters, nor is what the caller is told to try again.
func recorded(method string, f *failure) bool {
	if f.header.Get("Retry-After") != "" {
		return false
	}
	switch f.status {
	case http.StatusForbidden:
		return true
	case http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity:
		return method != http.MethodGet
	}
	return false
}

// publicKeys are the members of a body that hold nothing of a connection.
var publicKeys = []string{"scope", "source_id", "source_ids", "sync_options", "tables", "dry_run", "purge", "name", "types", "after"}

// publicOptions returns what was asked for without anything that may be secret:
// names in the path, and members of the body that are known to be public. nil
// is nothing.
func publicOptions(r *request) json.RawMessage {
	options := map[string]any{}
	for name := range mux.Vars(r.http) {
		if value := r.variable(name); name != "org" && name != "user" && name != "workspace_id" && historyID().MatchString(value) {
			options[name] = value
		}
	}
	var body map[string]json.RawMessage
	if json.Unmarshal(r.body, &body) == nil {
		for _, key := range publicKeys {
			if value, there := body[key]; there {
				options[key] = value
			}
		}
		var named struct {
			Sources []struct {
				Type string `json:"type"`
				Name string `json:"name"`
			} `json:"sources"`
			Config struct {
				Type string `json:"type"`
			} `json:"source_config"`
		}
		if json.Unmarshal(r.body, &named) == nil {
			if len(named.Sources) > 0 {
				options["sources"] = named.Sources
			}
			if named.Config.Type != "" {
				options["type"] = named.Config.Type
			}
		}
	}
	encoded, err := json.Marshal(options)
	if err != nil || len(options) == 0 || len(encoded) > maxRefusal {
		return nil
	}
	return encoded
}

// How many refusals are recorded: at first, and then one in each interval.
const (
	refusalsOfCaller, callerInterval             = 20, 30 * time.Second
	refusalsOfOrganization, organizationInterval = 100, 10 * time.Second
	maxRefused                                   = 1024 // callers of an organization, and organizations
)

// refusals bounds what refused requests add to the history.
type refusals struct {
	mu  sync.Mutex
	all map[string]*organizationRefusals
}

type organizationRefusals struct {
	bucket
	callers map[string]*bucket
}

// bucket holds how many may be recorded now.
type bucket struct {
	left    float64
	at      time.Time
	skipped uint64
}

func (b *bucket) fill(now time.Time, most int, interval time.Duration) {
	if b.at.IsZero() {
		b.left = float64(most)
	} else {
		b.left = min(float64(most), b.left+float64(now.Sub(b.at))/float64(interval))
	}
	b.at = now
}

// take reports whether a refusal may be recorded now, and how many of the caller
// were not since the last. Of more callers or organizations than are followed
// none is recorded.
func (a *refusals) take(organization, caller string, now time.Time) (skipped uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[string]*organizationRefusals{}
	}
	org := a.all[organization]
	if org == nil {
		forget(a.all, func(o *organizationRefusals) time.Time { return o.at }, now.Add(-refusalsOfOrganization*organizationInterval))
		if len(a.all) >= maxRefused {
			return 0, false
		}
		org = &organizationRefusals{callers: map[string]*bucket{}}
		a.all[organization] = org
	}
	org.fill(now, refusalsOfOrganization, organizationInterval)
	one := org.callers[caller]
	if one == nil {
		forget(org.callers, func(b *bucket) time.Time { return b.at }, now.Add(-refusalsOfCaller*callerInterval))
		if len(org.callers) >= maxRefused {
			return 0, false
		}
		one = &bucket{}
		org.callers[caller] = one
	}
	one.fill(now, refusalsOfCaller, callerInterval)
	if org.left < 1 || one.left < 1 {
		one.skipped++
		return 0, false
	}
	org.left--
	one.left--
	skipped, one.skipped = one.skipped, 0
	return skipped, true
}

// forget drops, of as many as are followed, those whose last refusal is so old
// that they have all of their share again.
func forget[T any](all map[string]T, last func(T) time.Time, before time.Time) {
	if len(all) < maxRefused {
		return
	}
	for name, one := range all {
		if last(one).Before(before) {
			delete(all, name)
		}
	}
}
