package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"headwater/bus/groupcommit"
	"headwater/bus/guests"
	"headwater/bus/wire"
)

const (
	brokerStart = 30 * time.Second // a large store takes a while to recover
	// maxPayload leaves space for headers above MaxInline; larger bodies go
	// through the object store.
	maxPayload = 1 << 20
)

// broker is a NATS server inside this process.
type broker struct {
	server   *server.Server
	log      *slog.Logger
	user     string // random, so that nobody outside this process can use it
	password string
	address  string // of the TCP listener; "" without one
	guests   *guests.Authenticator
	lock     io.Closer            // of the folder
	staging  *groupcommit.Staging // nil with plain appends
}

// startBroker runs a server over cfg.Dir. It locks the folder, because two
// servers over one store destroy it.
func startBroker(ctx context.Context, cfg Config, log *slog.Logger) (_ *broker, err error) {
	if cfg.Dir == "" {
		return nil, errors.New("the embedded broker needs a folder")
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("broker folder: %w", err)
	}
	if err := os.Chmod(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("broker folder: %w", err)
	}
	b := &broker{log: log, user: rand.Text(), password: rand.Text()}
	if b.lock, err = lockFile(filepath.Join(cfg.Dir, "lock")); err != nil {
		return nil, fmt.Errorf("broker folder %s: %w", cfg.Dir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.stop())
		}
	}()

	opts := &server.Options{
		ServerName: "headwater",
		JetStream:  true,
		StoreDir:   cfg.Dir,
		SyncAlways: true,
		DontListen: true,
		NoSigs:     true,
		MaxPayload: maxPayload,
		MaxSubs:    guests.MaxSubscriptions,
		// The default is three quarters of the free space at the start, which
		// shrinks with every start as the log grows.
		JetStreamMaxStore: 1 << 50,
		// Quotas limit guests. The broker's own limit of 1,000 consumers for
		// each stream would let a few organizations exclude all others.
		JetStreamLimits: server.JSLimitOpts{DefaultMaxConsumers: -1},
	}
	b.guests = guests.NewAuthenticator(b.user, b.password, cfg.Authenticate, log)
	opts.CustomClientAuthentication = b.guests
	if cfg.Listen != "" && cfg.Listen != "off" {
		if err := listenOn(ctx, opts, cfg.Listen); err != nil {
			return nil, err
		}
	}
	if b.staging, err = groupcommit.Prepare(cfg.Dir, grouped...); err != nil {
		return nil, fmt.Errorf("broker folder: %w", err)
	}
	if cfg.PlainAppends {
		if err := b.staging.End(); err != nil {
			return nil, fmt.Errorf("broker folder: %w", err)
		}
		b.staging = nil
	}
	if b.server, err = server.NewServer(opts); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	b.guests.Attach(b.server)
	logger := &brokerLog{log: log}
	b.server.SetLogger(logger, false, false)
	b.server.Start()
	if !b.server.ReadyForConnections(brokerStart) || !b.server.JetStreamEnabled() {
		return nil, fmt.Errorf("embedded broker did not start: %s", logger.lastFatal())
	}
	if jsc := b.server.JetStreamConfig(); jsc == nil || !jsc.SyncAlways {
		return nil, fmt.Errorf("%w: the embedded broker does not sync every write", ErrUnsafe)
	}
	if !opts.DontListen {
		b.address = b.server.Addr().String()
	}
	return b, nil
}

// listenOn sets the TCP listener after checking that the port is free: the
// server itself would only log that it is not.
func listenOn(ctx context.Context, opts *server.Options, address string) error {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--nats-listen %q is not host:port: %w", address, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return fmt.Errorf("--nats-listen %q: the port is not a number up to 65535", address)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("subscribers' listener: %w; choose another address with --nats-listen, or --nats-listen off for none", err)
	}
	if err := l.Close(); err != nil {
		return fmt.Errorf("subscribers' listener: %w", err)
	}
	opts.DontListen = false
	opts.Host, opts.Port = host, int(port)
	if port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	return nil
}

func (b *broker) dial(name string) (*nats.Conn, error) {
	return nats.Connect("", append(connOptions(name, b.log, new(wire.Signal)),
		nats.InProcessServer(b.server), nats.UserInfo(b.user, b.password), nats.MaxReconnects(-1))...)
}

// stop ends the server after it has written everything, and unlocks the folder.
func (b *broker) stop() error {
	if b.server != nil {
		b.server.Shutdown()
		b.server.WaitForShutdown()
	}
	var err error
	if b.staging != nil {
		err = b.staging.End()
	}
	if b.lock != nil {
		err = errors.Join(err, b.lock.Close())
	}
	return err
}

// brokerLog sends the server's log to slog. A fatal error does not end the
// process; it becomes part of the error that Open returns.
type brokerLog struct {
	log   *slog.Logger
	mu    sync.Mutex
	fatal string
}

func (l *brokerLog) lastFatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == "" {
		return "no reason given within " + brokerStart.String()
	}
	return l.fatal
}

func (l *brokerLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fatal = fmt.Sprintf(format, v...)
}

func (l *brokerLog) Noticef(format string, v ...any) {
	l.log.Debug("broker: " + fmt.Sprintf(format, v...))
}
func (l *brokerLog) Warnf(format string, v ...any) {
	l.log.Warn("broker: " + fmt.Sprintf(format, v...))
}
func (l *brokerLog) Errorf(format string, v ...any) {
	l.log.Error("broker: " + fmt.Sprintf(format, v...))
}
func (l *brokerLog) Debugf(string, ...any) {}
func (l *brokerLog) Tracef(string, ...any) {}
