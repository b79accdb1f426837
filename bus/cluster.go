package bus

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"headwater/bus/wire"
)

// silence is how long a server may be silent on an open connection before
// another server is tried. It is shorter than a publish may take.
const silence = 8 * time.Second

// dialCluster returns a function that opens connections to an external cluster.
// An established connection reconnects for ever.
func dialCluster(ctx context.Context, cfg Config, log *slog.Logger, back *wire.Signal) func(name string) (*nats.Conn, error) {
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
		err := awaitCluster(ctx, cfg, log, func(context.Context) (err error) {
			nc, err = nats.Connect(cfg.URL, opts...)
			return err
		})
		return nc, err
	}
}

// redactedURLs returns the servers in a list of URLs, without credentials.
func redactedURLs(list string) []string {
	var servers []string
	for server := range strings.SplitSeq(list, ",") {
		server = server[strings.LastIndex(server, "@")+1:]
		servers = append(servers, server[strings.LastIndex(server, "/")+1:])
	}
	return servers
}

func connOptions(name string, log *slog.Logger, back *wire.Signal) []nats.Option {
	return []nats.Option{
		nats.Name(name),
		nats.CustomInboxPrefix("_INBOX." + wire.SecretName()),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("lost the broker", "connection", name, "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			log.Warn("reached the broker again", "connection", name)
			back.Raise()
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("broker connection", "connection", name, "error", err)
		}),
	}
}
