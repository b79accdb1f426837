package fold

import (
	"headwater/bus/event"
	"headwater/projections/layout"
)

// tokenCreated adds an API token. A token with an existing id changes nothing.
func (t *Batch) tokenCreated(d *event.TokenCreated) error {
	entry, err := t.tokens.get(t.db, t.key(layout.KeyToken, d.SourceID))
	if err != nil || entry.exists {
		return err
	}
	entry.v = layout.Token{
		Address: d.Address(), Name: d.Name, Role: d.Role, Workspaces: d.Workspaces, Hash: d.Hash,
		CreatedAt: t.at, CreatedBy: d.Operation.Actor, ExpiresAt: d.ExpiresAt.UTC(),
	}
	t.tokens.touch(entry)
	return t.out.Set(layout.PutText(layout.PutNewest(layout.Key(layout.KeyTokenOf, d.Organization), t.sequence), d.SourceID), nil)
}

// tokenRevoked revokes an API token. That cannot be undone.
func (t *Batch) tokenRevoked(d *event.TokenRevoked) error {
	return t.changeToken(&d.Meta, func(v *layout.Token) {
		if v.RevokedAt == nil {
			at := t.at
			v.RevokedAt, v.RevokedBy = &at, d.Operation.Actor
		}
		t.Revoked = append(t.Revoked, d.SourceID)
	})
}

// tokenUsed records when an API token was used.
func (t *Batch) tokenUsed(d *event.TokenUsed) error {
	return t.changeToken(&d.Meta, func(v *layout.Token) {
		at := t.at
		v.UsedAt = &at
	})
}

// changeToken changes a known token, if the event belongs to its history.
func (t *Batch) changeToken(of *event.Meta, change func(*layout.Token)) error {
	entry, err := t.tokens.get(t.db, t.key(layout.KeyToken, of.SourceID))
	if err != nil || !entry.exists || entry.v.Address != of.Address() {
		return err
	}
	change(&entry.v)
	t.tokens.touch(entry)
	return nil
}
