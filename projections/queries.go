package projections

import "headwater/bus/event"

// ListQuery selects sources of one owner, in the order they were connected.
type ListQuery struct {
	Organization, Workspace string
	Owner                   string // empty for scope "organization"
	Type                    string // type or connector, exactly
	Name, Status            string // exactly
	Search                  string // in the name, ignoring case
	Limit                   int    // documents a page; 0 is all
	Cursor                  string // Page.Next of the page before
	AsOf                    uint64 // as it was after that sequence; 0 is now
	Removed                 bool   // those that were removed and can be restored, instead of those that are there
}

// SchemaQuery selects tables of one source's schema.
type SchemaQuery struct {
	Address event.Address
	Table   string // "table" or "namespace.table", exactly
	Limit   int    // tables a page; 0 is all
	Cursor  string // SchemaPage.Next of the page before; it stays with that page's version
	AsOf    uint64 // as it was after that sequence; 0 is now
}

// OperationQuery selects operations of one owner, newest first.
type OperationQuery struct {
	Organization, Workspace string
	Owner                   string // empty for scope "organization"
	Kind, Status            string // exactly
	Limit                   int    // documents a page; 0 is all
	Cursor                  string // Page.Next of the page before
}

// SyncQuery selects syncs of one workspace, newest first.
type SyncQuery struct {
	Organization, Workspace string
	Owners                  []string // whose; "" for scope "organization"
	SourceID                string
	Status                  string
	Limit                   int    // documents a page; 0 is all
	Cursor                  string // Page.Next of the page before
}
