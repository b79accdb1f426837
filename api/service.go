package api

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"strings"
	"time"

	"headwater/api/call"
	"headwater/api/web"
)

// connectors answers with the connectors of this build.
func (h *Handler) connectors(_ context.Context, _ *call.Request) (*web.Answer, error) {
	all := h.Connectors.Describe()
	return web.Success(http.StatusOK, web.Count(len(all), "connector"), all)
}

// healthz answers 200 while the process is alive.
func (h *Handler) healthz(context.Context, *call.Request) (*web.Answer, error) {
	return web.Success(http.StatusOK, "alive", nil)
}

// readyz answers whether this node can serve: 200 or 503.
func (h *Handler) readyz(ctx context.Context, _ *call.Request) (*web.Answer, error) {
	select {
	case <-h.draining:
		return nil, web.Fail(http.StatusServiceUnavailable, "not_ready", "The node is shutting down").Later(5 * time.Second)
	default:
	}
	if h.Ready != nil {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if err := h.Ready(ctx); err != nil {
			// Anybody may ask, so the answer omits a cause that might name
			// hosts.
			why := "The node is not ready; its log says why"
			var told interface{ Told() string }
			if errors.As(err, &told) {
				why = "The node is not ready: " + told.Told()
			}
			return nil, web.Fail(http.StatusServiceUnavailable, "not_ready", "%s", why).Later(time.Second).Because(err)
		}
	}
	return web.Success(http.StatusOK, "ready", nil)
}

//go:embed openapi.yaml
var openapi []byte

//go:embed asyncapi.yaml
var asyncapi []byte

// openapi answers with the contract of the calls.
func (h *Handler) openapi(context.Context, *call.Request) (*web.Answer, error) {
	return document("application/yaml", openapi), nil
}

// asyncapi answers with the contract of the events.
func (h *Handler) asyncapi(context.Context, *call.Request) (*web.Answer, error) {
	return document("application/yaml", asyncapi), nil
}

// document answers with a file that changes only with the build.
func document(kind string, body []byte) *web.Answer {
	return &web.Answer{Status: http.StatusOK, Header: http.Header{"Content-Type": {kind}, "Cache-Control": {"max-age=300"}}, Body: body}
}

// payloadSchema answers with the JSON Schema of an event's or a command's
// payload.
func (h *Handler) payloadSchema(_ context.Context, r *call.Request) (*web.Answer, error) {
	name := strings.TrimSuffix(strings.TrimSuffix(r.Variable("name"), ".json"), ".v1")
	schema, ok := h.schemas[name]
	if !ok {
		return nil, web.Fail(http.StatusNotFound, "not_found", "There is no payload of that name; names look like SyncCompleted.v1.json")
	}
	return document("application/schema+json", schema), nil
}
