package syncing

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"strconv"
	"strings"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/handlers/schema"
)

// tidy asks for the maintenance of tables that a sync left in need of it. That is
// sent once for a sync; if it cannot be, the next sync asks again.
func (a *attempt) tidy(ctx context.Context) { a.askUpkeep(ctx, a.id) }

// tend is tidy for a sync that goes on: it asks again and again.
func (f *follower) tend(ctx context.Context) {
	f.askUpkeep(ctx, f.id+"."+strconv.FormatInt(time.Now().Unix(), 10))
}

func (a *attempt) askUpkeep(ctx context.Context, occasion string) {
	if a.options.Maintenance == command.MaintenanceOff || a.h.Commands == nil {
		return
	}
	var names []string
	for _, t := range a.tables {
		if t.needsUpkeep() {
			names = append(names, schema.Name(t.table.Namespace, t.table.Name))
		}
	}
	if len(names) == 0 {
		return
	}
	sum := sha256.Sum256([]byte(occasion + ".MaintainSource"))
	operation := event.Operation{ID: "op_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16])), Kind: event.KindMaintain, Targets: 1}
	err := a.h.Commands.Send(ctx, &command.Command{
		ID: history.EventID(occasion, "MaintainSource", ""), Time: time.Now().UTC(), TraceParent: a.j.Trace,
		Data: &command.MaintainSource{Meta: command.Meta{Meta: event.At(a.j.Address, operation)}, Tables: names},
	})
	if err != nil {
		a.j.Log.Warn("the maintenance of tables could not be asked for", "error", err)
	}
}
