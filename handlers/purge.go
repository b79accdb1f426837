package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/landing"
	"headwater/handlers/landing/bucket"
	"headwater/handlers/outcome"
)

// purge destroys the keys and tables of a removed source. It leaves a source alone that
// was restored meanwhile, or removed once more, and writes nothing then: no request led to
// the command.
func (h *Handlers) purge(ctx context.Context, j *job, c *command.PurgeSource) error {
	if err := j.releasePurged(ctx, c.Removed); err != nil {
		return err
	}
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

// Sweep sends PurgeSource for every removed source whose grace period has passed. It
// looks every Options.SweepEvery until ctx ends; failures go to the log. Any number of
// nodes may run it: a command's id derives from the removal, and a second one finds
// nothing to do.
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

// destroyPurged destroys the keys of a source and what it landed if its history
// says that it is purged, which nothing undoes, and tells what became of it. The
// purge comes first, so that what is destroyed is never shown as restorable; a
// worker that dies between is followed by one that finishes. The first try ends
// the target. What cannot be destroyed now is tried until it can.
func (j *job) destroyPurged(ctx context.Context) error {
	v, err := j.load(ctx)
	if err != nil || v.Removal == nil || !v.Removal.Purged {
		return err
	}
	dropped, err := j.destroy(ctx)
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), err)
	}
	follows := syncOf(j.data) != "" // whose worker was late, and undoes what it made
	_, unwritten := j.advance(ctx, func(v view) (move, error) {
		if follows || v.ended && (err != nil || v.Removal.Destroyed) {
			return move{}, nil // it was told before
		}
		outcome := destruction(dropped, err)
		return move{stop: true, discriminator: outcome.Status, data: &event.SourceDestroyed{
			Meta: j.meta(!v.ended), Name: v.Name, Removed: v.Removal.Sequence, Destruction: outcome,
		}}, nil
	})
	if unwritten != nil || left(dropped, err) == nil {
		return unwritten
	}
	j.log.Warn("a removed source is not destroyed yet and will be tried again", "error", err)
	return bus.Snooze(30 * j.h.options.RetryDelay)
}

func (j *job) destroy(ctx context.Context) (landing.Dropped, error) {
	j.h.connectors.Forget(j.address.Tokens())
	if err := j.h.vault.Destroy(ctx, j.address); err != nil {
		return landing.Dropped{Remaining: -1}, fmt.Errorf("destroy the keys of a removed source: %w", err)
	}
	j.h.seam("destroyed")
	dropped, err := j.h.lake.Drop(ctx, j.address)
	if err != nil {
		err = fmt.Errorf("drop the tables of a removed source: %w", err)
	}
	return dropped, err
}

// left returns why a purge must be tried again, nil if nothing is left that a repeat
// could remove: versions that a bucket keeps on purpose are not removed by asking again.
func left(d landing.Dropped, err error) error {
	var b *bucket.Error
	if d.Remaining == 0 && d.Kept > 0 && errors.As(err, &b) && b.Lasting {
		return nil
	}
	return err
}

// destruction returns the result of a try to destroy a source, as its event has it.
func destruction(d landing.Dropped, err error) event.Destruction {
	out := event.Destruction{Status: event.Destroyed, Files: d.Removed, Remaining: max(0, d.Remaining), Kept: d.Kept}
	if err == nil {
		return out
	}
	if left(d, err) == nil {
		out.Message = fmt.Sprintf("the bucket keeps %s: %s", things(d.Kept, "former version"), storeSaid(err))
		return out
	}
	out.Status = event.FilesRemaining
	out.Reason, _ = outcome.Explain(err)
	var parts []string
	switch {
	case d.Remaining < 0:
		parts = append(parts, things(d.Removed, "file")+" removed, how many are left could not be seen")
	case d.Remaining+d.Kept > 0:
		parts = append(parts, fmt.Sprintf("%s removed, %d still in the lake", things(d.Removed, "file"), d.Remaining))
		if d.Kept > 0 {
			parts = append(parts, "the bucket keeps "+things(d.Kept, "former version"))
		}
	default:
		parts = append(parts, things(d.Removed, "file")+" removed")
	}
	out.Message = strings.Join(parts, ", ") + ": " + storeSaid(err) + "; it cannot be restored, and is tried again until nothing is left"
	return out
}

func things(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// storeSaid returns the words of the disk or the bucket.
func storeSaid(err error) string {
	var f *fs.PathError
	var b *bucket.Error
	switch {
	case errors.As(err, &b):
		return b.Error()
	case errors.As(err, &f):
		return fmt.Sprintf("%s %s: %v", f.Op, path.Base(f.Path), f.Err)
	}
	_, message := outcome.Explain(err)
	return message
}
