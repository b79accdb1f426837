package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/event"
)

// refusedSource stands in the place of the source in the address of refusals.
const refusedSource = "refused"

// maxRefusal limits the message and the options of a recorded refusal, in bytes
// each.
const maxRefusal = 4 << 10

// refusalTime limits how long a refused caller waits until the refusal is
// recorded.
const refusalTime = 2 * time.Second

// recordRefusal appends RequestRefused to the history of the caller's
// organization. The request stays refused if that fails.
func (h *Handler) recordRefusal(r *call.Request, f *web.Failure) {
	if r.Caller.Organization == "" || !recorded(r.Method, f) {
		return
	}
	workspace := r.Workspace
	if workspace == "" {
		workspace = r.Variable("workspace_id")
	}
	if !call.WorkspaceID().MatchString(workspace) {
		return
	}
	skipped, ok := h.refusals.Take(r.Caller.Organization, r.Caller.Username, time.Now())
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.HTTP.Context()), refusalTime)
	defer cancel()
	at := event.Address{Organization: r.Caller.Organization, Workspace: workspace, Owner: r.Caller.Username, Source: refusedSource}
	err := r.Tell(ctx, h.Events, idempotency.NewSeed(time.Now()).UUID("refused"), at, &event.RequestRefused{
		Method: r.Method, Route: call.BasePath + r.Path, Status: f.Status, Code: f.Code, Message: cut(f.Message, maxRefusal),
		Options: publicOptions(r), Unrecorded: skipped,
	})
	if err != nil {
		h.Log.Warn("a refusal is not in the history", "request_id", r.ID(), "error", err)
	}
}

// cut shortens a text to at most that many bytes plus an ellipsis, and cuts no
// character in half.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// recorded reports whether a refusal belongs in the history. A read that found
// nothing does not, nor does a refusal that asks the caller to retry.
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

// publicKeys are the members of a request body that hold no connection settings.
var publicKeys = []string{"scope", "source_id", "source_ids", "sync_options", "tables", "dry_run", "purge", "name", "types", "after", "cron", "time_zone", "every", "jitter", "missed", "overlap", "paused", "continuous", "role", "workspaces", "expires_at"}

// publicOptions returns the parts of a request that are known not to be secret:
// names in the path and the publicKeys of the body. It returns nil if there are
// none, or too many to record.
func publicOptions(r *call.Request) json.RawMessage {
	options := map[string]any{}
	for name := range r.Vars {
		if value := r.Variable(name); name != "org" && name != "user" && name != "workspace_id" && call.HistoryID().MatchString(value) {
			options[name] = value
		}
	}
	var body map[string]json.RawMessage
	if json.Unmarshal(r.Body, &body) == nil {
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
		if json.Unmarshal(r.Body, &named) == nil {
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
