package projections

import "headwater/bus/event"

// ListQuery selects sources of one owner, in the order they were first
// connected.
type ListQuery struct {
	Organization, Workspace string
	Owner                   string // "" for scope "organization"
	Type                    string // type or connector, exactly; "" for any
	Name, Status            string // exactly; "" for any
	Search                  string // substring of the name, ignoring case
	Limit                   int    // documents per page; 0 for all
	Cursor                  string // Page.Next of the previous page
	AsOf                    uint64 // as it was after that sequence; 0 for now
	Removed                 bool   // removed sources that can be restored, instead of existing ones
}

// Size returns the number of bytes in the query's texts.
func (q ListQuery) Size() int {
	return len(q.Organization) + len(q.Workspace) + len(q.Owner) + len(q.Type) + len(q.Name) + len(q.Status) + len(q.Search) + len(q.Cursor)
}

// SchemaQuery selects tables of one source's schema.
type SchemaQuery struct {
	Address event.Address
	Table   string // "table" or "namespace.table", exactly; "" for all
	Limit   int    // tables per page; 0 for all
	Cursor  string // SchemaPage.Next of the previous page; stays at that page's version
	AsOf    uint64 // as it was after that sequence; 0 for now
}

// Size returns the number of bytes in the query's texts.
func (q SchemaQuery) Size() int {
	a := q.Address
	return len(a.Organization) + len(a.Workspace) + len(a.Owner) + len(a.Source) + len(q.Table) + len(q.Cursor)
}

// OperationQuery selects operations of one owner, newest first.
type OperationQuery struct {
	Organization, Workspace string
	Owner                   string // "" for scope "organization"
	Kind, Status            string // exactly; "" for any
	Limit                   int    // documents per page; 0 for all
	Cursor                  string // Page.Next of the previous page
}

// SyncQuery selects syncs of one workspace, newest first.
type SyncQuery struct {
	Organization, Workspace string
	Owners                  []string // whose syncs; "" for scope "organization"
	SourceID                string
	Status                  string
	Limit                   int    // documents per page; 0 for all
	Cursor                  string // Page.Next of the previous page
}
