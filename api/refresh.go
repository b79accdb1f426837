package api

import (
	"context"
	"net/http"

	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

type refreshRequest struct {
	Scope     string    `json:"scope"`
	SourceIDs *[]string `json:"source_ids"`
}

type refreshedSource struct {
	SourceID      string `json:"source_id"`
	Name          string `json:"name"`
	SchemaVersion int    `json:"schema_version"`
	Tables        int    `json:"tables"`
}

// planRefresh reads the schemas of sources again.
func (h *Handler) planRefresh(r *request, _ idempotency.Seed, prior []idempotency.Target) (*job, error) {
	var body refreshRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	owner := r.owner(body.Scope)
	j, err := h.jobOf(r, event.KindDiscover, owner, body.SourceIDs, prior)
	if err != nil {
		return nil, err
	}
	if len(j.targets) == 0 {
		j.done, err = web.Success(http.StatusOK, "There is no data source to look at", refreshed([]refreshedSource{}, []failedSource{}, nil))
		return j, err
	}
	j.payload = func(context.Context, idempotency.Target) (command.Data, error) { return &command.DiscoverSchema{}, nil }
	j.compose = func(op projections.Operation) (*web.Answer, error) { return composeRefresh(body.SourceIDs, j, op) }
	return j, nil
}

func refreshed(sources []refreshedSource, failed []failedSource, operation any) map[string]any {
	return map[string]any{"refreshed_sources": sources, "failed_sources": failed, "operation_id": operation}
}

func composeRefresh(ids *[]string, j *job, op projections.Operation) (*web.Answer, error) {
	sources, failed := []refreshedSource{}, []failedSource{}
	for i, t := range j.targets {
		g := reported(op, i)
		if g == nil || g.Status != projections.StatusCompleted || g.Result == nil {
			failed = append(failed, failedTarget(t, g))
			continue
		}
		sources = append(sources, refreshedSource{SourceID: t.SourceID, Name: t.Name, SchemaVersion: g.Result.SchemaVersion, Tables: g.Result.Tables})
	}
	if len(sources) == 0 {
		return nil, none("No schema was read", failed, fieldOf(ids))
	}
	return web.Success(http.StatusOK, "Read the schema of "+web.Of(len(sources), len(j.targets), "data source"), refreshed(sources, failed, op.ID))
}
