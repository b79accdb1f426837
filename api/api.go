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
	"encoding/json"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/api/auth"
	"headwater/api/iceberg"
	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/webhooks"
	"headwater/connectors"
	"headwater/projections"
)

// Commands sends commands to the workers. *bus.Bus implements it.
type Commands interface {
	// Send returns nil once the command is durable. A command with an id that
	// was sent before is stored once. After an error the command may or may not
	// have been stored.
	Send(ctx context.Context, c *command.Command) error
}

// Events appends events of the API's own to the log. *bus.Bus implements it.
type Events interface {
	// Append publishes e as the next event of its address's history and returns
	// its sequence. If the last sequence of that history is not after, it stores
	// nothing and its error wraps kv.ErrConflict.
	Append(ctx context.Context, after uint64, e *event.Event) (uint64, error)
	// LastSequence returns the sequence of the newest event in the history of an
	// address, or 0 if there is none.
	LastSequence(ctx context.Context, a event.Address) (uint64, error)
}

// History reads the log. The wiring adapts the bus to it.
type History interface {
	// State returns the first and the last sequence that the log holds, and when
	// the log was created.
	State(ctx context.Context) (first, last uint64, created time.Time, err error)
	// NewestOf returns the sequence of the newest event that matches any of the
	// subject filters, or 0 if there is none.
	NewestOf(ctx context.Context, filters ...string) (uint64, error)
	// Past calls each with the matching events after one sequence and up to
	// another, in order, until each returns false. last must not exceed what
	// NewestOf returned for the filters.
	Past(ctx context.Context, after, last uint64, filters []string, each func(*message.Message) bool) error
	// Follow returns a subscriber to the events after that sequence, past and
	// future, in order. Its topic is one or more subject filters joined by
	// commas. A subscription ends, and its channel is closed, when its context
	// is done.
	Follow(after uint64) message.Subscriber
	// Decode reads a message. The sequence is valid even if err is not nil.
	Decode(msg *message.Message) (sequence uint64, e *event.Event, err error)
}

// Reads is the read model. *projections.Store implements it, and documents each
// method. All are safe for concurrent use.
type Reads interface {
	Position() uint64
	Wait(ctx context.Context, sequence uint64) error
	SequenceAt(at time.Time) (uint64, error)

	Source(a event.Address) (projections.Source, error)
	AnySource(a event.Address) (projections.Source, error)
	WasThere(a event.Address, sequence uint64) (bool, error)
	SourceDoc(a event.Address) ([]byte, error)
	FindSource(organization, workspace, owner, name string) (src projections.Source, incarnation uint64, found bool, err error)
	Sources(q projections.ListQuery) (all []projections.Source, next string, err error)
	List(q projections.ListQuery) (projections.Page, error)
	ListVersion(organization, workspace, owner string) (version uint64, count int, err error)

	SchemaPage(q projections.SchemaQuery) (projections.SchemaPage, error)
	SchemaHistory(a event.Address, limit int, cursor string) (projections.Page, error)
	Columns(q projections.ColumnQuery) (projections.Page, error)
	Schema(a event.Address, asOf uint64) (projections.Schema, error)
	Remarks(a event.Address) (projections.Remarks, error)

	Sync(organization, workspace, id string) (projections.Sync, error)
	Syncs(q projections.SyncQuery) (projections.Page, error)
	Landed(a event.Address, namespace, table string) (projections.Landed, error)
	LandedTables(a event.Address) ([]projections.LandedTable, error)
	Checkpoints(q projections.CheckpointQuery) (projections.Page, error)

	Token(id string) (projections.Token, error)
	Tokens(organization string, use func(projections.Token) bool) error
	WatchSource(ctx context.Context, a event.Address) <-chan struct{}

	Operation(organization, workspace, id string) (projections.Operation, error)
	Operations(q projections.OperationQuery) (projections.Page, error)
	WaitOperation(ctx context.Context, organization, workspace, id string) (projections.Operation, error)
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

// Lake says where landed tables are stored and reads rows of them. The wiring
// Place returns the URLs of a table's folder and of the metadata file that
// defines it now.
// adapts the lake to it. Its methods return ErrNotLanded for a table that has
// never landed.
type Lake interface {
	Place(ctx context.Context, a event.Address, namespace, table string) (location, metadata string, err error)
	// Bucket returns the settings that a reader of a lake in a bucket needs
	// besides the URL; no credentials.
	Bucket() map[string]string
	// Show returns up to limit rows of the table at that moment. The values
	// marshal to JSON; an int64 may exceed what JSON readers represent exactly.
	// Show returns ErrNotLanded if nothing had landed by then, ErrExpired or
	// ErrLake.
	Show(ctx context.Context, a event.Address, namespace, table string, limit int, moment Moment) (Shown, error)
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
	// Forget deletes sealed secrets. Unknown ones are not an error.
	Forget(ctx context.Context, a event.Address, ref string) error
	// MAC returns a keyed hash that is the same on every node.
	MAC(data []byte) []byte
}

// Webhooks stores webhooks, the URLs that events are posted to.
// *webhooks.Registry implements it; the errors are those of that package.
type Webhooks interface {
	// CheckURL returns an error if events may not be posted to the URL.
	CheckURL(ctx context.Context, text string) error
	// Create stores a webhook. It leaves an existing one with the same id
	// unchanged.
	Create(ctx context.Context, w webhooks.Webhook, key []byte) error
	// Get and List return webhooks. Get's error wraps webhooks.ErrNotFound if
	// there is none at the address.
	Get(ctx context.Context, a event.Address) (webhooks.Webhook, error)
	List(ctx context.Context, organization, workspace, owner string) ([]webhooks.Webhook, error)
	// Progress returns the delivery state of a webhook and how many events are
	// still to be delivered.
	Progress(ctx context.Context, w webhooks.Webhook) (s webhooks.State, pending uint64, err error)
	// Rotate replaces the signing key. The previous key signs as well until the
	// webhook's PreviousUntil.
	Rotate(ctx context.Context, a event.Address, key []byte) (webhooks.Webhook, error)
	// Test posts a test event with that id and returns the attempt, which may
	// have failed.
	Test(ctx context.Context, a event.Address, id string) (webhooks.Attempt, error)
	// Delete deletes a webhook. Its error wraps webhooks.ErrNotFound if there is
	// none.
	Delete(ctx context.Context, a event.Address) error
}

// Deps are what a Handler is built from. The Handler closes none of them. Every
// field except Catalog, Access, Ready, CheckSync, Answered, Log and Options is
// required.
type Deps struct {
	Commands   Commands
	Events     Events
	History    History
	Reads      Reads
	Connectors Connectors
	Vault      Vault
	Lake       Lake
	// Catalog answers the Iceberg REST catalog below /iceberg/v1; nil for no
	// catalog. Access gives its clients keys to the files; nil for none.
	Catalog     iceberg.Lake
	Access      iceberg.Access
	Idempotency idempotency.Bucket
	Webhooks    Webhooks
	Auth        *auth.Authenticator
	// Ready returns nil when this node can serve: the read model has caught up
	// and the bus is connected. Its error is logged when somebody asks /readyz.
	// If the error has a method Told() string, the result is shown in the
	// answer. A nil Ready means always ready.
	Ready func(ctx context.Context) error
	// CheckSync validates sync options before anything starts. With nil only the
	// workers validate them.
	CheckSync CheckSync
	// Answered is called once for each request after its answer; nil for nobody.
	// It is called concurrently and must not block.
	Answered func(web.Exchange)
	Log      *slog.Logger // for the operator; nil discards
	Options  Options
}

// Options limit what requests may cost. A zero field means its default.
type Options struct {
	Wait            time.Duration // how long a command waits for its outcome, default 60 s
	MaxWait         time.Duration // the most that Prefer: wait may ask for, default 5 min, or Wait if that is longer
	MinSequenceWait time.Duration // how long a request waits for X-Headwater-Min-Sequence, default 10 s
	Send            time.Duration // how long to try to send commands that the bus does not accept, default 15 s
	Deadline        time.Duration // of connects, tests, cleanups and cancels, default 10 min
	SyncDeadline    time.Duration // of syncs, default 24 h
	Lease           time.Duration // how long after its last renewal a request with an Idempotency-Key counts as abandoned, default 15 s
	KeepAnswers     time.Duration // how long answers to requests with an Idempotency-Key are stored, default 24 h
	MaxBody         int64         // bytes of a request, default 1 MiB
	MaxMetadata     int           // bytes of one source's metadata, default 16 KiB
	MaxInFlight     int           // commands that one workspace may have in progress on this node, default 128; its organization 4 times as many
	MaxStreams      int           // event streams one user may have open on this node, default 32; a workspace 4, an organization 16 times as many
	MaxPages        int           // pages of events that one organization may have in progress on this node, default 32
	MaxUnread       int64         // bytes of large answers that clients of one organization have not read, default 128 MiB
	Heartbeat       time.Duration // between two comments that keep an idle event stream open, default 15 s
	StreamWrite     time.Duration // for a client to read one event, longer for a large one, default 10 s
	Origins         []string      // origins of web pages that may call the API, as CheckOrigin accepts them; default none
	PageWait        time.Duration // for the log to return one page of events, default 30 s
}

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	def(&o.Wait, 60*time.Second)
	def(&o.MaxWait, max(5*time.Minute, o.Wait))
	def(&o.MinSequenceWait, 10*time.Second)
	def(&o.Send, 15*time.Second)
	def(&o.Deadline, 10*time.Minute)
	def(&o.SyncDeadline, 24*time.Hour)
	def(&o.Lease, 15*time.Second)
	def(&o.KeepAnswers, 24*time.Hour)
	def(&o.Heartbeat, 15*time.Second)
	def(&o.StreamWrite, 10*time.Second)
	def(&o.PageWait, 30*time.Second)
	if o.MaxBody <= 0 {
		o.MaxBody = 1 << 20
	}
	if o.MaxMetadata <= 0 {
		o.MaxMetadata = 16 << 10
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 128
	}
	if o.MaxStreams <= 0 {
		o.MaxStreams = 32
	}
	if o.MaxPages <= 0 {
		o.MaxPages = 32
	}
	if o.MaxUnread <= 0 {
		o.MaxUnread = 128 << 20
	}
	return o
}
