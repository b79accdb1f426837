// Package api is how the outside asks and reads: REST in, reads out. A command
// becomes messages on the bus and waits for its outcome in the projection; a
// read is written through from the projection. openapi.yaml is the contract:
// requests are validated against it, and tests validate every answer.
//
// The server around the Handler sets ReadHeaderTimeout, IdleTimeout and
// MaxHeaderBytes. The deadlines of bodies and answers are the Handler's: it sets
// them for every request, because a command may wait for minutes.
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

// Commands takes commands for the workers. *bus.Bus is one.
type Commands interface {
	// Send returns when the command is durable. A repeat with the same id is
	// stored once. An error leaves open whether it was stored.
	Send(ctx context.Context, c *command.Command) error
}

// Events is the log, for what the API itself has to say. *bus.Bus is one.
type Events interface {
	// Append publishes e as the next event of its address's history, whose last
	// sequence must be after; an error wraps kv.ErrConflict when it is not.
	Append(ctx context.Context, after uint64, e *event.Event) (uint64, error)
	LastSequence(ctx context.Context, a event.Address) (uint64, error)
}

// History is the log as readers of events see it. The wiring adapts the bus to
// it.
type History interface {
	// State returns the first and last sequence that the log holds and when it
	// was begun.
	State(ctx context.Context) (first, last uint64, created time.Time, err error)
	// NewestOf returns the sequence of the newest event on any of the subject
	// filters, 0 for none.
	NewestOf(ctx context.Context, filters ...string) (uint64, error)
	// Past hands the events on the filters after one sequence up to another to the
	// function, in order, until that returns false. last is at most NewestOf them.
	Past(ctx context.Context, after, last uint64, filters []string, each func(*message.Message) bool) error
	// Follow returns a subscriber to the events after that sequence, in order, of
	// those happening later too; its topic is one or more subject filters, joined
	// by commas. A subscription ends, and its channel is closed, when its context
	// does.
	Follow(after uint64) message.Subscriber
	// Decode reads a message. The sequence is valid also when err is not nil.
	Decode(msg *message.Message) (sequence uint64, e *event.Event, err error)
}

// Reads is the read model. *projections.Store is one.
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

// Connectors judges configurations. *connectors.Registry is one.
type Connectors interface {
	Describe() []connectors.Description
	Resolve(typ string, config json.RawMessage) (connector string, err error)
	Split(connector string, config json.RawMessage) (public, secret json.RawMessage, err error)
}

// Lake tells where landed tables lie, and shows rows of them. The wiring adapts
// the lake to it. It returns ErrNotLanded for a table that never landed.
type Lake interface {
	Place(ctx context.Context, a event.Address, namespace, table string) (location, metadata string, err error)
	// Bucket is what a reader must know of a lake that is a bucket, beside its
	// address; no credentials.
	Bucket() map[string]string
	// Show returns up to limit rows of that moment, whose values marshal to JSON. An
	// int64 may be beyond what a reader of JSON holds. It returns ErrNotLanded, also
	// for a moment before anything had landed, ErrExpired or ErrLake.
	Show(ctx context.Context, a event.Address, namespace, table string, limit int, moment Moment) (Shown, error)
}

// Vault seals what must not cross the bus in the clear. *seal.Vault is one.
type Vault interface {
	Seal(ctx context.Context, a event.Address, plaintext []byte) (ref string, err error)
	SealFor(ctx context.Context, a event.Address, plaintext []byte, ttl time.Duration) (ref string, err error)
	// Open is for what an update keeps: no answer shows it.
	Open(ctx context.Context, a event.Address, ref string) ([]byte, error)
	Forget(ctx context.Context, a event.Address, ref string) error
	MAC(data []byte) []byte
}

// Webhooks keeps where events are posted to. *webhooks.Registry is one; its
// errors are those of that package.
type Webhooks interface {
	CheckURL(ctx context.Context, text string) error
	// Create leaves one that is there already as it is.
	Create(ctx context.Context, w webhooks.Webhook, key []byte) error
	Get(ctx context.Context, a event.Address) (webhooks.Webhook, error)
	List(ctx context.Context, organization, workspace, owner string) ([]webhooks.Webhook, error)
	Progress(ctx context.Context, w webhooks.Webhook) (s webhooks.State, pending uint64, err error)
	Rotate(ctx context.Context, a event.Address, key []byte) (webhooks.Webhook, error)
	Test(ctx context.Context, a event.Address, id string) (webhooks.Attempt, error)
	Delete(ctx context.Context, a event.Address) error
}

// Deps are what a Handler is built from. All are lent: the Handler closes none
// of them. Every field but Catalog, Access, Ready, CheckSync, Log and Options is needed.
type Deps struct {
	Commands   Commands
	Events     Events
	History    History
	Reads      Reads
	Connectors Connectors
	Vault      Vault
	Lake       Lake
	// Catalog answers what engines ask below /iceberg/v1 of the lake's tables; nil
	// for no catalog there. Access gives them keys to the files, nil for none.
	Catalog     iceberg.Lake
	Access      iceberg.Access
	Idempotency idempotency.Bucket
	Webhooks    Webhooks
	Auth        *auth.Authenticator
	// Ready returns nil when this node can serve: the projection has caught up
	// and the bus is connected. Its error is logged when somebody asks /readyz, and
	// what its Told() string returns, if it has one, is told to anybody. nil means
	// always ready.
	Ready func(ctx context.Context) error
	// CheckSync judges sync options before anything starts. nil leaves it to the
	// workers.
	CheckSync CheckSync
	// Answered is told of every request when it has ended, nil for nobody. It is
	// called concurrently and must not block.
	Answered func(web.Exchange)
	Log      *slog.Logger // for the operator; nil discards
	Options  Options
}

// Options bound what requests may cost. Zero fields mean the default.
type Options struct {
	Wait            time.Duration // a command waits for its outcome, default 60 s
	MaxWait         time.Duration // at most so long with Prefer: wait, default 5 min or Wait if that is longer
	MinSequenceWait time.Duration // a request waits for X-Headwater-Min-Sequence, default 10 s
	Send            time.Duration // until commands that the bus does not take are given up, default 15 s
	Deadline        time.Duration // of connects, tests, cleanups and cancels, default 10 min
	SyncDeadline    time.Duration // of syncs, default 24 h
	Lease           time.Duration // after it a request with an Idempotency-Key counts as abandoned, default 15 s
	KeepAnswers     time.Duration // of requests with an Idempotency-Key, default 24 h
	MaxBody         int64         // bytes of a request, default 1 MiB
	MaxMetadata     int           // bytes of one source's metadata, default 16 KiB
	MaxInFlight     int           // commands one workspace may have under way on this node, default 128; its organization 4 times as many
	MaxStreams      int           // event streams one user may have open on this node, default 32; a workspace 4, an organization 16 times as many
	MaxPages        int           // pages of events one organization may have under way on this node, default 32
	MaxUnread       int64         // bytes of large answers that clients of one organization have not taken, default 128 MiB
	Heartbeat       time.Duration // between two signs of life of an event stream, default 15 s
	StreamWrite     time.Duration // for a client to take one event, longer for a large one, default 10 s
	Origins         []string      // of web pages that may call the API, as CheckOrigin takes them; none by default
	PageWait        time.Duration // for the log to give one page of events, default 30 s
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
