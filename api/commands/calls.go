// Package commands has the calls that send commands. Each of its methods is a plan:
// it validates a request and returns the job, that is a command for each target and
// how the answer is composed from their outcomes. Package jobs carries it out.
package commands

import (
	"context"
	"encoding/json"
	"time"

	"headwater/api/reads"
	"headwater/bus/event"
	"headwater/connectors"
	"headwater/projections"
)

// Model is what plans and answers read. *projections.Store implements it, and
// documents each method.
type Model interface {
	reads.Sources
	FindSource(organization, workspace, owner, name string) (src projections.Source, incarnation uint64, found bool, err error)
	Sources(q projections.ListQuery) (all []projections.Source, next string, err error)
	SourceDoc(a event.Address) ([]byte, error)
	WasThere(a event.Address, sequence uint64) (bool, error)
	Position() uint64
	Sync(organization, workspace, id string) (projections.Sync, error)

	Schema(a event.Address, asOf uint64) (projections.Schema, error)
	Remarks(a event.Address) (projections.Remarks, error)
	Landed(a event.Address, namespace, table string) (projections.Landed, error)
}

// Connectors validates configurations. *connectors.Registry implements it.
type Connectors interface {
	// Describe returns the connectors of this build.
	Describe() []connectors.Description
	// Resolve returns the connector for a type and a configuration. Its error is
	// a *connectors.TypeError or a *connectors.ConfigError.
	Resolve(typ string, config json.RawMessage) (connector string, err error)
	// Split validates a configuration and separates the secrets from the rest.
	// Its error is a *connectors.ConfigError with every invalid setting.
	Split(connector string, config json.RawMessage) (public, secret json.RawMessage, err error)
}

// Vault encrypts what must not cross the bus in the clear. *seal.Vault
// implements it.
type Vault interface {
	// Seal encrypts the secrets of a source under its key and returns their
	// reference. SealFor does so for at most ttl.
	Seal(ctx context.Context, a event.Address, plaintext []byte) (ref string, err error)
	SealFor(ctx context.Context, a event.Address, plaintext []byte, ttl time.Duration) (ref string, err error)
	// Open returns the secrets that an update keeps. No answer shows them.
	Open(ctx context.Context, a event.Address, ref string) ([]byte, error)
}

// Calls are the calls that send commands. Every field except CheckSync is
// required. They are safe for concurrent use.
type Calls struct {
	Model      Model
	Connectors Connectors
	Vault      Vault
	// CheckSync validates sync options before anything starts. With nil only the
	// workers validate them.
	CheckSync   CheckSync
	MaxMetadata int           // bytes of one source's metadata
	Deadline    time.Duration // of a connection test
}
