// Package event is the public contract of what happened. Other services import
// it to read Headwater's events; importing it compiles neither NATS nor Pebble
// nor Parquet.
//
// Every event travels as a CloudEvent 1.0 in the binary mode of the NATS
// protocol binding: the attributes are ce-* headers, and the payload is the JSON
// of one of this package's Data types. Fields are only ever added; readers
// ignore fields they do not know.
package event

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Event is one thing that happened to one source, as read from or written to the
// log.
type Event struct {
	ID          string    // UUIDv7; the same in every delivery
	Time        time.Time // UTC
	Causation   string    // id of the command that caused it
	TraceParent string    // W3C trace context; may be empty
	Sequence    uint64    // sequence in Stream; 0 before it is published
	Data        Data      // pointer to one of the payload types
}

// Data is a payload: a pointer to one of the payload structs of this package.
type Data interface {
	// EventName returns the literal name at the end of the subject and in the
	// CloudEvents type, such as "SyncCompleted".
	EventName() string
	// Header returns the fields that every payload has, for reading and writing.
	Header() *Meta
}

// Meta is the beginning of every payload.
type Meta struct {
	Organization string    `json:"organization"`
	WorkspaceID  string    `json:"workspace_id"`
	Owner        string    `json:"owner,omitempty"` // user name; "" for scope "organization"
	SourceID     string    `json:"source_id"`
	SourceName   string    `json:"source_name,omitempty"` // name of the source at that time, if it had one
	Operation    Operation `json:"operation"`
}

// Operation ties a message to the request that caused it. A request may have
// several targets, such as three sources to connect; each target ends with
// exactly one message that has Final set.
type Operation struct {
	ID      string `json:"id"`              // also the CloudEvents correlationid
	Kind    string `json:"kind"`            // connect, test, sync, cancel, cleanup, discover, restore, purge, verify, maintain, update, rename, schedule, request
	Targets int    `json:"targets"`         // number of targets of the request, at least 1
	Target  int    `json:"target"`          // index of this target, from 0
	Final   bool   `json:"final,omitempty"` // this message is the target's outcome
	Actor   string `json:"actor,omitempty"` // user who sent the request
	// RequestID is the X-Request-Id of the request, which also appears in logs.
	RequestID string `json:"request_id,omitempty"`
	// Trigger is what started an operation without a request: TriggerSchedule.
	Trigger string `json:"trigger,omitempty"`
}

// Kinds of operation.
const (
	KindConnect  = "connect"
	KindTest     = "test"
	KindSync     = "sync"
	KindCancel   = "cancel"
	KindCleanup  = "cleanup"
	KindDiscover = "discover"
	KindRestore  = "restore"
	KindVerify   = "verify"
	KindMaintain = "maintain" // on request, or automatic after a sync
	KindUpdate   = "update"
	KindRename   = "rename"
	KindSchedule = "schedule"
	KindRequest  = "request" // an action that is not a command: its event is all that is recorded
	KindPurge    = "purge"   // automatic: the grace period of a removed source has ended
)

// TriggerSchedule is the Operation.Trigger of what a source's schedule started.
const TriggerSchedule = "schedule"

// Header returns the Meta itself, so that structs that embed it implement Data.
func (m *Meta) Header() *Meta { return m }

// Address returns the history that the payload belongs to.
func (m *Meta) Address() Address {
	return Address{m.Organization, m.WorkspaceID, m.Owner, m.SourceID}
}

// At returns a Meta with the address's fields and the operation.
func At(a Address, op Operation) Meta {
	return Meta{Organization: a.Organization, WorkspaceID: a.Workspace, Owner: a.Owner, SourceID: a.Source, Operation: op}
}

// Name returns the event's name, such as "SyncCompleted".
func (e *Event) Name() string { return e.Data.EventName() }

// Address returns the history that the event belongs to.
func (e *Event) Address() Address { return e.Data.Header().Address() }

// Type returns the CloudEvents type of the named event or command.
func Type(name string) string { return "headwater." + name + ".v1" }

// Headers of the CloudEvents NATS protocol binding.
const (
	HeaderID            = "ce-id"
	HeaderSpecVersion   = "ce-specversion"
	HeaderType          = "ce-type"
	HeaderSource        = "ce-source"
	HeaderSubject       = "ce-subject"
	HeaderTime          = "ce-time"
	HeaderDataSchema    = "ce-dataschema"
	HeaderDataRef       = "ce-dataref"
	HeaderCorrelationID = "ce-correlationid"
	HeaderCausationID   = "ce-causationid"
	HeaderTraceParent   = "ce-traceparent"
	HeaderContentType   = "content-type"
)

// ErrUnknown is returned by Parse for an event whose name this build does not
// know. A reader of all events should skip it.
var ErrUnknown = errors.New("unknown event")

// ErrReferenced is returned by Parse for an event whose payload is too large for
// the bus and is in the object store, under the name in HeaderDataRef. Fetch it
// and call Parse again with that body.
var ErrReferenced = errors.New("the payload is in the object store, see ce-dataref")

// Parse decodes an event from its headers and body. get returns the first value
// of a header, or "" if it is missing. The caller sets the sequence.
func Parse(get func(header string) string, body []byte) (*Event, error) {
	return ParseString(get, string(body))
}

// ParseString is Parse for a body that may stay in memory as long as the event,
// whose strings may point into it.
func ParseString(get func(header string) string, body string) (*Event, error) {
	if get(HeaderDataRef) != "" && len(body) == 0 {
		return nil, ErrReferenced
	}
	name := NameOf(get(HeaderType))
	data := New(name)
	if data == nil {
		return nil, fmt.Errorf("%w: type %q", ErrUnknown, get(HeaderType))
	}
	if err := decode(body, data); err != nil {
		return nil, fmt.Errorf("payload of %s: %w", name, err)
	}
	at, err := time.Parse(time.RFC3339Nano, get(HeaderTime))
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", HeaderTime, name, err)
	}
	return &Event{
		ID:          get(HeaderID),
		Time:        at,
		Causation:   get(HeaderCausationID),
		TraceParent: get(HeaderTraceParent),
		Data:        data,
	}, nil
}

// NameOf returns the event or command name in a CloudEvents type, or "" if the
// type is not one of Headwater's.
func NameOf(ceType string) string {
	name, ok := strings.CutPrefix(ceType, "headwater.")
	if !ok {
		return ""
	}
	name, _ = strings.CutSuffix(name, ".v1")
	return name
}
