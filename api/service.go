package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// connectors answers what can be connected.
func (h *Handler) connectors(_ context.Context, _ *request) (*answer, error) {
	all := h.Connectors.Describe()
	return success(http.StatusOK, count(len(all), "connector"), all)
}

// healthz answers that the process is alive.
func (h *Handler) healthz(context.Context, *request) (*answer, error) {
	return success(http.StatusOK, "alive", nil)
}

// readyz answers whether this node can serve.
func (h *Handler) readyz(ctx context.Context, _ *request) (*answer, error) {
	select {
	case <-h.draining:
		return nil, fail(http.StatusServiceUnavailable, "not_ready", "The node is shutting down").later(5 * time.Second)
	default:
	}
	if h.Ready != nil {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if err := h.Ready(ctx); err != nil {
			// Anybody may ask, so a cause that may name hosts is not told.
			why := "The node is not ready; its log says why"
			var told interface{ Told() string }
			if errors.As(err, &told) {
				why = "The node is not ready: " + told.Told()
			}
			return nil, &hidden{fail(http.StatusServiceUnavailable, "not_ready", "%s", why).later(time.Second), err}
		}
	}
	return success(http.StatusOK, "ready", nil)
}

// openapi answers the contract itself.
func (h *Handler) openapi(context.Context, *request) (*answer, error) {
	return &answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/yaml"}, "Cache-Control": {"max-age=300"}}, body: document}, nil
}

// payloadSchema answers the JSON Schema of an event's or a command's payload.
func (h *Handler) payloadSchema(_ context.Context, r *request) (*answer, error) {
	name := strings.TrimSuffix(strings.TrimSuffix(r.variable("name"), ".json"), ".v1")
	schema, ok := h.schemas[name]
	if !ok {
		return nil, fail(http.StatusNotFound, "not_found", "There is no payload of that name; names look like SyncCompleted.v1.json")
	}
	return &answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/schema+json"}, "Cache-Control": {"max-age=300"}}, body: schema}, nil
}
