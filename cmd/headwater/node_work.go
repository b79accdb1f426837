package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus"
	"headwater/cmd/headwater/ops"
	"headwater/handlers"
)

// embeddedLease is how long a command stays assigned to a process that has died,
// when the broker is embedded: only a restart can take it over.
const embeddedLease = 5 * time.Second

// work runs the handlers on a Watermill router until the node is closed.
func (n *node) work(life context.Context, h *handlers.Handlers, wire *bus.Bus, lease time.Duration, told *ops.Ops) error {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: handlersDrain + time.Second}, watermill.NewSlogLoggerWithLevelMapping(told.Log, map[slog.Level]slog.Level{
		slog.LevelInfo: slog.LevelDebug, // Watermill logs every subscription at INFO
	}))
	if err != nil {
		return err
	}
	router.AddMiddleware(told.Middleware)
	err = h.Register(router, func(command string, concurrency int) (message.Subscriber, error) {
		return wire.Jobs(bus.JobsConfig{
			Command: command, Concurrency: concurrency, PerWorkspace: h.PerWorkspace(command), PerOrganization: h.PerOrganization(command),
			AckWait: lease, Drain: handlersDrain, OnExhausted: told.Exhausted(h.Exhausted),
		})
	})
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := router.Run(life); err != nil {
			n.fail(fmt.Errorf("workers: %w", err))
		}
	}()
	n.onClose(func(ctx context.Context) error {
		h.Stop()
		if err := router.Close(); err != nil { // unfinished commands continue at the next start
			told.Log.Warn("workers did not end within the drain", "error", err)
		}
		select {
		case <-ended:
		case <-ctx.Done():
		}
		return nil
	})
	select {
	case <-router.Running():
		n.beside(life, "sweep", h.Sweep)
		n.beside(life, "schedules", h.RunSchedules)
		n.beside(life, "upkeep", h.RunUpkeep)
		return nil
	case <-ended:
		return errors.New("workers: the router did not start")
	}
}

// beside runs work until the node is closed, and Close waits for it. what names
// the work if Close runs out of time.
func (n *node) beside(life context.Context, what string, work func(context.Context)) {
	life, stop := context.WithCancel(life)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		work(life)
	}()
	n.onClose(func(ctx context.Context) error {
		stop()
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("close the %s: %w", what, ctx.Err())
		}
	})
}
