package tokens

import (
	"context"
	"time"

	"headwater/api/auth"
	"headwater/api/idempotency"
	"headwater/bus/event"
)

// Used records that an API token was used, once a day. After a failure a
// later use of the token tries again.
func (c *Calls) Used(t auth.APIToken) {
	if c.using.Add(1) > usesAtOnce {
		c.using.Add(-1)
		return // a later use tries again
	}
	c.work.Go(func() {
		defer c.using.Add(-1)
		ctx, cancel := context.WithTimeout(context.Background(), useTime)
		defer cancel()
		known, err := c.Model.Token(t.Address.Source)
		if err != nil {
			return
		}
		now := time.Now().UTC()
		// one event from all nodes is enough, so its id derives from the day
		id := idempotency.Seed{Bytes: []byte(t.Address.Source), At: now.Truncate(24 * time.Hour)}.UUID("TokenUsed")
		e := &event.Event{ID: id, Time: now, Data: &event.TokenUsed{
			Meta: event.At(t.Address, event.Operation{ID: id, Kind: event.KindRequest, Targets: 1, Actor: t.Address.Owner}), Name: known.Name,
		}}
		after, err := c.Events.LastSequence(ctx, t.Address)
		if err == nil {
			_, err = c.Events.Append(ctx, after, e)
		}
		if err != nil {
			c.Log.Debug("the use of a token is not in the history", "token", t.Address.Source, "error", err)
		}
	})
}

// Wait waits until every use has been recorded. No token may be used meanwhile.
func (c *Calls) Wait() { c.work.Wait() }
