package handlers

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
	"headwater/connectors/driver"
	"headwater/handlers/outcome"
)

// connect checks a source, reads its schema and saves both, or says why it
// cannot and leaves what was connected before as it was.
//
// The outcome is one of these, decided from the source's state alone:
//
//	settings differ, schema differs:  SourceConnected, SchemaDiscovered (final)
//	settings differ:                  SourceConnected (final)
//	schema differs:                   SchemaDiscovered (final)
//	nothing differs:                  SourceConnected, unchanged (final)
//	not connected:                    SourceConnectFailed (final)
//
// A worker that dies after SourceConnected leaves a source whose settings no
// longer differ, so the next one goes on with the schema.
func (h *Handlers) connect(ctx context.Context, j *job, c *command.ConnectSource) error {
	v, err := j.load(ctx)
	if err != nil {
		return err
	}
	if !v.ended {
		var found discovered
		why, err := j.refusal(ctx, v, c)
		if err != nil {
			return err
		}
		if why == nil {
			found, why, err = j.inspect(ctx, settings{c.Connector, c.Config, c.SecretRef})
			if err != nil {
				return err
			}
		}
		if why == nil {
			if err := j.moveAway(ctx, c); err != nil {
				return err
			}
		}
		if err := j.recordConnect(ctx, c, found, why); err != nil {
			return err
		}
	}
	return j.settleSecrets(ctx, c)
}

// refusal returns why a source cannot be connected under its name, nil if it
// can.
func (j *job) refusal(ctx context.Context, v view, c *command.ConnectSource) (why, err error) {
	dead, err := j.dead(v, c.Name)
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
	if same, err := j.same(ctx, v, c); same || err != nil {
		return nil, err
	}
	return outcome.Failf(event.ReasonConflict, "%q was changed meanwhile, to version %d; look at it and try again", c.Name, v.ConfigVersion), nil
}

// dead reports whether the source at the job's address was removed: its history
// has ended, and the next source of its name gets another id.
func (j *job) dead(v view, name string) (bool, error) {
	if v.Connected {
		return false, nil
	}
	id, err := j.h.state.SourceID(j.address.Organization, j.address.Workspace, j.address.Owner, name)
	if err != nil {
		return false, fmt.Errorf("read the name's state: %w", err)
	}
	return id != j.address.Source, nil
}

// inspect opens and checks a source and returns what it has, or the failure that
// is the outcome, or an error for which the command is to be tried again.
func (j *job) inspect(ctx context.Context, s settings) (found discovered, why, err error) {
	work, cancel := j.work(ctx)
	defer cancel()
	work, cancelLimit := j.h.limited(work)
	defer cancelLimit()
	found, err = j.read(work, s)
	if err = causeOf(work, err); err == nil {
		return found, nil, nil
	}
	if ofSource(ctx, err) {
		return found, err, nil
	}
	return found, nil, err
}

func (j *job) read(ctx context.Context, s settings) (found discovered, err error) {
	conn, err := j.open(ctx, s, driver.Limits{})
	if err != nil {
		return found, err
	}
	defer j.closing(conn)
	if err := j.tell(conn); err != nil {
		return found, err
	}
	if _, err := conn.Check(ctx); err != nil {
		return found, err
	}
	return j.readable(ctx, conn)
}

// recordConnect writes the outcome of an inspection, and then forgets the
// secrets that the new ones replace. A worker that dies between the two leaves
// the old ones sealed until the source is removed.
func (j *job) recordConnect(ctx context.Context, c *command.ConnectSource, found discovered, why error) error {
	var replaced string
	_, err := j.advance(ctx, func(v view) (move, error) {
		if v.ended {
			return move{}, nil
		}
		refused, err := j.refusal(ctx, v, c)
		if err != nil {
			return move{}, err
		}
		if refused != nil {
			why = refused
		}
		if why != nil {
			replaced = ""
			return move{data: connectFailed(j, c, why)}, nil
		}
		sync, err := keptBy(v, c)
		if err != nil {
			return move{}, err
		}
		same := v.repeated
		if !same {
			if same, err = j.same(ctx, v, c); err != nil {
				return move{}, err
			}
		}
		if same && v.SecretRef != c.SecretRef {
			replaced = ""
		}
		schema, err := j.schemaMove(true, "connect", "", found)
		if err != nil {
			return move{}, err
		}
		if !same {
			replaced = v.SecretRef
			return move{discriminator: "changed", data: &event.SourceConnected{
				Meta: j.meta(schema.data == nil), Name: c.Name, Type: c.Type, Connector: c.Connector,
				ConfigVersion: v.ConfigVersion + 1, Config: c.Config, SecretRef: c.SecretRef, Metadata: c.Metadata, Sync: sync,
			}}, nil
		}
		if schema.data != nil {
			return schema, nil
		}
		return move{discriminator: "unchanged", data: &event.SourceConnected{
			Meta: j.meta(true), Name: v.Name, Type: v.Type, Connector: v.Connector, ConfigVersion: v.ConfigVersion,
			Config: v.Config, SecretRef: v.SecretRef, Metadata: v.Metadata, Sync: v.Sync, Unchanged: true,
		}}, nil
	})
	if err != nil || replaced == "" || replaced == c.SecretRef {
		return err
	}
	if err := j.h.vault.Forget(ctx, j.address, replaced); err != nil {
		return fmt.Errorf("forget the replaced secrets: %w", err)
	}
	return nil
}

func connectFailed(j *job, c *command.ConnectSource, why error) *event.SourceConnectFailed {
	reason, message := outcome.Explain(why)
	return &event.SourceConnectFailed{
		Meta: j.meta(true), Name: c.Name, Type: c.Type, Connector: c.Connector, Reason: reason, Message: message,
	}
}

// keptBy returns the sync options that the source keeps once it is connected by
// the command: those that it names, else those that it kept.
func keptBy(v view, c *command.ConnectSource) (json.RawMessage, error) {
	if c.Sync == nil {
		if !v.Connected {
			return nil, nil
		}
		return v.Sync, nil
	}
	return json.Marshal(c.Sync.Kept())
}

// same reports whether the source has the command's settings already.
func (j *job) same(ctx context.Context, v view, c *command.ConnectSource) (bool, error) {
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
		secrets[i], err = j.h.vault.Open(ctx, j.address, ref)
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
func (j *job) settleSecrets(ctx context.Context, c *command.ConnectSource) error {
	ref := c.SecretRef
	v, err := j.load(ctx)
	if err != nil {
		return err
	}
	dead, err := j.dead(v, c.Name)
	if err != nil {
		return err
	}
	if dead && !v.restorable() {
		// Sealing them may have made a keyset again after the source's own was
		// destroyed.
		if err := j.h.vault.Destroy(ctx, j.address); err != nil {
			return fmt.Errorf("destroy the secrets of a removed source: %w", err)
		}
		return nil
	}
	if ref == "" || v.SecretRef == ref {
		return nil
	}
	if err := j.h.vault.Forget(ctx, j.address, ref); err != nil {
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
