// Package event is the public contract of what happened. Other services import
// it to read Headwater's events; importing it compiles neither NATS nor Pebble
// nor Parquet.
//
// Every event travels as a CloudEvent 1.0 in the NATS binding's binary mode:
// the attributes are ce-* headers, the payload is the JSON of one of the Data
// types of this package. Fields are only ever added; readers ignore fields they
// do not know.
package event

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Event is one thing that happened to one source, as read from or written to
// the log.
type Event struct {
	ID          string    // UUIDv7, stable across redelivery
	Time        time.Time // UTC
	Causation   string    // id of the command that led here
	TraceParent string    // W3C trace context, may be empty
	Sequence    uint64    // position in Stream; 0 before it is published
	Data        Data      // pointer to one of the payload types
}

// Data is a payload: a pointer to one of the structs in payloads.go.
type Data interface {
	// EventName returns the literal name that ends the subject and sits in the
	// CloudEvents type, such as "SyncCompleted".
	EventName() string
	// Header returns the fields that every payload carries, for reading and
	// writing.
	Header() *Meta
}

// Meta begins every payload.
type Meta struct {
	Organization string    `json:"organization"`
	WorkspaceID  string    `json:"workspace_id"`
	Owner        string    `json:"owner,omitempty"` // empty for scope "organization"
	SourceID     string    `json:"source_id"`
	SourceName   string    `json:"source_name,omitempty"` // what people called it then, if it had a name
	Operation    Operation `json:"operation"`
}

// Operation ties a message to the request it answers. One request may hold
// several targets (three sources to connect); each target ends with exactly one
// message that has Final set.
type Operation struct {
	ID      string `json:"id"`              // the CloudEvents correlationid
	Kind    string `json:"kind"`            // connect, test, sync, cancel, cleanup, discover, restore, purge, verify, maintain, update, rename, schedule, request
	Targets int    `json:"targets"`         // how many targets the request has, at least 1
	Target  int    `json:"target"`          // which of them this is, from 0
	Final   bool   `json:"final,omitempty"` // this message is the target's outcome
	Actor   string `json:"actor,omitempty"` // user who asked
	// RequestID is the X-Request-Id of the call, by which logs tell what it led to.
	RequestID string `json:"request_id,omitempty"`
	// Trigger is what began an operation that nobody asked for: TriggerSchedule.
	Trigger string `json:"trigger,omitempty"`
}

// The kinds of operation.
const (
	KindConnect  = "connect"
	KindTest     = "test"
	KindSync     = "sync"
	KindCancel   = "cancel"
	KindCleanup  = "cleanup"
	KindDiscover = "discover"
	KindRestore  = "restore"
	KindVerify   = "verify"
	KindMaintain = "maintain" // asked for, or by itself after a sync
	KindUpdate   = "update"
	KindRename   = "rename"
	KindSchedule = "schedule"
	KindRequest  = "request" // a call that is no command: its event is all there is of it
	KindPurge    = "purge"   // nobody asked: the grace period of a removed source has passed
)

// TriggerSchedule is the Operation.Trigger of what a source's schedule began.
const TriggerSchedule = "schedule"

// Header lets embedding payloads satisfy Data.
func (m *Meta) Header() *Meta { return m }

// Address returns whose history the payload belongs to.
func (m *Meta) Address() Address {
	return Address{m.Organization, m.WorkspaceID, m.Owner, m.SourceID}
}

// At fills the address fields and the operation, and returns the Meta.
func At(a Address, op Operation) Meta {
	return Meta{Organization: a.Organization, WorkspaceID: a.Workspace, Owner: a.Owner, SourceID: a.Source, Operation: op}
}

// Name returns the event's name, such as "SyncCompleted".
func (e *Event) Name() string { return e.Data.EventName() }

// Address returns whose history the event belongs to.
func (e *Event) Address() Address { return e.Data.Header().Address() }

// Type returns the CloudEvents type of the named event or command.
func Type(name string) string { return "headwater." + name + ".v1" }

// Headers of the CloudEvents NATS binding.
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

// ErrUnknown is returned by Parse for an event of a name this build does not
// know. A reader that follows everything skips it.
var ErrUnknown = errors.New("unknown event")

// ErrReferenced is returned by Parse for an event whose payload was too large
// for the bus and lies in the object store under the name in HeaderDataRef.
// Fetch it and call Parse again with that body.
var ErrReferenced = errors.New("the payload is in the object store, see ce-dataref")

// Parse reads an event from its headers and body. get returns the first value
// of a header, "" where there is none. The sequence is the caller's to fill.
func Parse(get func(header string) string, body []byte) (*Event, error) {
	return ParseString(get, string(body))
}

// ParseString is Parse of a body that the event's texts may point into.
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

// NameOf returns the name inside a CloudEvents type, "" if it is not one of
// ours.
func NameOf(ceType string) string {
	name, ok := strings.CutPrefix(ceType, "headwater.")
	if !ok {
		return ""
	}
	name, _ = strings.CutSuffix(name, ".v1")
	return name
}
