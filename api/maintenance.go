package api

import (
	"context"
	"fmt"
	"net/http"

	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

type maintainRequest struct {
	Scope     string    `json:"scope"`
	SourceIDs *[]string `json:"source_ids"`
	Tables    []string  `json:"tables"`
}

// planMaintain joins the small files of landed tables and folds deleted rows in.
func (h *Handler) planMaintain(r *request, _ idempotency.Seed, prior []idempotency.Target) (*job, error) {
	var body maintainRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	owner := r.owner(body.Scope)
	j, err := h.jobOf(r, event.KindMaintain, owner, body.SourceIDs, prior)
	if err != nil {
		return nil, err
	}
	if len(j.targets) == 0 {
		j.done, err = web.Success(http.StatusOK, "There is no data source to maintain", maintainedSources(nil, nil, nil))
		return j, err
	}
	j.payload = func(context.Context, idempotency.Target) (command.Data, error) {
		return &command.MaintainSource{Tables: body.Tables, Asked: true}, nil
	}
	j.compose = func(op projections.Operation) (*web.Answer, error) { return composeMaintain(body.SourceIDs, j, op) }
	return j, nil
}

type maintainedSource struct {
	SourceID string                    `json:"source_id"`
	Name     string                    `json:"name"`
	Tables   []projections.Maintenance `json:"tables"`
}

func maintainedSources(sources []maintainedSource, failed []failedSource, operation any) map[string]any {
	if sources == nil {
		sources = []maintainedSource{}
	}
	if failed == nil {
		failed = []failedSource{}
	}
	return map[string]any{"maintained_sources": sources, "failed_sources": failed, "operation_id": operation}
}

func composeMaintain(ids *[]string, j *job, op projections.Operation) (*web.Answer, error) {
	var sources []maintainedSource
	var failed []failedSource
	tables, did := 0, 0
	for i, t := range j.targets {
		g := reported(op, i)
		if g == nil || g.Status != projections.StatusCompleted || g.Result == nil {
			failed = append(failed, failedTarget(t, g))
			continue
		}
		sources = append(sources, maintainedSource{SourceID: t.SourceID, Name: t.Name, Tables: g.Result.Maintained})
		for _, v := range g.Result.Maintained {
			if tables++; v.Status == event.Maintained {
				did++
			}
		}
	}
	if len(sources) == 0 {
		return nil, none("No data source was maintained", failed, fieldOf(ids))
	}
	message := fmt.Sprintf("Maintained %d of %s", did, web.Count(tables, "table"))
	return web.Success(http.StatusOK, message, maintainedSources(sources, failed, op.ID))
}
