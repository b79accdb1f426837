package handlers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"headwater/bus/event"
	"headwater/bus/seal"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/landing"
	"headwater/handlers/landing/bucket"
	"headwater/handlers/outcome"
)

// settings say how to open a source.
type settings struct {
	connector string
	config    json.RawMessage
	secretRef string
}

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
	reason, _ := outcome.Explain(err)
	return reason != event.ReasonInternal && reason != event.ReasonCancelled
}

// discovered is what a source was found to have.
type discovered struct {
	tables []driver.Table       // that it offers
	unread []driver.UnreadTable // that are there, but what they hold could not be told
	left   []event.LeftOut      // that it does not offer
}

// discoverTables reads the schema within the limits of size. It fails where
// nothing could be told of any table.
func (j *job) discoverTables(ctx context.Context, conn Conn) (d discovered, err error) {
	h := j.h
	if err := j.tell(conn); err != nil {
		return d, err
	}
	d.tables, err = conn.Discover(ctx)
	var some *driver.UnreadTables
	switch {
	case errors.As(err, &some):
		d.unread = some.Tables
	case err != nil:
		return d, err
	}
	if n := len(d.tables) + len(d.unread); n > h.options.MaxTables {
		return d, outcome.Failf(event.ReasonLimit, "the source has %d tables; at most %d are read", n, h.options.MaxTables)
	}
	columns := 0
	d.tables = slices.DeleteFunc(d.tables, func(t driver.Table) bool {
		if t.LeftOut == "" {
			columns += len(t.Columns)
			return false
		}
		d.left = append(d.left, event.LeftOut{Name: t.Name, Namespace: t.Namespace, Kind: t.Kind, Reason: t.LeftOut})
		return true
	})
	if columns > h.options.MaxColumns {
		return d, outcome.Failf(event.ReasonLimit, "the source has %d columns in all; at most %d are read", columns, h.options.MaxColumns)
	}
	d.tables, err = j.filled(d.tables)
	return d, err
}

// tell hands a source that asks for it what is known of its tables.
func (j *job) tell(conn Conn) error {
	k, ok := conn.(extract.Knower)
	if !ok || !k.Knows() {
		return nil
	}
	known, err := j.h.state.Schema(j.address)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	tables := []driver.Table{}
	for _, t := range known.Tables {
		if len(t.Columns) > 0 {
			tables = append(tables, asKnown(driver.Table{Namespace: t.Namespace, Name: t.Name, Kind: t.Kind}, t))
		}
	}
	k.Know(tables)
	return nil
}

// schema returns what there is to be known of the source: its tables, those that
// cannot be read now as they were known before, and what is left out with its
// reason, among it what could never be read.
func (d discovered) schema(known []event.Table) (tables []event.Table, left []event.LeftOut) {
	tables, left = tablesOf(d.tables), slices.Clone(d.left)
	for _, u := range d.unread {
		at := slices.IndexFunc(known, func(k event.Table) bool { return u.Namespace == k.Namespace && u.Name == k.Name })
		if at >= 0 {
			tables = append(tables, known[at])
			continue
		}
		_, message := outcome.Explain(u.Err)
		left = append(left, event.LeftOut{Name: u.Name, Namespace: u.Namespace, Reason: message})
	}
	sortTables(tables)
	slices.SortStableFunc(left, func(a, b event.LeftOut) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return tables, left
}

// unreadable returns why nothing of the source can be read, nil unless it has
// tables and none can.
func (d discovered) unreadable() error {
	if len(d.tables) > 0 || len(d.unread) == 0 {
		return nil
	}
	return &driver.UnreadTables{Tables: d.unread}
}

// causeOf returns why ctx ended, if it did, and err otherwise: an error of a call
// that was cut off says only that. Where a limit passed while the lake was waited
// for, the message adds what the lake had answered.
func causeOf(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	cause := context.Cause(ctx)
	var limit *outcome.Failure
	if !errors.As(cause, &limit) || !errors.Is(err, landing.ErrStorage) {
		return cause
	}
	what := "its folder did not answer"
	var b *bucket.Error
	if errors.As(err, &b) {
		what = b.Error()
	}
	return errors.Join(outcome.Failf(limit.Reason, "%s; the lake was waited for: %s", limit.Message, what), cause)
}

// limited returns a context that ends after the limit of an inspection.
func (h *Handlers) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, h.options.InspectLimit, outcome.ErrInspectLimit)
}

// closing closes what a handler is done with. A failure to close changes
// nothing of the outcome, so it only goes to the log.
func (j *job) closing(conn Conn) {
	if err := conn.Close(); err != nil {
		j.log.Debug("close the source", "error", err)
	}
}
