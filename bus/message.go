package bus

import (
	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/readers"
	"headwater/bus/wire"
)

// Metadata that the subscribers add to what came over the wire.
const (
	MetaSubject    = wire.MetaSubject    // where the message was published
	MetaSequence   = wire.MetaSequence   // its position in the stream, decimal
	MetaDeliveries = wire.MetaDeliveries // how often it was handed out, from 1, decimal
)

const (
	// MaxInline is the largest body that travels in a message, in bytes; larger
	// ones are put into the object store and the message refers to them.
	MaxInline = wire.MaxInline
	// MaxBody is the largest body of a command or event, in bytes.
	MaxBody = wire.MaxBody
)

// StreamState says which history a stream holds.
type StreamState = readers.StreamState

// EventOf reads the event from a message of the Ordered subscriber, with its
// sequence. It returns event.ErrUnknown for an event this build does not know,
// which a reader of everything skips, and ErrPoison for what no build reads.
func EventOf(msg *message.Message) (*event.Event, error) { return wire.EventOf(msg) }

// CommandOf reads the command from a message of a Jobs subscriber, with the
// count of its deliveries. It fails as EventOf does.
func CommandOf(msg *message.Message) (*command.Command, error) { return wire.CommandOf(msg) }
