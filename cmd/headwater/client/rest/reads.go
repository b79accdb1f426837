package rest

import (
	"context"
	"fmt"
	"net/url"

	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// Scopes are the scopes of a source.
var Scopes = []string{"user", "organization"}

// OtherScope returns the scope that is not this one.
func OtherScope(scope string) string {
	if scope == "organization" {
		return "user"
	}
	return "organization"
}

// Fetch gets a document and decodes it. Its error is an *APIError if the service
// refuses.
func Fetch[T any](ctx context.Context, c *Conn, path string, query url.Values) (T, error) {
	var doc T
	a, err := c.Get(ctx, path, query)
	if err != nil {
		return doc, err
	}
	return doc, a.Into(&doc)
}

// Sources returns the sources of a scope of the workspace.
func (c *Conn) Sources(ctx context.Context, scope string) ([]SourceDoc, error) {
	return Fetch[[]SourceDoc](ctx, c, c.Path("list"), url.Values{"scope": {scope}})
}

// RemovedSources returns the sources that can be restored.
func (c *Conn) RemovedSources(ctx context.Context, scope string) ([]SourceDoc, error) {
	return Fetch[[]SourceDoc](ctx, c, c.Path("list"), url.Values{"scope": {scope}, "removed": {"true"}})
}

// Operation returns an operation as it is now.
func (c *Conn) Operation(ctx context.Context, id string) (OperationDoc, error) {
	return Fetch[OperationDoc](ctx, c, c.Path("operations", id), nil)
}

// Sync returns a sync as it is now.
func (c *Conn) Sync(ctx context.Context, id string) (SyncDoc, error) {
	return Fetch[SyncDoc](ctx, c, c.Path("syncs", id), nil)
}

// Settled waits for the operation that a 202 names and returns it with true. It
// returns false if the answer is already the outcome.
func (c *Conn) Settled(ctx context.Context, s terminal.Streams, a Answer) (OperationDoc, bool, error) {
	if a.Code != 202 {
		return OperationDoc{}, false, nil
	}
	var accepted struct {
		OperationID string `json:"operation_id"`
	}
	if err := a.Into(&accepted); err != nil {
		return OperationDoc{}, false, err
	}
	s.Note("accepted as %s, still running", accepted.OperationID)
	op, err := c.WaitOperation(ctx, accepted.OperationID)
	return op, true, err
}

// WaitOperation waits until the operation has ended and returns it.
func (c *Conn) WaitOperation(ctx context.Context, id string) (OperationDoc, error) {
	for {
		op, err := c.Operation(ctx, id)
		if err != nil || op.Status != "running" {
			return op, err
		}
		if err := Sleep(ctx, c.Poll); err != nil {
			return op, Interrupted(id, err)
		}
	}
}

// Interrupted is the error of a command that stopped following an operation.
func Interrupted(id string, cause error) error {
	return exit.With(exit.Unknown, fmt.Errorf("stopped following (%w); it goes on in the service: 'headwater operation %s' shows it, with --cancel it ends", cause, id))
}
