package api

import (
	"context"
	_ "embed"
	"net/http"
)

//go:embed asyncapi.yaml
var asyncDocument []byte

// asyncapi answers the contract of the events.
func (h *Handler) asyncapi(context.Context, *request) (*answer, error) {
	header := http.Header{"Content-Type": {"application/yaml"}, "Cache-Control": {"max-age=300"}}
	return &answer{status: http.StatusOK, header: header, body: asyncDocument}, nil
}
