package api

import (
	"fmt"

	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

type maintainedSource = sourceTables[projections.Maintenance]

// planMaintain plans the maintenance of landed tables: small files are joined and
// deleted rows are folded into the data files.
func (h *Handler) planMaintain(r *request, _ idempotency.Seed, prior []idempotency.Target) (*job, error) {
	var body tablesRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	return perSource[maintainedSource]{
		kind: event.KindMaintain, list: "maintained_sources",
		nothing: "There is no data source to maintain", none: "No data source was maintained",
		command: func() command.Data { return &command.MaintainSource{Tables: body.Tables, Asked: true} },
		document: func(t idempotency.Target, result *projections.Result) maintainedSource {
			return maintainedSource{SourceID: t.SourceID, Name: t.Name, Tables: result.Maintained}
		},
		message: maintainedMessage,
	}.plan(h, r, body.Scope, body.SourceIDs, prior)
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
