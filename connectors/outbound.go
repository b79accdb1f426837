package connectors

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// Outbound returns the dial function of connections that are not a source's,
// under the same policy: the address is checked when the socket connects, so
// that no DNS answer and no redirect gets around it. A connection closes itself
// when a read waits longer than idle. What it returns may be called
// concurrently; its errors are *driver.Error, and do not tell a refused address
// from one that cannot be reached. A nil log discards.
func Outbound(policy Policy, idle time.Duration, log *slog.Logger) func(ctx context.Context, network, address string) (net.Conn, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := &dialer{policy: policy, log: log, idle: idle}
	return d.dial
}
