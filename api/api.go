// Package api is the REST API: commands in, reads out. A command becomes
// messages on the bus, and its answer waits for the outcome in the read model; a
// read returns documents of the read model as they are stored. openapi.yaml is
// the contract: requests are validated against it, and tests validate every
// answer.
//
// The server around the Handler sets ReadHeaderTimeout, IdleTimeout and
// MaxHeaderBytes. It must not set deadlines for bodies and answers: the Handler
// sets them for each request, because a command may wait for minutes.
package api

import (
	"context"
	"log/slog"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/api/commands"
	"headwater/api/events"
	"headwater/api/iceberg"
	"headwater/api/idempotency"
	"headwater/api/jobs"
	"headwater/api/reads"
	"headwater/api/tokens"
	"headwater/api/web"
	"headwater/api/webhooks"
)

// Reads is the read model: what each group of calls needs of it.
// *projections.Store implements it, and documents each method. All are safe for
// concurrent use.
type Reads interface {
	call.Model
	jobs.Model
	reads.Model
	commands.Model
	events.Model
	tokens.Model
	iceberg.Reads
}

// Vault encrypts what must not cross the bus in the clear. *seal.Vault
// implements it.
type Vault interface {
	commands.Vault
	jobs.Secrets
	// MAC returns a keyed hash that is the same on every node.
	MAC(data []byte) []byte
}

// Deps are what a Handler is built from. The Handler closes none of them. Every
// field except Catalog, Access, Ready, CheckSync, Answered, Log and Options is
// required.
type Deps struct {
	Commands   jobs.Commands
	Events     call.Events
	History    events.History
	Reads      Reads
	Connectors commands.Connectors
	Vault      Vault
	Lake       reads.Lake
	// Catalog answers the Iceberg REST catalog below /iceberg/v1; nil for no
	// catalog. Access gives its clients keys to the files; nil for none.
	Catalog iceberg.Lake
	Access  iceberg.Access
	// Recent returns when the read model has what the log had when it was called;
	// nil if it always has. The catalog's clients cannot say
	// X-Headwater-Min-Sequence.
	Recent      func(context.Context) error
	Idempotency idempotency.Bucket
	Webhooks    webhooks.Registry
	Auth        *auth.Authenticator
	// Ready returns nil when this node can serve: the read model has caught up
	// and the bus is connected. Its error is logged when somebody asks /readyz.
	// If the error has a method Told() string, the result is shown in the
	// answer. A nil Ready means always ready.
	Ready func(ctx context.Context) error
	// CheckSync validates sync options before anything starts. With nil only the
	// workers validate them.
	CheckSync commands.CheckSync
	// Answered is called once for each request after its answer; nil for nobody.
	// It is called concurrently and must not block.
	Answered func(web.Exchange)
	Log      *slog.Logger // for the operator; nil discards
	Options  Options
}
