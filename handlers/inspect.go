package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"headwater/bus/event"
	"headwater/bus/seal"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
)

// settings say how to open a source.
type settings struct {
	connector string
	config    json.RawMessage
	secretRef string
}

// errInspectLimit is the cause of a context that ended a slow inspection.
var errInspectLimit = errors.New("the inspection took too long")

// open opens the source. An error of the source or of its secrets is a *source
// error, see sourceError; any other is a fault of ours that a retry may mend.
func (j *job) open(ctx context.Context, s settings, limits driver.Limits) (Conn, error) {
	var secret []byte
	if s.secretRef != "" {
		var err error
		if secret, err = j.h.vault.Open(ctx, j.address, s.secretRef); err != nil {
			return nil, fmt.Errorf("open the secrets: %w", err)
		}
	}
	return j.h.connectors.Open(ctx, j.address.Tokens(), s.connector, s.config, secret, limits)
}

// openCurrent opens the source with its newest settings: when the secrets were
// replaced between reading the state and opening them, it reads again.
func (j *job) openCurrent(ctx context.Context, v view, limits driver.Limits) (Conn, error) {
	for {
		conn, err := j.open(ctx, settings{v.Connector, v.Config, v.SecretRef}, limits)
		if !errors.Is(err, seal.ErrDestroyed) {
			return conn, err
		}
		newer, lerr := j.load(ctx)
		if lerr != nil {
			return nil, lerr
		}
		if newer.SecretRef == v.SecretRef || !newer.Connected {
			return nil, err
		}
		v = newer
	}
}

// ofSource reports whether an error is the source's own, or the time limit's,
// and so an outcome; any other is a reason to try the command again. base is
// the context that ends when the worker stops.
func ofSource(base context.Context, err error) bool {
	if base.Err() != nil {
		return false
	}
	reason, _ := explain(err)
	return reason != event.ReasonInternal && reason != event.ReasonCancelled
}

// discoverTables reads the schema within the limits of size. Beside a
// *driver.UnreadTables it returns the other tables.
func (j *job) discoverTables(ctx context.Context, conn Conn) ([]driver.Table, error) {
	h := j.h
	if err := j.tell(conn); err != nil {
		return nil, err
	}
	tables, err := conn.Discover(ctx)
	unread := unreadOf(err)
	if err != nil && unread == nil {
		return nil, err
	}
	if n := len(tables) + len(unread); n > h.options.MaxTables {
		return nil, failf(event.ReasonLimit, "the source has %d tables; at most %d are read", n, h.options.MaxTables)
	}
	tables = slices.DeleteFunc(tables, func(t driver.Table) bool { return t.LeftOut != "" })
	columns := 0
	for _, t := range tables {
		columns += len(t.Columns)
	}
	if columns > h.options.MaxColumns {
		return nil, failf(event.ReasonLimit, "the source has %d columns in all; at most %d are read", columns, h.options.MaxColumns)
	}
	filled, failed := j.filled(tables)
	if failed != nil {
		return nil, failed
	}
	return filled, err
}

// tell hands a source that asks for it what is known of its tables.
func (j *job) tell(conn Conn) error {
	k, ok := conn.(extract.Knower)
	if !ok || !k.Knows() {
		return nil
	}
	_, known, err := j.h.state.Schema(j.address)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	tables := []driver.Table{}
	for _, t := range known {
		if len(t.Columns) > 0 {
			tables = append(tables, asKnown(driver.Table{Namespace: t.Namespace, Name: t.Name, Kind: t.Kind}, t))
		}
	}
	k.Know(tables)
	return nil
}

// unreadOf returns the tables that an error of discoverTables is about, nil
// where it is about the whole source.
func unreadOf(err error) []driver.UnreadTable {
	var some *driver.UnreadTables
	if errors.As(err, &some) {
		return some.Tables
	}
	return nil
}

// because returns the cause of the context's end in the place of an error that
// only says that it ended.
func because(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

// limited returns a context that ends after the limit of an inspection.
func (h *Handlers) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, h.options.InspectLimit, errInspectLimit)
}

// closing closes what a handler is done with. A failure to close changes
// nothing of the outcome, so it only goes to the log.
func (j *job) closing(conn Conn) {
	if err := conn.Close(); err != nil {
		j.log.Debug("close the source", "error", err)
	}
}
