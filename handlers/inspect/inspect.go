// Package inspect opens sources, by their settings and sealed secrets, and finds what they
// have.
package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"headwater/bus/event"
	"headwater/bus/seal"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/history"
	"headwater/handlers/outcome"
	"headwater/handlers/schema"
)

// Settings say how to open a source.
type Settings struct {
	Connector string
	Config    json.RawMessage
	SecretRef string
}

// Inspector opens sources and reads what they have, within bounds. It is safe for
// concurrent use.
type Inspector struct {
	Connectors extract.Opener
	Vault      Secrets
	Limit      time.Duration // to open, check and discover a source
	MaxTables  int           // of one source
	MaxColumns int           // of all its tables
}

// Secrets opens the sealed secrets of sources. *seal.Vault is one.
type Secrets interface {
	// Open returns the secrets that ref names, as JSON, or the vault's error.
	Open(ctx context.Context, a event.Address, ref string) ([]byte, error)
}

// Open opens the source. An error of the source or of its secrets is an outcome, see
// outcome.OfSource; any other is a fault of ours that a retry may mend.
func (i *Inspector) Open(ctx context.Context, j *history.Job, s Settings, limits driver.Limits) (extract.Session, error) {
	var secret []byte
	if s.SecretRef != "" {
		var err error
		if secret, err = i.Vault.Open(ctx, j.Address, s.SecretRef); err != nil {
			return nil, fmt.Errorf("open the secrets: %w", err)
		}
	}
	return i.Connectors.Open(ctx, j.Address.Tokens(), s.Connector, s.Config, secret, limits)
}

// Forget ends what is kept open of the job's source. It is not to be opened again.
func (i *Inspector) Forget(j *history.Job) { i.Connectors.Forget(j.Address.Tokens()) }

// OpenCurrent opens the source with its newest settings: when the secrets were
// replaced between reading the state and opening them, it reads again.
func (i *Inspector) OpenCurrent(ctx context.Context, j *history.Job, v history.View, limits driver.Limits) (extract.Session, error) {
	for {
		conn, err := i.Open(ctx, j, Settings{Connector: v.Connector, Config: v.Config, SecretRef: v.SecretRef}, limits)
		if !errors.Is(err, seal.ErrDestroyed) {
			return conn, err
		}
		newer, lerr := j.Load(ctx)
		if lerr != nil {
			return nil, lerr
		}
		if newer.SecretRef == v.SecretRef || !newer.Connected {
			return nil, err
		}
		v = newer
	}
}

// Discover reads the schema within the limits of size. It fails where
// nothing could be told of any table.
func (i *Inspector) Discover(ctx context.Context, j *history.Job, conn extract.Session) (d schema.Found, err error) {
	if err := tell(j, conn); err != nil {
		return d, err
	}
	d.Tables, err = conn.Discover(ctx)
	var some *driver.UnreadTables
	switch {
	case errors.As(err, &some):
		d.Unread = some.Tables
	case err != nil:
		return d, err
	}
	if n := len(d.Tables) + len(d.Unread); n > i.MaxTables {
		return d, outcome.Failf(event.ReasonLimit, "the source has %d tables; at most %d are read", n, i.MaxTables)
	}
	columns := 0
	d.Tables = slices.DeleteFunc(d.Tables, func(t driver.Table) bool {
		if t.LeftOut == "" {
			columns += len(t.Columns)
			return false
		}
		d.Left = append(d.Left, event.LeftOut{Name: t.Name, Namespace: t.Namespace, Kind: t.Kind, Reason: t.LeftOut})
		return true
	})
	if columns > i.MaxColumns {
		return d, outcome.Failf(event.ReasonLimit, "the source has %d columns in all; at most %d are read", columns, i.MaxColumns)
	}
	if !slices.ContainsFunc(d.Tables, func(t driver.Table) bool { return t.Blank }) {
		return d, nil
	}
	known, err := j.State.Schema(j.Address)
	if err != nil {
		return d, fmt.Errorf("read the schema: %w", err)
	}
	d.Tables = schema.Filled(d.Tables, known.Tables)
	return d, nil
}

// tell hands a source that asks for it what is known of its tables.
func tell(j *history.Job, conn extract.Session) error {
	k, ok := conn.(extract.Knower)
	if !ok || !k.Knows() {
		return nil
	}
	known, err := j.State.Schema(j.Address)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	tables := []driver.Table{}
	for _, t := range known.Tables {
		if len(t.Columns) > 0 {
			tables = append(tables, schema.AsKnown(driver.Table{Namespace: t.Namespace, Name: t.Name, Kind: t.Kind}, t))
		}
	}
	k.Know(tables)
	return nil
}

// Limited returns a context that ends after the limit of an inspection.
func (i *Inspector) Limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, i.Limit, outcome.ErrInspectLimit)
}

// Close closes what a handler is done with. A failure to close changes
// nothing of the outcome, so it only goes to the log.
func Close(j *history.Job, conn extract.Session) {
	if err := conn.Close(); err != nil {
		j.Log.Debug("close the source", "error", err)
	}
}
