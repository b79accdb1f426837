package ops

import (
	"cmp"
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
)

// Log appends events. *bus.Bus implements it.
type Log interface {
	// Append and LastSequence are those of *bus.Bus.
	Append(ctx context.Context, after uint64, e *event.Event) (uint64, error)
	LastSequence(ctx context.Context, a event.Address) (uint64, error)
}

// Events is a Log that logs and counts events when they are stored.
type Events struct {
	Log
	*Ops
}

// Append appends an event. It logs and counts the event unless it is a repeat.
// Its result and error are those of the Log.
func (e Events) Append(ctx context.Context, after uint64, of *event.Event) (uint64, error) {
	sequence, err := e.Log.Append(ctx, after, of)
	if err == nil && sequence > after { // otherwise it is a repeat
		e.appended(ctx, sequence, of)
	}
	return sequence, err
}

// work is the command during which an event is appended.
type work struct {
	verb    string
	sent    time.Time
	request string // X-Request-Id of the request that sent it
}

type workKey struct{}

var syncVerb = new(command.SyncSource).CommandName()

// Middleware counts commands in progress, and passes the command to the events
// that its handler appends.
func (o *Ops) Middleware(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		ctx, verb := o.working(msg.Context(), msg)
		msg.SetContext(ctx)
		running := o.metrics.running.WithLabelValues(verb)
		running.Inc()
		defer running.Dec()
		if verb == syncVerb {
			o.metrics.active.Add(1)
			defer o.metrics.active.Add(-1)
		}
		return next(msg)
	}
}

func (o *Ops) working(ctx context.Context, msg *message.Message) (context.Context, string) {
	c, err := bus.CommandOf(msg)
	if err != nil {
		return ctx, "unknown"
	}
	w := work{c.Name(), c.Time, c.Data.Header().Operation.RequestID}
	return context.WithValue(ctx, workKey{}, w), w.verb
}

// Exhausted wraps a handler of exhausted commands and counts the dead letter
// that follows.
func (o *Ops) Exhausted(tell func(context.Context, *message.Message, error) error) func(context.Context, *message.Message, error) error {
	return func(ctx context.Context, msg *message.Message, cause error) error {
		ctx, verb := o.working(ctx, msg)
		err := tell(ctx, msg, cause)
		if err == nil {
			o.metrics.dead.WithLabelValues(verb).Inc()
		}
		return err
	}
}

// appended logs and counts a new event.
func (o *Ops) appended(ctx context.Context, sequence uint64, e *event.Event) {
	w, _ := ctx.Value(workKey{}).(work)
	name, connector := o.source(e)
	o.metrics.events.WithLabelValues(e.Name()).Inc()
	o.count(w, o.known(connector), e)
	o.line(ctx, w, sequence, name, connector, e)
}

// source returns the name and the connector of the source that an event is
// about, as far as they are known.
func (o *Ops) source(e *event.Event) (name, connector string) {
	name, connector = o.described(e)
	if name == "" {
		name = e.Data.Header().SourceName
	}
	return name, connector
}

func (o *Ops) described(e *event.Event) (name, connector string) {
	switch d := e.Data.(type) {
	case *event.SourceConnected:
		return d.Name, d.Connector
	case *event.SourceConnectFailed:
		return d.Name, d.Connector
	case *event.ConnectionTested:
		return "", d.Connector
	case *event.OperationAccepted, *event.WebhookCreated, *event.WebhookRotated, *event.WebhookDeleted,
		*event.TokenCreated, *event.TokenRevoked, *event.TokenUsed, *event.RequestRefused:
		return "", ""
	}
	if o.Describe == nil {
		return "", ""
	}
	return o.Describe(e.Address())
}

// verbOf returns the command that an operation of that kind consists of.
func verbOf(kind string) string { return cmp.Or(command.ForKind(kind), "other") }
