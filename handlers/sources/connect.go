// Package sources connects sources, tries connections, looks at schemas and renames: the
// commands on a source that land no row.
package sources

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/seal"
	"headwater/handlers/history"
	"headwater/handlers/inspect"
	"headwater/handlers/outcome"
	"headwater/handlers/schema"
	"headwater/handlers/sourcelog"
)

// Sources connects sources, tries them, looks at what they have and names them. It is
// safe for concurrent use.
type Sources struct {
	Inspector *inspect.Inspector
	Logs      *sourcelog.Logs
	Vault     Vault
}

// Vault keeps the sealed secrets of sources. *seal.Vault is one.
type Vault interface {
	inspect.Secrets
	// Forget removes the secrets that ref names; it may be repeated.
	Forget(ctx context.Context, a event.Address, ref string) error
	// Destroy removes the keys of a source, after which none of its secrets can be
	// opened; it may be repeated.
	Destroy(ctx context.Context, a event.Address) error
}

// Connect checks a source, reads its schema and saves both, or says why it
// cannot and leaves what was connected before as it was.
//
// The outcome is one of these, decided from the source's state alone:
//
//	settings differ, schema differs:  SourceConnected, SchemaDiscovered (final)
//	settings differ:                  SourceConnected (final)
//	a server with a log is left:      SourceConnected, ChangesGivenUp, and SchemaDiscovered
//	                                  or SourceConnected, unchanged (final)
//	schema differs:                   SchemaDiscovered (final)
//	nothing differs:                  SourceConnected, unchanged (final)
//	not connected:                    SourceConnectFailed (final)
//
// A worker that dies after SourceConnected leaves a source whose settings no
// longer differ, so the next one goes on with the schema.
func (s *Sources) Connect(ctx context.Context, j *history.Job, c *command.ConnectSource) error {
	v, err := j.Load(ctx)
	if err != nil {
		return err
	}
	if !v.Ended {
		var found schema.Found
		why, err := s.refusal(ctx, j, v, c)
		if err != nil {
			return err
		}
		if why == nil {
			found, why, err = s.Inspector.Inspect(ctx, j, inspect.Settings{Connector: c.Connector, Config: c.Config, SecretRef: c.SecretRef})
			if err != nil {
				return err
			}
		}
		if err := (&connecting{s: s, j: j, c: c, found: found, why: why}).record(ctx); err != nil {
			return err
		}
	}
	return s.Settle(ctx, j, c)
}

// Settle does what else must not be left behind once the command's target has ended:
// secrets that nobody uses, and logs at servers that the source has left. While a sync may
// still read such a log it snoozes.
func (s *Sources) Settle(ctx context.Context, j *history.Job, c *command.ConnectSource) error {
	if err := s.settleSecrets(ctx, j, c); err != nil {
		return err
	}
	return s.Logs.Left(ctx, j)
}

// refusal returns why a source cannot be connected under its name, nil if it
// can.
func (s *Sources) refusal(ctx context.Context, j *history.Job, v history.View, c *command.ConnectSource) (why, err error) {
	dead, err := dead(j, v, c.Name)
	switch {
	case err != nil:
		return nil, err
	case dead:
		return outcome.Failf(event.ReasonConflict, "%q was removed meanwhile; connect it again", c.Name), nil
	case v.Connected && v.Type != c.Type && v.Connector != c.Connector:
		return outcome.Failf(event.ReasonConflict, "%q is already connected as type %q; remove it first or choose another name", c.Name, v.Type), nil
	case v.Connected && v.Name != c.Name:
		return outcome.Failf(event.ReasonConflict, "%q was renamed to %q meanwhile", c.Name, v.Name), nil
	case c.Base == 0 || v.ConfigVersion == c.Base:
		return nil, nil
	}
	// An earlier delivery of this command may be what came between.
	if same, err := s.same(ctx, j, v, c); same || err != nil {
		return nil, err
	}
	return outcome.Failf(event.ReasonConflict, "%q was changed meanwhile, to version %d; look at it and try again", c.Name, v.ConfigVersion), nil
}

// dead reports whether the source at the job's address was removed: its history
// has ended, and the next source of its name gets another id.
func dead(j *history.Job, v history.View, name string) (bool, error) {
	if v.Connected {
		return false, nil
	}
	id, err := j.State.SourceID(j.Address.Organization, j.Address.Workspace, j.Address.Owner, name)
	if err != nil {
		return false, fmt.Errorf("read the name's state: %w", err)
	}
	return id != j.Address.Source, nil
}

// ConnectFailed returns the outcome of a connect that failed.
func ConnectFailed(j *history.Job, c *command.ConnectSource, why error) *event.SourceConnectFailed {
	reason, message := outcome.Explain(why)
	return &event.SourceConnectFailed{
		Meta: j.Meta(true), Name: c.Name, Type: c.Type, Connector: c.Connector, Reason: reason, Message: message,
	}
}

// keptBy returns the sync options that the source keeps once it is connected by
// the command: those that it names, else those that it kept.
func keptBy(v history.View, c *command.ConnectSource) (json.RawMessage, error) {
	if c.Sync == nil {
		if !v.Connected {
			return nil, nil
		}
		return v.Sync, nil
	}
	return json.Marshal(c.Sync.Kept())
}

// same reports whether the source has the command's settings already.
func (s *Sources) same(ctx context.Context, j *history.Job, v history.View, c *command.ConnectSource) (bool, error) {
	if !v.Connected || v.Type != c.Type || v.Connector != c.Connector ||
		!sameJSON(v.Config, c.Config) || !sameJSON(v.Metadata, c.Metadata) {
		return false, nil
	}
	if sync, err := keptBy(v, c); err != nil || !sameJSON(v.Sync, sync) {
		return false, err
	}
	if v.SecretRef == c.SecretRef {
		return true, nil
	}
	var secrets [2][]byte
	for i, ref := range []string{v.SecretRef, c.SecretRef} {
		if ref == "" {
			continue
		}
		var err error
		secrets[i], err = s.Vault.Open(ctx, j.Address, ref)
		if errors.Is(err, seal.ErrDestroyed) || errors.Is(err, seal.ErrRefused) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("compare the secrets: %w", err)
		}
		defer clear(secrets[i])
	}
	return sameJSON(secrets[0], secrets[1]), nil
}

// settleSecrets forgets the command's sealed secrets when its target has ended
// and the source does not use them.
func (s *Sources) settleSecrets(ctx context.Context, j *history.Job, c *command.ConnectSource) error {
	ref := c.SecretRef
	v, err := j.Load(ctx)
	if err != nil {
		return err
	}
	dead, err := dead(j, v, c.Name)
	if err != nil {
		return err
	}
	if dead && !v.Restorable() {
		// Sealing them may have made a keyset again after the source's own was
		// destroyed.
		if err := s.Vault.Destroy(ctx, j.Address); err != nil {
			return fmt.Errorf("destroy the secrets of a removed source: %w", err)
		}
		return nil
	}
	if ref == "" || v.Keeps(ref, 0) {
		return nil
	}
	if err := s.Vault.Forget(ctx, j.Address, ref); err != nil {
		return fmt.Errorf("forget unused secrets: %w", err)
	}
	return nil
}

// sameJSON compares two JSON values by meaning. Nothing, null and an empty
// object are the same.
func sameJSON(a, b []byte) bool {
	x, okA := decoded(a)
	y, okB := decoded(b)
	return okA && okB && reflect.DeepEqual(x, y)
}

func decoded(raw []byte) (any, bool) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return map[string]any{}, true
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	if v == nil {
		v = map[string]any{}
	}
	return v, true
}
