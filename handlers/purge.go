package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
)

// purge destroys what a removed source could be restored from. A source that
// was restored meanwhile, or removed once more, is left alone: nobody asked for
// the command, so nobody is told.
func (h *Handlers) purge(ctx context.Context, j *job, c *command.PurgeSource) error {
	_, err := j.advance(ctx, func(v view) (move, error) {
		if !v.restorable() || v.Removal.Sequence != c.Removed || time.Now().Before(v.Removal.DestroyedAfter) {
			return move{}, nil
		}
		return purged(j, v), nil
	})
	if err != nil {
		return err
	}
	return j.destroyPurged(ctx)
}

// purged returns the event after which a kept source can not be restored.
func purged(j *job, v view) move {
	return move{
		discriminator: strconv.FormatUint(v.Removal.Sequence, 10),
		data:          &event.SourcePurged{Meta: j.meta(false), Name: v.Name, Removed: v.Removal.Sequence},
	}
}

// Sweep sends PurgeSource for every removed source whose grace period has
// passed, again and again until ctx ends. Any number of nodes may sweep: a
// command's id derives from the removal, and a second one finds nothing to do.
func (h *Handlers) Sweep(ctx context.Context) {
	tick := time.NewTicker(h.options.SweepEvery)
	defer tick.Stop()
	for {
		if err := h.sweep(ctx); err != nil && ctx.Err() == nil {
			h.log.Warn("removed sources could not be purged and will be tried again", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (h *Handlers) sweep(ctx context.Context) error {
	due, err := h.state.Due(time.Now())
	if err != nil {
		return fmt.Errorf("look for removed sources: %w", err)
	}
	var errs []error
	for _, d := range due {
		removal := d.Address.Tokens() + "." + strconv.FormatUint(d.Removed, 10)
		sum := sha256.Sum256([]byte(removal))
		operation := "op_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
		meta := event.At(d.Address, event.Operation{ID: operation, Kind: event.KindPurge, Targets: 1})
		errs = append(errs, h.commands.Send(ctx, &command.Command{
			ID: eventID(removal, "PurgeSource", ""), Time: time.Now().UTC(),
			Data: &command.PurgeSource{Meta: command.Meta{Meta: meta}, Removed: d.Removed},
		}))
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}
