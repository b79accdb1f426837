package bus

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// dialCluster returns a function that opens connections to an external cluster,
// which are kept up for ever once they stood.
func dialCluster(ctx context.Context, cfg Config, log *slog.Logger) func(name string) (*nats.Conn, error) {
	return func(name string) (*nats.Conn, error) {
		opts := append(connOptions(name, log),
			nats.MaxReconnects(-1),
			nats.ReconnectWait(500*time.Millisecond),
			nats.ReconnectJitter(200*time.Millisecond, time.Second),
			nats.PingInterval(10*time.Second),
			nats.MaxPingsOutstanding(2),
		)
		if cfg.Creds != "" {
			opts = append(opts, nats.UserCredentials(cfg.Creds))
		}
		if deadline, ok := ctx.Deadline(); ok {
			opts = append(opts, nats.Timeout(max(time.Millisecond, min(5*time.Second, time.Until(deadline)))))
		}
		return nats.Connect(cfg.URL, opts...)
	}
}

func connOptions(name string, log *slog.Logger) []nats.Option {
	return []nats.Option{
		nats.Name(name),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("lost the broker", "connection", name, "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("reached the broker again", "connection", name) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("broker connection", "connection", name, "error", err)
		}),
	}
}
