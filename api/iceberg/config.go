package iceberg

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// place is what a warehouse or prefix names: a workspace at a time.
type place struct {
	workspace string
	at        time.Time // zero for the present
	sequence  uint64    // of the last event up to that time; 0 for the present
}

// momentLayout is how a prefix writes a time: always in UTC, so that no
// character needs escaping in a path.
const momentLayout = "2006-01-02T15:04:05.000Z"

// prefix returns the place as it stands in paths.
func (p place) prefix() string {
	if p.at.IsZero() {
		return p.workspace
	}
	return p.workspace + "@" + p.at.UTC().Format(momentLayout)
}

// placeOf parses a warehouse: a workspace, or workspace@time for its state at
// that time.
func (h *Handler) placeOf(caller Caller, warehouse string) (p place, err error) {
	workspace, moment, past := strings.Cut(warehouse, "@")
	if !workspaceID().MatchString(workspace) || caller.Workspaces != nil && !slices.Contains(caller.Workspaces, workspace) {
		return p, fail(http.StatusNotFound, typeNoWarehouse, "There is no warehouse %s: name a workspace, or workspace@time for how it was then", quoted(warehouse))
	}
	p.workspace = workspace
	if !past {
		return p, nil
	}
	if p.at, err = parseMoment(moment); err != nil {
		return p, fail(http.StatusBadRequest, typeBadRequest, "What follows the @ of the warehouse must be a time such as 2026-01-31T12:00:00Z, not %s", quoted(moment))
	}
	if p.at.After(time.Now()) {
		return p, fail(http.StatusBadRequest, typeBadRequest, "The time of the warehouse %s lies in the future", quoted(warehouse))
	}
	if p.sequence, err = h.Reads.SequenceAt(p.at); err != nil {
		return p, err
	}
	if p.sequence == 0 {
		return p, fail(http.StatusNotFound, typeNoWarehouse, "There is no history of %s: the first event is later", quoted(moment))
	}
	return p, nil
}

// parseMoment parses a time. Without a zone it is UTC, and a date alone is its
// first moment.
func parseMoment(text string) (at time.Time, err error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", time.DateTime, time.DateOnly} {
		if at, err = time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return at, err
}

// config answers with the prefix of the warehouse's paths and the endpoints that
// are served.
func (h *Handler) config(w http.ResponseWriter, r *request) error {
	warehouse := r.URL.Query().Get("warehouse")
	if warehouse == "" {
		return fail(http.StatusBadRequest, typeBadRequest, "Name a warehouse: a workspace, or workspace@time for how it was then")
	}
	h.catchUp(r)
	at, err := h.placeOf(r.caller, warehouse)
	if err != nil {
		return err
	}
	var endpoints []string
	for _, t := range table() {
		if !t.open && t.Path != pathConfig && t.Path != pathView {
			endpoints = append(endpoints, t.Method+" /v1"+t.Path)
		}
	}
	return answer(w, r, map[string]any{
		"defaults": map[string]string{}, "overrides": map[string]string{"prefix": at.prefix()}, "endpoints": endpoints,
	})
}

func answer(w http.ResponseWriter, r *request, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	send(w, r.Request, http.StatusOK, body)
	return nil
}
