package bus

import (
	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/readers"
	"headwater/bus/wire"
)

// Metadata that subscribers add to a received message.
const (
	MetaSubject    = wire.MetaSubject    // subject on which the message was published
	MetaSequence   = wire.MetaSequence   // its sequence in the stream, decimal
	MetaDeliveries = wire.MetaDeliveries // number of deliveries so far, from 1, decimal
)

const (
	// MaxInline is the largest body inside a message, in bytes. A larger one is
	// put into the object store and the message refers to it.
	MaxInline = wire.MaxInline
	// MaxBody is the largest body of a command or event, in bytes.
	MaxBody = wire.MaxBody
)

// StreamState says which history a stream holds.
type StreamState = readers.StreamState

// EventOf decodes the event of a message from the Ordered subscriber, with its
// sequence. It returns event.ErrUnknown for an event that this build does not
// know, which a reader of all events should skip, and ErrPoison for one that no
// build can read.
func EventOf(msg *message.Message) (*event.Event, error) { return wire.EventOf(msg) }

// CommandOf decodes the command of a message from a Jobs subscriber, with the
// number of its deliveries. It fails as EventOf does.
func CommandOf(msg *message.Message) (*command.Command, error) { return wire.CommandOf(msg) }
