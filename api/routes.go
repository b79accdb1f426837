package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"headwater/api/call"
	"headwater/api/contract"
	"headwater/api/jobs"
	"headwater/api/web"
)

const allowMethod = "Allow"

// read answers a GET or a DELETE.
type read func(ctx context.Context, r *call.Request) (*web.Answer, error)

// route is an operation of the contract and the function that carries it out.
type route struct {
	method, path string    // as in openapi.yaml
	open         bool      // needs no token; also served at the root
	read         read      // for a GET or DELETE
	plan         jobs.Plan // for a call that sends commands
	act          jobs.Act  // for a POST that sends no command
	unkept       bool      // the answer of act shows a secret and is not stored
	anyRole      bool      // a viewer may call it too

	operation *contract.Operation
}

func (h *Handler) table() []route {
	const data = "/data/{workspace_id}"
	return []route{
		// The router tries routes in order, so the most frequent ones come
		// first.
		{method: http.MethodGet, path: data + "/list", read: h.reads.List},
		{method: http.MethodGet, path: data + "/schema", read: h.reads.Schema},
		{method: http.MethodPost, path: data + "/connect", plan: h.commands.Connect},
		{method: http.MethodPost, path: data + "/sync", plan: h.commands.Sync},
		{method: http.MethodPost, path: data + "/update", plan: h.commands.Update},
		{method: http.MethodPost, path: data + "/rename", plan: h.commands.Rename},
		{method: http.MethodPost, path: data + "/cleanup", plan: h.commands.Cleanup},
		{method: http.MethodPost, path: data + "/restore", plan: h.commands.Restore},
		{method: http.MethodPost, path: data + "/test-connection", plan: h.commands.Test},
		{method: http.MethodPost, path: data + "/verify", plan: h.commands.Verify},
		{method: http.MethodPost, path: data + "/maintenance", plan: h.commands.Maintain},
		{method: http.MethodGet, path: data + "/schema/history", read: h.reads.SchemaHistory},
		{method: http.MethodPost, path: data + "/schema/refresh", plan: h.commands.Refresh},
		{method: http.MethodGet, path: data + "/schema/columns", read: h.reads.SchemaColumns},
		{method: http.MethodGet, path: data + "/syncs", read: h.reads.Syncs},
		{method: http.MethodGet, path: data + "/syncs/{sync_id}", read: h.reads.Sync},
		{method: http.MethodGet, path: data + "/checkpoints", read: h.reads.Checkpoints},
		{method: http.MethodGet, path: data + "/tables", read: h.reads.Tables},
		{method: http.MethodGet, path: data + "/sources/{source_id}/schedule", read: h.reads.Schedule},
		{method: http.MethodPut, path: data + "/sources/{source_id}/schedule", plan: h.commands.SetSchedule},
		{method: http.MethodDelete, path: data + "/sources/{source_id}/schedule", plan: h.commands.RemoveSchedule},
		{method: http.MethodGet, path: data + "/preview", read: h.reads.Preview},
		{method: http.MethodPost, path: data + "/syncs/{sync_id}/cancel", plan: h.commands.CancelSync},
		{method: http.MethodGet, path: data + "/operations", read: h.reads.Operations},
		{method: http.MethodGet, path: data + "/operations/{operation_id}", read: h.reads.Operation},
		{method: http.MethodPost, path: data + "/operations/{operation_id}/cancel", plan: h.commands.CancelOperation},
		{method: http.MethodGet, path: data + "/events", read: h.events.Events},
		{method: http.MethodPost, path: data + "/webhooks", act: h.webhooks.Create, unkept: true},
		{method: http.MethodGet, path: data + "/webhooks", read: h.webhooks.List},
		{method: http.MethodGet, path: data + "/webhooks/{webhook_id}", read: h.webhooks.Get},
		{method: http.MethodDelete, path: data + "/webhooks/{webhook_id}", read: h.webhooks.Delete},
		{method: http.MethodPost, path: data + "/webhooks/{webhook_id}/test", act: h.webhooks.Test},
		{method: http.MethodPost, path: data + "/webhooks/{webhook_id}/rotate", act: h.webhooks.Rotate, unkept: true},
		{method: http.MethodPost, path: data + "/tokens", act: h.tokens.Create, unkept: true, anyRole: true},
		{method: http.MethodGet, path: data + "/tokens", read: h.tokens.List},
		{method: http.MethodDelete, path: data + "/tokens/{token_id}", read: h.tokens.Revoke, anyRole: true},
		{method: http.MethodGet, path: "/connectors", read: h.connectors},
		{method: http.MethodGet, path: "/healthz", open: true, read: h.healthz},
		{method: http.MethodGet, path: "/readyz", open: true, read: h.readyz},
		{method: http.MethodGet, path: "/openapi.yaml", open: true, read: h.openapi},
		{method: http.MethodGet, path: "/asyncapi.yaml", open: true, read: h.asyncapi},
		{method: http.MethodGet, path: "/schemas/{name}", open: true, read: h.payloadSchema},
	}
}

// routes mounts every operation. It fails if the contract lacks one of them.
func (h *Handler) routes() (*mux.Router, error) {
	// An encoded slash is part of a name. A path that needs cleaning is a 404
	// rather than a redirect.
	router := mux.NewRouter().UseEncodedPath().SkipClean(true)
	byPath := map[string][]route{}
	var paths []string
	for _, t := range h.table() {
		var err error
		if t.operation, err = h.contract.Operation(t.method, t.path); err != nil {
			return nil, err
		}
		if byPath[t.path] == nil {
			paths = append(paths, t.path)
		}
		byPath[t.path] = append(byPath[t.path], t)
	}
	for _, path := range paths {
		methods := byPath[path]
		mounts := []string{call.BasePath, call.TenantPath}
		if methods[0].open {
			mounts = append(mounts, "")
		}
		for _, mount := range mounts {
			router.HandleFunc(mount+path, func(w http.ResponseWriter, r *http.Request) { h.dispatch(w, r, methods) })
		}
	}
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		web.Fail(http.StatusNotFound, "not_found", "There is nothing at this path; /openapi.yaml lists the calls").Answer().Write(w, r)
	})
	return router, nil
}

// dispatch calls the operation of the path that has the request's method.
func (h *Handler) dispatch(w http.ResponseWriter, r *http.Request, methods []route) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	at := slices.IndexFunc(methods, func(t route) bool { return t.method == method })
	if at < 0 {
		var allowed []string
		for _, t := range methods {
			allowed = append(allowed, t.method)
			if t.method == http.MethodGet {
				allowed = append(allowed, http.MethodHead)
			}
		}
		allow := strings.Join(allowed, ", ")
		web.Fail(http.StatusMethodNotAllowed, "method_not_allowed", "This path takes %s", allow).Set(allowMethod, allow).Answer().Write(w, r)
		return
	}
	h.handle(w, r, methods[at])
}
