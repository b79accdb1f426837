package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"headwater/api/idempotency"
	"headwater/api/web"
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
func (h *Handler) recordRefusal(r *request, f *web.Failure) {
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
	skipped, ok := h.refusals.Take(r.caller.Organization, r.caller.Username, time.Now())
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.http.Context()), refusalTime)
	defer cancel()
	at := event.Address{Organization: r.caller.Organization, Workspace: workspace, Owner: r.caller.Username, Source: refusedSource}
	err := h.tell(ctx, r, idempotency.NewSeed(time.Now()).UUID("refused"), at, &event.RequestRefused{
		Method: r.route.method, Route: basePath + r.route.path, Status: f.Status, Code: f.Code, Message: cut(f.Message, maxRefusal),
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
func recorded(method string, f *web.Failure) bool {
	if f.Header.Get("Retry-After") != "" {
		return false
	}
	switch f.Status {
	case http.StatusForbidden:
		return true
	case http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity:
		return method != http.MethodGet
	}
	return false
}

// publicKeys are the members of a body that hold nothing of a connection.
var publicKeys = []string{"scope", "source_id", "source_ids", "sync_options", "tables", "dry_run", "purge", "name", "types", "after", "cron", "time_zone", "every", "jitter", "missed", "overlap", "paused", "continuous", "role", "workspaces", "expires_at"}

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
