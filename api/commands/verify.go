package commands

import (
	"fmt"

	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/jobs"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

type verifiedSource = sourceTables[projections.Verification]

// Verify plans the comparison of landed tables with their sources.
func (c *Calls) Verify(r *call.Request, _ idempotency.Seed, prior []idempotency.Target) (*jobs.Job, error) {
	return perSource[verifiedSource]{
		kind: event.KindVerify, list: "verified_sources",
		nothing: "There is no data source to verify", none: "No data source was verified",
		command:  func(tables []string) command.Data { return &command.VerifySource{Tables: tables} },
		document: tablesOf(func(result *projections.Result) []projections.Verification { return result.Verified }),
		message:  verifiedMessage,
	}.plan(r, prior)
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
