// Package handlers carries commands out: one file a command. Each turns a command into
// calls of a connector and events in the source's history.
//
// Every command names one target of one operation, and every target ends with exactly
// one final event, whatever happens to its worker: a handler decides from the source's
// state which event is missing, appends it at the history's expected end, and only then
// acknowledges the command. So a redelivered command finishes what was begun and repeats
// nothing.
package handlers

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/handlers/outcome"
	"headwater/handlers/readmodel"
)

// Deps are what handlers work with. They are lent: handlers close none of them.
type Deps struct {
	Events     Events
	State      readmodel.State
	Connectors Connectors
	Lake       Lake
	Vault      Vault
	Commands   Commands     // where handlers, Sweep, RunSchedules and RunUpkeep send commands
	Log        *slog.Logger // nil discards
	Options    Options
	// LetGo returns driver.Spec.LetGo of a connector; nil for none.
	LetGo func(connector string) string
}

// Handlers carries commands out. It is safe for concurrent use.
type Handlers struct {
	events     Events
	state      readmodel.State
	connectors Connectors
	lake       Lake
	vault      Vault
	commands   Commands
	log        *slog.Logger
	options    Options
	letGo      func(connector string) string // nil for none

	stopping chan struct{}
	stopOnce sync.Once
}

// New returns handlers that work with d. It starts nothing.
func New(d Deps) *Handlers {
	log := d.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Handlers{
		events: d.Events, state: d.State, connectors: d.Connectors, lake: d.Lake, vault: d.Vault, commands: d.Commands, log: log,
		options: d.Options.WithDefaults(), letGo: d.LetGo, stopping: make(chan struct{}),
	}
}

// Stop ends the syncs that run on this node at their last commit, and returns their
// commands to the bus for another worker; other commands are short and finish. It does
// not wait. Call it before the router is closed. It is safe to call twice.
func (h *Handlers) Stop() { h.stopOnce.Do(func() { close(h.stopping) }) }

// HandlerFor returns the durable name of the Watermill handler of a command.
func HandlerFor(name string) string { return "handle-" + name }

// Register adds one handler a command to the router, each with a subscriber of
// its own, so that a slow sync never holds up a connect. jobs returns the
// subscriber of a command that hands out at most concurrency messages at a
// time; it must call Exhausted for a message that it gives up. Register returns the
// error of jobs, or one for a command without a handler.
func (h *Handlers) Register(router *message.Router, jobs func(command string, concurrency int) (message.Subscriber, error)) error {
	table := verbs()
	for _, c := range command.All() {
		name := c.CommandName()
		v, known := table[name]
		if !known {
			return fmt.Errorf("no handler of %s", name)
		}
		subscriber, err := jobs(name, h.options.Concurrency[name])
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", name, err)
		}
		router.AddConsumerHandler(HandlerFor(name), command.FilterFor(name), subscriber, v.handle(h)).
			AddMiddleware(bus.Outcomes)
	}
	return nil
}

// PerWorkspace returns how many commands of a name may run at once for one workspace on
// this node, so that workspaces take turns; 0 means no limit.
func (h *Handlers) PerWorkspace(name string) int {
	switch name {
	case new(command.SyncSource).CommandName():
		return h.options.SyncsPerWorkspace
	case new(command.FollowSource).CommandName():
		return h.options.FollowsPerWorkspace
	}
	return 0
}

// PerOrganization returns how many commands of a name may run at once for one
// organization on this node; 0 means no limit. It is half of the places for commands that
// wait for a source, so that an organization whose servers do not answer leaves places to
// others, and all but one for syncs.
func (h *Handlers) PerOrganization(name string) int {
	if share := verbs()[name].share; share != nil {
		return share(h.options.Concurrency[name])
	}
	return 0
}

// typed reads the command, gives up one whose deadline has passed, and calls
// handle with a context that ends a little after the deadline, when even the
// outcome can no longer be told.
func typed[D command.Data](h *Handlers, handle func(context.Context, *job, D) error) message.NoPublishHandlerFunc {
	return func(msg *message.Message) error {
		c, err := bus.CommandOf(msg)
		if err != nil {
			return bus.Permanent(err)
		}
		data, ok := c.Data.(D)
		if !ok {
			return bus.Permanent(fmt.Errorf("%s came to the handler of another command", c.Name()))
		}
		ctx, cancel := context.WithCancel(msg.Context())
		defer cancel()
		j := h.newJob(c)
		if j.overdue() {
			return h.failTarget(ctx, j, outcome.ErrOverdue)
		}
		if !j.deadline.IsZero() {
			ctx, cancel = context.WithDeadline(ctx, j.deadline.Add(h.options.Grace))
			defer cancel()
		}
		if err := handle(ctx, j, data); err != nil {
			return fmt.Errorf("%s of %s: %w", c.Name(), j.address.Source, err)
		}
		return nil
	}
}
