package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// listen serves handler at address until the node is closed. drain, if not nil,
// is called first when the node closes.
func (n *node) listen(ctx context.Context, flag, address string, handler http.Handler, drain func(), log *slog.Logger) (net.Addr, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address with --%s", err, flag)
	}
	server := &http.Server{
		Handler:           withBodyDeadline(handler, bodyTime),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if drain != nil {
		server.RegisterOnShutdown(drain)
	}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.fail(fmt.Errorf("--%s: %w", flag, err))
		}
	}()
	n.onClose(func(ctx context.Context) error {
		// Long requests are cut short, so that the workers have time left to
		// drain.
		ctx, cancel := context.WithTimeout(ctx, requestsDrain)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			return server.Close()
		}
		return nil
	})
	return l.Addr(), nil
}
