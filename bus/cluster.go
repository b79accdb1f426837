package bus

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// silence is after how long at most a server that says nothing, without closing
// the connection, is given up for another one: within what a publish may take.
const silence = 8 * time.Second

// dialCluster returns a function that opens connections to an external cluster,
// which are kept up for ever once they stood.
func dialCluster(ctx context.Context, cfg Config, log *slog.Logger, back *signal) func(name string) (*nats.Conn, error) {
	return func(name string) (*nats.Conn, error) {
		opts := append(connOptions(name, log, back),
			nats.MaxReconnects(-1),
			nats.ReconnectWait(500*time.Millisecond),
			nats.ReconnectJitter(200*time.Millisecond, time.Second),
			nats.PingInterval(silence/4),
			nats.MaxPingsOutstanding(2),
		)
		if cfg.Creds != "" {
			opts = append(opts, nats.UserCredentials(cfg.Creds))
		}
		if deadline, ok := ctx.Deadline(); ok {
			opts = append(opts, nats.Timeout(max(time.Millisecond, min(5*time.Second, time.Until(deadline)))))
		}
		var nc *nats.Conn
		err := await(ctx, cfg, log, func(context.Context) (err error) {
			nc, err = nats.Connect(cfg.URL, opts...)
			return err
		})
		return nc, err
	}
}

// redactedURLs returns the servers of a list of URLs without credentials.
func redactedURLs(list string) []string {
	var servers []string
	for server := range strings.SplitSeq(list, ",") {
		server = server[strings.LastIndex(server, "@")+1:]
		servers = append(servers, server[strings.LastIndex(server, "/")+1:])
	}
	return servers
}

func connOptions(name string, log *slog.Logger, back *signal) []nats.Option {
	return []nats.Option{
		nats.Name(name),
		nats.CustomInboxPrefix("_INBOX." + secretName()),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("lost the broker", "connection", name, "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			log.Warn("reached the broker again", "connection", name)
			back.raise()
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("broker connection", "connection", name, "error", err)
		}),
	}
}

// signal wakes everybody who waits for it, any number of times. After a
// reconnect, requests that wait at the broker may be forgotten there; without
// it they would be missed only when their heartbeats are.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// raised returns a channel that is closed the next time raise is called.
func (s *signal) raised() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// until returns a context that ends with ctx or when the signal is raised.
func (s *signal) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	raised := s.raised()
	go func() {
		select {
		case <-raised:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
