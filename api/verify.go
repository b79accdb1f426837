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

type verifyRequest struct {
	Scope     string    `json:"scope"`
	SourceIDs *[]string `json:"source_ids"`
	Tables    []string  `json:"tables"`
}

// planVerify compares what landed of sources with the sources.
func (h *Handler) planVerify(r *request, _ idempotency.Seed, prior []idempotency.Target) (*job, error) {
	var body verifyRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	owner := r.owner(body.Scope)
	j, err := h.jobOf(r, event.KindVerify, owner, body.SourceIDs, prior)
	if err != nil {
		return nil, err
	}
	if len(j.targets) == 0 {
		j.done, err = web.Success(http.StatusOK, "There is no data source to verify", comparedSources(nil, nil, nil))
		return j, err
	}
	j.payload = func(context.Context, idempotency.Target) (command.Data, error) {
		return &command.VerifySource{Tables: body.Tables}, nil
	}
	j.compose = func(op projections.Operation) (*web.Answer, error) { return composeVerify(body.SourceIDs, j, op) }
	return j, nil
}

type verifiedSource struct {
	SourceID string                     `json:"source_id"`
	Name     string                     `json:"name"`
	Tables   []projections.Verification `json:"tables"`
}

func comparedSources(sources []verifiedSource, failed []failedSource, operation any) map[string]any {
	if sources == nil {
		sources = []verifiedSource{}
	}
	if failed == nil {
		failed = []failedSource{}
	}
	return map[string]any{"verified_sources": sources, "failed_sources": failed, "operation_id": operation}
}

func composeVerify(ids *[]string, j *job, op projections.Operation) (*web.Answer, error) {
	var sources []verifiedSource
	var failed []failedSource
	found := map[string]int{}
	tables := 0
	for i, t := range j.targets {
		g := reported(op, i)
		if g == nil || g.Status != projections.StatusCompleted || g.Result == nil {
			failed = append(failed, failedTarget(t, g))
			continue
		}
		sources = append(sources, verifiedSource{SourceID: t.SourceID, Name: t.Name, Tables: g.Result.Verified})
		for _, v := range g.Result.Verified {
			found[v.Status]++
			tables++
		}
	}
	if len(sources) == 0 {
		return nil, none("No data source was verified", failed, fieldOf(ids))
	}
	message := "Compared " + web.Count(tables, "table")
	for _, status := range []string{event.VerifiedEqual, event.VerifiedBehind, event.VerifiedDifferent, event.Unverified} {
		if n := found[status]; n > 0 {
			message += fmt.Sprintf(", %d %s", n, status)
		}
	}
	return web.Success(http.StatusOK, message, comparedSources(sources, failed, op.ID))
}
