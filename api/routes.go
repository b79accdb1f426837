package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"headwater/api/contract"
	"headwater/api/web"
)

// The two base paths of the API; see servers in openapi.yaml.
const (
	basePath    = "/api/v1"
	tenantPath  = "/jarvispy/{org}/{user}/api/v1"
	allowMethod = "Allow"
)

// read answers a GET or a DELETE.
type read func(h *Handler, ctx context.Context, r *request) (*web.Answer, error)

// route is an operation of the contract and the function that carries it out.
type route struct {
	method, path string // as in openapi.yaml
	open         bool   // needs no token; also served at the root
	read         read   // for a GET or DELETE
	plan         plan   // for a call that sends commands
	act          act    // for a POST that sends no command
	unkept       bool   // the answer of act shows a secret and is not stored
	anyRole      bool   // a viewer may call it too

	operation *contract.Operation
}

func (h *Handler) table() []route {
	const data = "/data/{workspace_id}"
	return []route{
		// The router tries routes in order, so the most frequent ones come
		// first.
		{method: http.MethodGet, path: data + "/list", read: (*Handler).list},
		{method: http.MethodGet, path: data + "/schema", read: (*Handler).schema},
		{method: http.MethodPost, path: data + "/connect", plan: (*Handler).planConnect},
		{method: http.MethodPost, path: data + "/sync", plan: (*Handler).planSync},
		{method: http.MethodPost, path: data + "/update", plan: (*Handler).planUpdate},
		{method: http.MethodPost, path: data + "/rename", plan: (*Handler).planRename},
		{method: http.MethodPost, path: data + "/cleanup", plan: (*Handler).planCleanup},
		{method: http.MethodPost, path: data + "/restore", plan: (*Handler).planRestore},
		{method: http.MethodPost, path: data + "/test-connection", plan: (*Handler).planTest},
		{method: http.MethodPost, path: data + "/verify", plan: (*Handler).planVerify},
		{method: http.MethodPost, path: data + "/maintenance", plan: (*Handler).planMaintain},
		{method: http.MethodGet, path: data + "/schema/history", read: (*Handler).schemaHistory},
		{method: http.MethodPost, path: data + "/schema/refresh", plan: (*Handler).planRefresh},
		{method: http.MethodGet, path: data + "/schema/columns", read: (*Handler).schemaColumns},
		{method: http.MethodGet, path: data + "/syncs", read: (*Handler).syncs},
		{method: http.MethodGet, path: data + "/syncs/{sync_id}", read: (*Handler).sync},
		{method: http.MethodGet, path: data + "/checkpoints", read: (*Handler).checkpoints},
		{method: http.MethodGet, path: data + "/tables", read: (*Handler).tables},
		{method: http.MethodGet, path: data + "/sources/{source_id}/schedule", read: (*Handler).schedule},
		{method: http.MethodPut, path: data + "/sources/{source_id}/schedule", plan: (*Handler).planSchedule},
		{method: http.MethodDelete, path: data + "/sources/{source_id}/schedule", plan: (*Handler).planUnschedule},
		{method: http.MethodGet, path: data + "/preview", read: (*Handler).preview},
		{method: http.MethodPost, path: data + "/syncs/{sync_id}/cancel", plan: (*Handler).planCancelSync},
		{method: http.MethodGet, path: data + "/operations", read: (*Handler).operations},
		{method: http.MethodGet, path: data + "/operations/{operation_id}", read: (*Handler).operation},
		{method: http.MethodPost, path: data + "/operations/{operation_id}/cancel", plan: (*Handler).planCancel},
		{method: http.MethodGet, path: data + "/events", read: (*Handler).events},
		{method: http.MethodPost, path: data + "/webhooks", act: (*Handler).createWebhook, unkept: true},
		{method: http.MethodGet, path: data + "/webhooks", read: (*Handler).webhooks},
		{method: http.MethodGet, path: data + "/webhooks/{webhook_id}", read: (*Handler).webhook},
		{method: http.MethodDelete, path: data + "/webhooks/{webhook_id}", read: (*Handler).deleteWebhook},
		{method: http.MethodPost, path: data + "/webhooks/{webhook_id}/test", act: (*Handler).testWebhook},
		{method: http.MethodPost, path: data + "/webhooks/{webhook_id}/rotate", act: (*Handler).rotateWebhook, unkept: true},
		{method: http.MethodPost, path: data + "/tokens", act: (*Handler).createToken, unkept: true, anyRole: true},
		{method: http.MethodGet, path: data + "/tokens", read: (*Handler).tokens},
		{method: http.MethodDelete, path: data + "/tokens/{token_id}", read: (*Handler).revokeToken, anyRole: true},
		{method: http.MethodGet, path: "/connectors", read: (*Handler).connectors},
		{method: http.MethodGet, path: "/healthz", open: true, read: (*Handler).healthz},
		{method: http.MethodGet, path: "/readyz", open: true, read: (*Handler).readyz},
		{method: http.MethodGet, path: "/openapi.yaml", open: true, read: (*Handler).openapi},
		{method: http.MethodGet, path: "/asyncapi.yaml", open: true, read: (*Handler).asyncapi},
		{method: http.MethodGet, path: "/schemas/{name}", open: true, read: (*Handler).payloadSchema},
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
		mounts := []string{basePath, tenantPath}
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
