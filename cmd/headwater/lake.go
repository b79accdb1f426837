package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"headwater/bus/kv"
	"headwater/handlers/landing"
	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/keyindex"
)

// How long a start waits for the lake, and how often the lake is asked
// afterwards.
const (
	lakeLimit = 5 * time.Second
	lakeEvery = 5 * time.Second
)

// openLake opens the lake and checks that it belongs to this instance. If the
// store does not answer or refuses, the node starts nevertheless: reads are
// served, syncs try again, and /readyz quotes the store.
func (n *node) openLake(ctx, life context.Context, cfg Config, kv kv.Store, log *slog.Logger) (*landing.Lake, error) {
	options := []landing.Option{landing.FileMode(cfg.lakeMode), landing.Limits(cfg.storeLimits)}
	index := cfg.openKeyIndex(log)
	if index != nil {
		options = append(options, landing.KeyIndex(index))
	}
	lake, err := landing.Open(ctx, cfg.Lake, kv, log, options...)
	if err != nil {
		return nil, fmt.Errorf("--lake: %w", err)
	}
	n.onClose(func(context.Context) error { return lake.Close() })
	n.Lake = lake.Location()
	if index != nil {
		n.pruneKeyIndex(life, lake, log)
	}
	home, err := cfg.home()
	if err != nil {
		return nil, err
	}
	switch err := lake.Claim(ctx, home, lakeLimit); {
	case errors.Is(err, landing.ErrStorage) && ctx.Err() == nil:
		log.Error("the lake does not answer: what is known is served, and syncs fail until it does", "lake", n.Lake, "error", err)
		n.awaitLake(life, lake, log)
	case err != nil:
		return nil, fmt.Errorf("--lake: %w", err)
	default:
		if err := lake.Writable(ctx); err != nil {
			log.Error("the lake cannot be written: syncs will fail until it can", "lake", n.Lake, "error", err)
		}
	}
	return lake, nil
}

// openKeyIndex opens the index of keys of a node that merges, nil for none. If it
// cannot be opened the node starts without it, and merges read the tables' keys.
func (c *Config) openKeyIndex(log *slog.Logger) *keyindex.Index {
	if c.KeyIndex == 0 || !c.has(roleWorker) {
		return nil
	}
	index, err := keyindex.Open(c.path("keyindex"), c.KeyIndex<<20)
	if err != nil {
		log.Warn("merges will read the keys of their tables", "error", err)
		return nil
	}
	return index
}

// pruneEvery is how often indexes of tables that another node has dropped are
// removed.
const pruneEvery = 10 * time.Minute

// pruneKeyIndex periodically removes the indexes of dropped tables.
func (n *node) pruneKeyIndex(life context.Context, lake *landing.Lake, log *slog.Logger) {
	n.beside(life, "index of keys", func(ctx context.Context) {
		tick := time.NewTicker(pruneEvery)
		defer tick.Stop()
		for {
			if err := lake.PruneIndex(ctx); err != nil && ctx.Err() == nil {
				log.Warn("indexes of dropped tables could not be looked for", "error", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// awaitLake asks the lake until it answers. If it belongs to another instance
// the node ends, as it would have at the start.
func (n *node) awaitLake(life context.Context, lake *landing.Lake, log *slog.Logger) {
	n.beside(life, "lake", func(ctx context.Context) {
		tick := time.NewTicker(lakeEvery)
		defer tick.Stop()
		for {
			once, done := context.WithTimeout(ctx, 2*lakeLimit)
			err := lake.Claimed(once)
			done()
			if err == nil {
				log.Info("the lake answers", "lake", lake.Location())
				return
			}
			var foreign *landing.ForeignLakeError
			if errors.As(err, &foreign) {
				n.fail(fmt.Errorf("--lake: %w", err))
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// lakeError says why the lake is not ready, including what may be shown to
// anybody.
type lakeError struct{ error }

func (e lakeError) Unwrap() error { return e.error }

// Told returns the store's own message without hosts and folders.
func (e lakeError) Told() string {
	var refused *bucket.Error
	var foreign *landing.ForeignLakeError
	var number syscall.Errno
	switch {
	case errors.As(e.error, &refused):
		return "the lake's bucket refused or did not answer: " + refused.Told()
	case errors.As(e.error, &foreign):
		return "the lake is not this instance's own"
	case errors.As(e.error, &number):
		return "the lake's folder cannot be written: " + number.Error()
	case errors.Is(e.error, context.DeadlineExceeded):
		return "the lake does not answer"
	}
	return "the lake cannot be written"
}
