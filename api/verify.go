package api

import (
	"fmt"

	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

type verifiedSource = sourceTables[projections.Verification]

// planVerify plans the comparison of landed tables with their sources.
func (h *Handler) planVerify(r *request, _ idempotency.Seed, prior []idempotency.Target) (*job, error) {
	var body tablesRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	return perSource[verifiedSource]{
		kind: event.KindVerify, list: "verified_sources",
		nothing: "There is no data source to verify", none: "No data source was verified",
		command: func() command.Data { return &command.VerifySource{Tables: body.Tables} },
		document: func(t idempotency.Target, result *projections.Result) verifiedSource {
			return verifiedSource{SourceID: t.SourceID, Name: t.Name, Tables: result.Verified}
		},
		message: verifiedMessage,
	}.plan(h, r, body.Scope, body.SourceIDs, prior)
}

// verifiedMessage says how many tables were compared, and how many have each
// status.
func verifiedMessage(sources []verifiedSource, _ int) string {
	tables, byStatus := 0, map[string]int{}
	for _, source := range sources {
		for _, t := range source.Tables {
			tables++
			byStatus[t.Status]++
		}
	}
	message := "Compared " + web.Count(tables, "table")
	for _, status := range []string{event.VerifiedEqual, event.VerifiedBehind, event.VerifiedDifferent, event.Unverified} {
		if n := byStatus[status]; n > 0 {
			message += fmt.Sprintf(", %d %s", n, status)
		}
	}
	return message
}
