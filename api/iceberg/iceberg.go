// Package iceberg is the read side of an Apache Iceberg REST catalog: a
// workspace is a warehouse, a source is a namespace, a landed table is a table.
// It follows the specification that openapi.yaml quotes. It does not know the
// table format: metadata is JSON that it passes on.
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

// Base is the path below which the catalog is mounted. Engines are given Base,
// or its parent if they add the version themselves.
const Base = "/iceberg/v1"

//go:embed openapi.yaml
var document []byte

// Contract returns the OpenAPI document of the routes below Base. Callers must
// not change it.
func Contract() []byte { return document }

var (
	// ErrNoTable is what a Lake returns if nothing of the table has landed, or
	// had landed by that time.
	ErrNoTable = errors.New("nothing of the table has landed")
	// ErrExpired is what a Lake returns if the files of a table at that time are
	// gone.
	ErrExpired = errors.New("the table's files of that time are gone")
	// ErrTokenExpired is what Deps.Verify wraps for a token that has expired.
	ErrTokenExpired = errors.New("the token has expired")
	// ErrLookup is what Deps.Verify wraps for a token that may be valid, but cannot
	// be looked up now.
	ErrLookup = errors.New("API tokens cannot be looked up on this node now; try again")
)

// Caller is the bearer of a verified token.
type Caller struct {
	Organization, Username string
	// TokenID is the id of a token that can be revoked, else "".
	TokenID string
	// Workspaces are those in which the token may be used; nil for all.
	Workspaces []string
	Expires    time.Time
}

// Table is one state of a table.
type Table struct {
	Folder   string // where the table is stored, as a URL
	Location string // URL of the metadata file that defines the table
	Metadata []byte // content of that file: JSON
}

// Lake reads the state of tables. The wiring adapts the lake to it.
type Lake interface {
	// Metadata returns a table as it is, or as it was at a non-zero time. It
	// returns ErrNoTable or ErrExpired if that does not exist.
	Metadata(ctx context.Context, a event.Address, namespace, table string, at time.Time) (Table, error)
}

// Reads is the part of the read model that the catalog uses. *projections.Store
// implements it.
type Reads interface {
	// The methods are documented on *projections.Store.

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
	// Delegated means that the caller accepts keys to the files from the
	// catalog.
	Delegated bool
	Request   *http.Request // the request, for the host name by which the caller reached the service
}

// View is a table as its reader should see it.
type View struct {
	Table
	// Config has settings for the table's reader and, if there are any, keys
	// that open files below the folder until Expires, which is zero without
	// keys.
	Config  map[string]string
	Expires time.Time
	// Warning is why a caller that accepts keys gets none, if somebody was asked for
	// them.
	Warning string
}

// Access decides how callers reach a table's files. If it fails, the caller gets
// a 500.
type Access interface {
	// View returns the table as the caller should see it. If it fails, the
	// answer is a 500.
	View(ctx context.Context, ask Ask) (View, error)
}

// Exchange describes a request and its answer for the operator.
type Exchange struct {
	Route                            string // below Base; "" for an unknown path
	Organization, Workspace, Subject string
	Code, Message                    string // of an error
}

// Deps are what a Handler is built from. The Handler closes none of them.
// Verify, Reads and Lake are required.
type Deps struct {
	// Verify returns the bearer of a token. The text of its error is shown to
	// the caller, who may be anybody.
	Verify func(token string) (Caller, error)
	Reads  Reads
	Lake   Lake
	// Access is nil if readers reach the lake by themselves.
	Access Access
	// Recent returns when Reads has what the log had when it was called: what another
	// node answered before is then known here, too. nil for a node that is alone.
	Recent func(ctx context.Context) error
	// Note is called once for each request, before its answer; nil for nobody.
	Note func(w http.ResponseWriter, x Exchange)
	Log  *slog.Logger // nil discards
}

// Handler answers requests below Base. It is safe for concurrent use.
type Handler struct {
	Deps
	router http.Handler
}

// New returns a catalog. It starts no goroutine.
func New(d Deps) *Handler {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Note == nil {
		d.Note = func(http.ResponseWriter, Exchange) {}
	}
	if d.Access == nil {
		d.Access = direct{}
	}
	h := &Handler{Deps: d}
	h.router = h.routes()
	return h
}

// ServeHTTP answers one request. The path begins with Base.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.router.ServeHTTP(w, r) }

// direct is the Access of a lake that readers reach by themselves.
type direct struct{}

func (direct) View(_ context.Context, ask Ask) (View, error) {
	return View{Table: ask.Table, Config: map[string]string{}}, nil
}
