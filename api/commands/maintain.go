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

type maintainedSource = sourceTables[projections.Maintenance]

// Maintain plans the maintenance of landed tables: small files are joined and
// deleted rows are folded into the data files.
func (c *Calls) Maintain(r *call.Request, _ idempotency.Seed, prior []idempotency.Target) (*jobs.Job, error) {
	return perSource[maintainedSource]{
		kind: event.KindMaintain, list: "maintained_sources",
		nothing: "There is no data source to maintain", none: "No data source was maintained",
		command:  func(tables []string) command.Data { return &command.MaintainSource{Tables: tables, Asked: true} },
		document: tablesOf(func(result *projections.Result) []projections.Maintenance { return result.Maintained }),
		message:  maintainedMessage,
	}.plan(r, prior)
}

func maintainedMessage(sources []maintainedSource, _ int) string {
	tables, maintained := 0, 0
	for _, source := range sources {
		for _, t := range source.Tables {
			if tables++; t.Status == event.Maintained {
				maintained++
			}
		}
	}
	return fmt.Sprintf("Maintained %d of %s", maintained, web.Count(tables, "table"))
}
