package maintenance

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/handlers/readmodel"
	"headwater/handlers/schema"
)

const (
	tendLooks = 500       // tables that are looked at in one go
	tendSends = 16        // and of which a maintenance is asked for
	tendAgain = time.Hour // before the same is asked for again
)

// tending goes through the landed tables of all sources, again and again.
type tending struct {
	of   *Maintenance
	from string               // where to go on
	sent map[string]time.Time // by what called for it
}

// Run sends MaintainSource for landed tables that need maintenance after their
// syncs: they are no longer synced, were maintained too shortly before their last sync,
// or have replaced files that nobody needs any more. It looks at some tables in turn every
// Every, until ctx or Stopping ends; failures go to the log. Any
// number of nodes may run it: a command's id derives from the table's state, and a second
// maintenance does nothing. It skips sources that are being synced, and those whose kept
// options turn maintenance off.
func (m *Maintenance) Run(ctx context.Context) {
	t := &tending{of: m, sent: map[string]time.Time{}}
	for {
		select {
		case <-m.Clock.At(m.Clock.Now().Add(m.Every)):
		case <-m.Stopping:
			return
		case <-ctx.Done():
			return
		}
		if err := t.look(ctx); err != nil && ctx.Err() == nil {
			m.Log.Warn("tables in need of maintenance could not be looked for", "error", err)
		}
	}
}

// look looks at the next tables.
func (t *tending) look(ctx context.Context) error {
	tables, next, err := t.of.State.LandedFrom(t.from, tendLooks)
	if err != nil {
		return fmt.Errorf("list landed tables: %w", err)
	}
	t.from = next
	now := t.of.Clock.Now()
	for occasion, at := range t.sent {
		if now.Sub(at) >= tendAgain || at.After(now) {
			delete(t.sent, occasion)
		}
	}
	asked := 0
	tended := map[event.Address]bool{}
	for _, one := range tables {
		tends, known := tended[one.Address]
		if !known {
			if tends, err = t.tends(one.Address); err != nil {
				return err
			}
			tended[one.Address] = tends
		}
		if !tends || asked == tendSends {
			continue
		}
		occasion, due, err := t.of.Lake.UpkeepDue(ctx, one.Address, one.Namespace, one.Name)
		if err != nil {
			return fmt.Errorf("look at %s: %w", schema.Name(one.Namespace, one.Name), err)
		}
		if _, already := t.sent[occasion]; !due || already {
			continue
		}
		if err := t.of.Commands.Send(ctx, t.command(one, occasion, now)); err != nil {
			return err
		}
		t.sent[occasion], asked = now, asked+1
	}
	return nil
}

// tends reports whether the tables of a source may be maintained now.
func (t *tending) tends(a event.Address) (bool, error) {
	s, err := t.of.State.Source(a)
	if err != nil || !s.Connected || s.Running != nil {
		return false, err
	}
	var kept command.SyncOptions
	if len(s.Sync) > 0 {
		if err := json.Unmarshal(s.Sync, &kept); err != nil {
			return false, fmt.Errorf("read the kept options of %s: %w", s.Name, err)
		}
	}
	return kept.Maintenance != command.MaintenanceOff, nil
}

// command is the same for a table in a state, on every node for an hour.
func (t *tending) command(one readmodel.PlacedTable, occasion string, now time.Time) *command.Command {
	occasion += now.UTC().Truncate(tendAgain).Format(" 2006-01-02T15")
	return &command.Command{
		ID: history.EventID(occasion, "MaintainSource", ""), Time: time.Now().UTC(),
		Data: &command.MaintainSource{
			Meta:   command.Meta{Meta: event.At(one.Address, event.Operation{ID: history.DerivedID("op_", occasion), Kind: event.KindMaintain, Targets: 1})},
			Tables: []string{schema.Name(one.Namespace, one.Name)},
		},
	}
}
