package sources

import (
	"context"
	"fmt"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/handlers/inspect"
	"headwater/handlers/schema"
	"headwater/handlers/sourcelog"
)

// connecting is one connect whose source was inspected.
type connecting struct {
	s     *Sources
	j     *history.Job
	c     *command.ConnectSource
	found schema.Found
	why   error // why the source cannot be connected, nil if it can

	holds    *held  // what the server of the command said, nil before it was asked
	asks     *held  // it is to be asked; nil if not
	waits    bool   // a server that was left is to let its log go
	waited   bool   // as far as that is waited for
	replaced string // the secrets that are used no more
}

// held is whether a server keeps the log of a source that was moved last by the event at moved.
// It says nothing of the source once that was moved again.
type held struct {
	moved uint64
	holds bool
}

// record writes the outcome of the inspection, and then forgets the secrets that the new
// ones replace. A worker that dies between the two leaves the old ones sealed until the
// source is removed.
func (n *connecting) record(ctx context.Context) error {
	for {
		_, err := n.j.Advance(ctx, func(v history.View) (history.Move, error) { return n.next(ctx, v) })
		switch {
		case err != nil:
			return err
		case n.asks != nil:
			if n.asks.holds, err = n.s.Logs.Holds(ctx, n.j, n.c); err != nil {
				return err
			}
			n.holds = n.asks
		case n.waits:
			if _, err := n.s.Logs.Leave(ctx, n.j, n.s.Logs.Limit); err != nil {
				return err
			}
			n.waited = true
		default:
			return n.forget(ctx)
		}
	}
}

func (n *connecting) forget(ctx context.Context) error {
	if n.replaced == "" || n.replaced == n.c.SecretRef {
		return nil
	}
	if err := n.s.Vault.Forget(ctx, n.j.Address, n.replaced); err != nil {
		return fmt.Errorf("forget the replaced secrets: %w", err)
	}
	return nil
}

// next returns the event that the source's state lacks. Without one, asks and waits say
// what is to be done before it is decided.
func (n *connecting) next(ctx context.Context, v history.View) (history.Move, error) {
	n.asks, n.waits = nil, false
	if v.Ended {
		return history.Move{}, nil
	}
	refused, err := n.s.refusal(ctx, n.j, v, n.c)
	if err != nil {
		return history.Move{}, err
	}
	if refused != nil {
		n.why = refused
	}
	if n.why != nil {
		n.replaced = ""
		return history.Move{Data: ConnectFailed(n.j, n.c, n.why)}, nil
	}
	same := v.Repeated
	if !same {
		if same, err = n.s.same(ctx, n.j, v, n.c); err != nil {
			return history.Move{}, err
		}
	}
	if same {
		return n.settled(v)
	}
	return n.connected(v)
}

// connected returns the event that gives the source the command's settings. Whether that
// moves it away from a server that keeps its log is part of the event: by it the position
// there is forgotten, so that no state has the new settings and the old position.
func (n *connecting) connected(v history.View) (history.Move, error) {
	moved := false
	if sourcelog.MayLeave(v, n.c) {
		alike := sourcelog.Alike(v, n.c)
		if alike && (n.holds == nil || n.holds.moved != v.Moved) {
			n.asks = &held{moved: v.Moved}
			return history.Move{}, nil
		}
		moved = !alike || !n.holds.holds
	}
	sync, err := keptBy(v, n.c)
	if err != nil {
		return history.Move{}, err
	}
	schema, err := inspect.NewSchema(n.j, true, "connect", "", n.found)
	if err != nil {
		return history.Move{}, err
	}
	if n.replaced = v.SecretRef; moved || v.LeftWith(v.SecretRef, 0) {
		n.replaced = "" // they are needed where the log is released
	}
	return history.Move{Discriminator: "changed", Data: &event.SourceConnected{
		Meta: n.j.Meta(schema.Data == nil && !moved), Name: n.c.Name, Type: n.c.Type, Connector: n.c.Connector,
		ConfigVersion: v.ConfigVersion + 1, Config: n.c.Config, SecretRef: n.c.SecretRef, Metadata: n.c.Metadata, Sync: sync, Moved: moved,
	}}, nil
}

// settled returns the event that ends the target of a source that has the command's
// settings.
func (n *connecting) settled(v history.View) (history.Move, error) {
	if v.SecretRef != n.c.SecretRef {
		n.replaced = ""
	}
	if n.waits = len(v.Left) > 0 && !n.waited; n.waits {
		return history.Move{}, nil
	}
	schema, err := inspect.NewSchema(n.j, true, "connect", "", n.found)
	if err != nil || schema.Data != nil {
		return schema, err
	}
	return history.Move{Discriminator: "unchanged", Data: &event.SourceConnected{
		Meta: n.j.Meta(true), Name: v.Name, Type: v.Type, Connector: v.Connector, ConfigVersion: v.ConfigVersion,
		Config: v.Config, SecretRef: v.SecretRef, Metadata: v.Metadata, Sync: v.Sync, Unchanged: true,
	}}, nil
}
