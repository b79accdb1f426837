// Package reads has the calls that read: documents of the read model as they are
// stored, and rows and places of landed tables. None of them changes anything.
package reads

import (
	"headwater/bus/event"
	"headwater/projections"
)

// Model is what the calls read. *projections.Store implements it, and documents
// each method.
type Model interface {
	Position() uint64
	Source(a event.Address) (projections.Source, error)
	List(q projections.ListQuery) (projections.Page, error)
	ListVersion(organization, workspace, owner string) (version uint64, count int, err error)

	SchemaPage(q projections.SchemaQuery) (projections.SchemaPage, error)
	SchemaHistory(a event.Address, limit int, cursor string) (projections.Page, error)
	Columns(q projections.ColumnQuery) (projections.Page, error)

	Syncs(q projections.SyncQuery) (projections.Page, error)
	Operations(q projections.OperationQuery) (projections.Page, error)
	LandedTables(a event.Address) ([]projections.LandedTable, error)
	Checkpoints(q projections.CheckpointQuery) (projections.Page, error)
}

// Calls are the calls that read the model. They are safe for concurrent use.
type Calls struct {
	Model Model
	Lake  Lake
}
