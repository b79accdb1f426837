package commands

import (
	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/jobs"
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

// Refresh plans reading the schemas of sources again.
func (c *Calls) Refresh(r *call.Request, _ idempotency.Seed, prior []idempotency.Target) (*jobs.Job, error) {
	return perSource[refreshedSource]{
		kind: event.KindDiscover, list: "refreshed_sources",
		nothing: "There is no data source to look at", none: "No schema was read",
		command: func([]string) command.Data { return &command.DiscoverSchema{} },
		document: func(t idempotency.Target, result *projections.Result) refreshedSource {
			return refreshedSource{SourceID: t.SourceID, Name: t.Name, SchemaVersion: result.SchemaVersion, Tables: result.Tables}
		},
		message: func(done []refreshedSource, asked int) string {
			return "Read the schema of " + web.Of(len(done), asked, "data source")
		},
	}.plan(r, prior)
}
