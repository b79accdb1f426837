// Package command is the public contract of what may be requested. The API
// publishes commands, and exactly one worker carries out each; services that
// only follow events do not need it. It compiles neither NATS nor Pebble nor
// Parquet.
package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"headwater/bus/event"
)

// Stream is the JetStream stream that holds commands until they are done.
const Stream = "HEADWATER_COMMANDS"

// SubjectPrefix is the prefix of every command's subject.
const SubjectPrefix = "headwater.commands"

// Command is one request about one source.
type Command struct {
	ID          string    // UUIDv7; derived from the request, so that a repeated publish is harmless
	Time        time.Time // UTC
	TraceParent string    // W3C trace context; may be empty
	Deliveries  uint64    // number of deliveries to workers, from 1; 0 before publishing
	Data        Data      // pointer to one of the payload types
}

// Data is a payload: a pointer to one of the payload structs of this package.
type Data interface {
	// CommandName returns the literal name at the end of the subject and in the
	// CloudEvents type, such as "SyncSource".
	CommandName() string
	// Header returns the fields that every payload has, for reading and writing.
	Header() *Meta
}

// Meta is the beginning of every payload.
type Meta struct {
	event.Meta
	Deadline time.Time `json:"deadline"` // after this time the command fails without being started
}

// Header returns the Meta itself, so that structs that embed it implement Data.
func (m *Meta) Header() *Meta { return m }

// Name returns the command's name, such as "SyncSource".
func (c *Command) Name() string { return c.Data.CommandName() }

// Address returns the address of the source that the command is about.
func (c *Command) Address() event.Address { return c.Data.Header().Address() }

// Subject returns the subject on which the command is published.
func (c *Command) Subject() string {
	return SubjectPrefix + "." + c.Address().Tokens() + "." + c.Name()
}

// FilterFor returns the subject filter of one command, by name.
func FilterFor(name string) string { return SubjectPrefix + ".*.*.*.*." + name }

// CommandName returns the literal name of the command on the wire, which never
// changes.
func (*ConnectSource) CommandName() string   { return "ConnectSource" }
func (*TestConnection) CommandName() string  { return "TestConnection" }
func (*SyncSource) CommandName() string      { return "SyncSource" }
func (*CancelOperation) CommandName() string { return "CancelOperation" }
func (*RemoveSource) CommandName() string    { return "RemoveSource" }
func (*DiscoverSchema) CommandName() string  { return "DiscoverSchema" }
func (*RestoreSource) CommandName() string   { return "RestoreSource" }
func (*PurgeSource) CommandName() string     { return "PurgeSource" }
func (*VerifySource) CommandName() string    { return "VerifySource" }
func (*MaintainSource) CommandName() string  { return "MaintainSource" }
func (*RenameSource) CommandName() string    { return "RenameSource" }
func (*ChangeSchedule) CommandName() string  { return "ChangeSchedule" }
func (*FireSchedule) CommandName() string    { return "FireSchedule" }
func (*FollowSource) CommandName() string    { return "FollowSource" }
func (*ReleaseChanges) CommandName() string  { return "ReleaseChanges" }

// ConnectSource asks to check a source, read its schema and save it.
type ConnectSource struct {
	Meta
	Name      string          `json:"name"`
	Type      string          `json:"type"`
	Connector string          `json:"connector"`
	Config    json.RawMessage `json:"config"`               // public settings
	SecretRef string          `json:"secret_ref,omitempty"` // secrets are sealed before the command is published
	Metadata  json.RawMessage `json:"metadata,omitempty"`
	Sync      *SyncOptions    `json:"sync,omitempty"` // sync options that the source stores; nil leaves them unchanged
	// Base is the version of the source's configuration on which this one is
	// based. The command is refused if the version has changed since; 0 means
	// that it is based on none.
	Base int `json:"base_version,omitempty"`
}

// TestConnection asks to try a configuration and save nothing.
type TestConnection struct {
	Meta
	Type      string          `json:"type"`
	Connector string          `json:"connector"`
	Config    json.RawMessage `json:"config"`
	SecretRef string          `json:"secret_ref,omitempty"` // destroyed with the outcome
}

// CancelOperation asks to stop what another operation does to this source.
type CancelOperation struct {
	Meta
	Cancels string `json:"cancels"`           // id of the operation to stop
	SyncID  string `json:"sync_id,omitempty"` // its sync of this source
}

// RemoveSource asks to remove a source. Its keys and tables are kept for the
// grace period. With Purge they are destroyed at once, even if the source is
// removed already.
type RemoveSource struct {
	Meta
	Purge bool `json:"purge"`
}

// RestoreSource asks to bring a removed source back.
type RestoreSource struct {
	Meta
	Name string `json:"name,omitempty"` // new name; "" keeps the name it had
}

// RenameSource asks to give a source another name. Nothing else changes.
type RenameSource struct {
	Meta
	Name string `json:"name"`
}

// PurgeSource asks to destroy the keys and tables of a source whose grace period
// has ended, if it is still removed by that event.
type PurgeSource struct {
	Meta
	Removed uint64 `json:"removed_sequence"` // sequence of its SourceRemoved
}

// DiscoverSchema asks to read a source's schema again.
type DiscoverSchema struct {
	Meta
}

// MaintainSource asks to join small files of a source's landed tables and to
// fold deleted rows into the data files. With Asked everything possible is done
// and every table is reported. Without it, after a sync, only worthwhile work is
// done, and only tables with such work are reported.
type MaintainSource struct {
	Meta
	Tables []string `json:"tables,omitempty"` // patterns; all tables if empty
	Asked  bool     `json:"asked,omitempty"`
}

// VerifySource asks to compare the landed tables of a source with the source.
type VerifySource struct {
	Meta
	Tables []string `json:"tables,omitempty"` // patterns; all tables if empty
}

// ErrUnknown is returned by Parse for a command that this build does not know.
var ErrUnknown = errors.New("unknown command")

// Parse decodes a command from its headers and body, as event.Parse does.
func Parse(get func(header string) string, body []byte) (*Command, error) {
	if get(event.HeaderDataRef) != "" && len(body) == 0 {
		return nil, event.ErrReferenced
	}
	name := event.NameOf(get(event.HeaderType))
	data := New(name)
	if data == nil {
		return nil, fmt.Errorf("%w: type %q", ErrUnknown, get(event.HeaderType))
	}
	if err := json.Unmarshal(body, data); err != nil {
		return nil, fmt.Errorf("payload of %s: %w", name, err)
	}
	at, err := time.Parse(time.RFC3339Nano, get(event.HeaderTime))
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", event.HeaderTime, name, err)
	}
	return &Command{ID: get(event.HeaderID), Time: at, TraceParent: get(event.HeaderTraceParent), Data: data}, nil
}
