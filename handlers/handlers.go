// Package handlers carries commands out: each is turned into calls of a connector and
// events in the source's history. It has the table of all commands and joins the packages
// that carry them out, each with the few ports that it uses.
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
	"headwater/handlers/extract"
	"headwater/handlers/history"
	"headwater/handlers/inspect"
	"headwater/handlers/maintenance"
	"headwater/handlers/outcome"
	"headwater/handlers/readmodel"
	"headwater/handlers/removal"
	"headwater/handlers/scheduling"
	"headwater/handlers/sourcelog"
	"headwater/handlers/sources"
	"headwater/handlers/syncing"
	"headwater/handlers/verification"
)

// Deps are what handlers work with. They are lent: handlers close none of them.
type Deps struct {
	Events     history.Events
	State      readmodel.State
	Connectors extract.Opener
	Lake       Lake
	Vault      sources.Vault
	Commands   history.Commands // where handlers, Sweep, RunSchedules and RunUpkeep send commands
	Log        *slog.Logger     // nil discards
	Options    Options
	// LetGo returns driver.Spec.LetGo of a connector; nil for none.
	LetGo func(connector string) string
}

// Handlers carries commands out. It is safe for concurrent use.
type Handlers struct {
	histories   *history.Histories
	inspector   *inspect.Inspector
	logs        *sourcelog.Logs
	sources     *sources.Sources
	removals    *removal.Removals
	sweeper     *removal.Sweeper
	schedules   *scheduling.Schedules
	verifier    *verification.Verifier
	maintenance *maintenance.Maintenance
	syncs       *syncing.Syncs
	options     Options
	log         *slog.Logger

	stopping chan struct{}
	stopOnce sync.Once
}

// New returns handlers that work with d. It starts nothing.
func New(d Deps) *Handlers {
	log := d.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	o := d.Options.WithDefaults()
	h := &Handlers{options: o, log: log, stopping: make(chan struct{})}
	h.histories = &history.Histories{Events: d.Events, State: d.State, Log: log, Seam: o.Seam}
	h.inspector = &inspect.Inspector{Connectors: d.Connectors, Vault: d.Vault, Limit: o.InspectLimit, MaxTables: o.MaxTables, MaxColumns: o.MaxColumns}
	h.logs = &sourcelog.Logs{Inspector: h.inspector, Vault: d.Vault, Commands: d.Commands, LetGo: d.LetGo, Limit: o.ReleaseLimit, RetryDelay: o.RetryDelay}
	h.sources = &sources.Sources{Inspector: h.inspector, Logs: h.logs, Vault: d.Vault}
	h.removals = &removal.Removals{Inspector: h.inspector, Logs: h.logs, Vault: d.Vault, Lake: d.Lake, Keep: o.Keep, RetryDelay: o.RetryDelay, Lease: o.Lease}
	h.sweeper = &removal.Sweeper{State: d.State, Commands: d.Commands, Every: o.SweepEvery, Log: log}
	h.schedules = &scheduling.Schedules{State: d.State, Commands: d.Commands, Clock: o.Clock, Stopping: h.stopping, Log: log}
	h.verifier = &verification.Verifier{Inspector: h.inspector, Lake: d.Lake, LookEvery: o.HeartbeatEvery, Stopping: h.stopping}
	h.maintenance = &maintenance.Maintenance{Lake: d.Lake, State: d.State, Commands: d.Commands, Clock: o.Clock, Every: o.UpkeepEvery, Stopping: h.stopping, Log: log}
	h.syncs = &syncing.Syncs{Inspector: h.inspector, Logs: h.logs, Removals: h.removals, Lake: d.Lake, Commands: d.Commands, Options: o.Options, Stopping: h.stopping}
	return h
}

// Sweep sends PurgeSource for every removed source whose grace period has passed, every
// Options.SweepEvery until ctx ends. Any number of nodes may run it.
func (h *Handlers) Sweep(ctx context.Context) { h.sweeper.Run(ctx) }

// RunSchedules sends FireSchedule for every run of a schedule that is due, until ctx ends
// or Stop is called. Any number of nodes may run it.
func (h *Handlers) RunSchedules(ctx context.Context) { h.schedules.Run(ctx) }

// RunUpkeep sends MaintainSource for landed tables that need maintenance after their
// syncs, until ctx ends or Stop is called. Any number of nodes may run it.
func (h *Handlers) RunUpkeep(ctx context.Context) { h.maintenance.Run(ctx) }

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
func typed[D command.Data](h *Handlers, handle func(context.Context, *history.Job, D) error) message.NoPublishHandlerFunc {
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
		j := h.histories.Job(c)
		if j.Overdue() {
			return h.failTarget(ctx, j, outcome.ErrOverdue)
		}
		if !j.Deadline.IsZero() {
			ctx, cancel = context.WithDeadline(ctx, j.Deadline.Add(h.options.Grace))
			defer cancel()
		}
		if err := handle(ctx, j, data); err != nil {
			return fmt.Errorf("%s of %s: %w", c.Name(), j.Address.Source, err)
		}
		return nil
	}
}
