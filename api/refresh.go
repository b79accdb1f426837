package api

import (
	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

type refreshedSource struct {
	SourceID      string `json:"source_id"`
	Name          string `json:"name"`
	SchemaVersion int    `json:"schema_version"`
	Tables        int    `json:"tables"`
}

// planRefresh plans reading the schemas of sources again.
func (h *Handler) planRefresh(r *request, _ idempotency.Seed, prior []idempotency.Target) (*job, error) {
	var body sourcesRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	return perSource[refreshedSource]{
		kind: event.KindDiscover, list: "refreshed_sources",
		nothing: "There is no data source to look at", none: "No schema was read",
		command: func() command.Data { return &command.DiscoverSchema{} },
		document: func(t idempotency.Target, result *projections.Result) refreshedSource {
			return refreshedSource{SourceID: t.SourceID, Name: t.Name, SchemaVersion: result.SchemaVersion, Tables: result.Tables}
		},
		message: func(done []refreshedSource, asked int) string {
			return "Read the schema of " + web.Of(len(done), asked, "data source")
		},
	}.plan(h, r, body.Scope, body.SourceIDs, prior)
}
