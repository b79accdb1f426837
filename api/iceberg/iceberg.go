// Package iceberg is the read side of an Apache Iceberg REST catalog: a
// workspace is a warehouse, a source a namespace, a landed table a table. It
// answers engines in the words of Iceberg's specification and knows nothing of
// the table format: metadata is JSON that it hands on.
package iceberg

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"headwater/bus/event"
	"headwater/projections"
)

// Base is where the catalog is mounted. Engines are given Base, or its parent
// where they add the version by themselves.
const Base = "/iceberg/v1"

//go:embed openapi.yaml
var document []byte

// Contract returns the OpenAPI document of what is served below Base.
func Contract() []byte { return document }

var (
	// ErrNoTable is what a Lake returns for a table of which nothing landed, or
	// had landed at that time.
	ErrNoTable = errors.New("nothing of the table has landed")
	// ErrExpired is what a Lake returns for a table whose files of that time are
	// gone.
	ErrExpired = errors.New("the table's files of that time are gone")
	// ErrTokenExpired is what Deps.Verify wraps for a token that was valid once.
	ErrTokenExpired = errors.New("the token has expired")
)

// Caller is whoever a verified token belongs to.
type Caller struct {
	Organization, Username string
	// TokenID names the token where it can be revoked, "" elsewhere.
	TokenID string
	// Workspaces are those that the token reaches, nil for all.
	Workspaces []string
	Expires    time.Time
}

// Table is one state of a table.
type Table struct {
	Folder   string // where it lies, as a URL
	Location string // the metadata file that is the table, as a URL
	Metadata []byte // what is in it: JSON
}

// Lake tells what tables are. The wiring adapts the lake to it.
type Lake interface {
	// Metadata returns a table as it is, or as it was at a time that is not zero.
	// It returns ErrNoTable or ErrExpired.
	Metadata(ctx context.Context, a event.Address, namespace, table string, at time.Time) (Table, error)
}

// Reads is the read model, as *projections.Store has it.
type Reads interface {
	Sources(q projections.ListQuery) (all []projections.Source, next string, err error)
	List(q projections.ListQuery) (projections.Page, error)
	SequenceAt(at time.Time) (uint64, error)
	LandedTables(a event.Address) ([]projections.LandedTable, error)
}

// Ask is a table that a caller wants to read.
type Ask struct {
	Caller  Caller
	Address event.Address
	Table   Table
	// Delegated says that the caller takes keys to the files from the catalog.
	Delegated bool
	Request   *http.Request // as it came, for the name by which the caller reaches us
}

// View is a table as its reader is to see it.
type View struct {
	Table
	// Config is for the table's reader: settings and, where there are any, keys
	// that open files below the folder until Expires, which is zero without keys.
	Config  map[string]string
	Expires time.Time
}

// Access decides how callers reach a table's files. Its error is the lake's.
type Access interface {
	View(ctx context.Context, ask Ask) (View, error)
}

// Told is what the operator is told of a request.
type Told struct {
	Route                            string // below Base, "" for a path that is none
	Organization, Workspace, Subject string
	Code, Message                    string // of an error
}

// Deps are what a Handler is built from. All are lent. Verify, Reads and Lake are
// needed.
type Deps struct {
	// Verify returns whose token it is. Its error is for the caller, who may be
	// anybody.
	Verify func(token string) (Caller, error)
	Reads  Reads
	Lake   Lake
	// Access is nil for readers that reach the lake by themselves.
	Access Access
	// Told is called once for a request, before its answer. nil for nobody.
	Told func(w http.ResponseWriter, t Told)
	Log  *slog.Logger // nil discards
}

// Handler answers below Base. It is safe for concurrent use.
type Handler struct {
	Deps
	router http.Handler
}

// New returns a catalog. It starts nothing.
func New(d Deps) *Handler {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Told == nil {
		d.Told = func(http.ResponseWriter, Told) {}
	}
	if d.Access == nil {
		d.Access = direct{}
	}
	h := &Handler{Deps: d}
	h.router = h.routes()
	return h
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.router.ServeHTTP(w, r) }

// direct is a lake that readers reach by themselves.
type direct struct{}

func (direct) View(_ context.Context, ask Ask) (View, error) {
	return View{Table: ask.Table, Config: map[string]string{}}, nil
}
