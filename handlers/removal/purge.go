package removal

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"time"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/handlers/inspect"
	"headwater/handlers/landing"
	"headwater/handlers/landing/bucket"
	"headwater/handlers/outcome"
	"headwater/handlers/readmodel"
	"headwater/handlers/sourcelog"
)

// Removals removes sources, brings them back, and destroys them. It is safe for
// concurrent use.
type Removals struct {
	Inspector  *inspect.Inspector
	Logs       *sourcelog.Logs
	Vault      Keys
	Lake       Lake
	Keep       time.Duration // how long a removed source can be restored, 0 for not at all
	RetryDelay time.Duration
	Lease      time.Duration // of a command
}

// Keys destroys the keys of sources. *seal.Vault does.
type Keys interface {
	// Destroy removes the keys of a source, after which none of its secrets can be
	// opened; it may be repeated.
	Destroy(ctx context.Context, a event.Address) error
}

// Lake removes what landed. *landing.Lake does.
type Lake interface {
	// Drop removes every table and file of a source, and says what is left. It may be
	// repeated.
	Drop(ctx context.Context, a event.Address) (landing.Dropped, error)
}

// Purge destroys the keys and tables of a removed source. It leaves a source alone that
// was restored meanwhile, or removed once more, and writes nothing then: no request led to
// the command.
func (r *Removals) Purge(ctx context.Context, j *history.Job, c *command.PurgeSource) error {
	if err := r.Logs.ReleasePurged(ctx, j, c.Removed); err != nil {
		return err
	}
	_, err := j.Advance(ctx, func(v history.View) (history.Move, error) {
		if !v.Restorable() || v.Removal.Sequence != c.Removed || time.Now().Before(v.Removal.DestroyedAfter) {
			return history.Move{}, nil
		}
		return purged(j, v), nil
	})
	if err != nil {
		return err
	}
	return r.DestroyPurged(ctx, j)
}

// purged returns the event after which a kept source can not be restored.
func purged(j *history.Job, v history.View) history.Move {
	return history.Move{
		Discriminator: strconv.FormatUint(v.Removal.Sequence, 10),
		Data:          &event.SourcePurged{Meta: j.Meta(false), Name: v.Name, Removed: v.Removal.Sequence},
	}
}

// Sweeper looks for removed sources whose grace period has passed.
type Sweeper struct {
	State    readmodel.State
	Commands history.Commands
	Every    time.Duration
	Log      *slog.Logger
}

// Run sends PurgeSource for every removed source whose grace period has passed. It
// looks every Every until ctx ends; failures go to the log. Any number of
// nodes may run it: a command's id derives from the removal, and a second one finds
// nothing to do.
func (s *Sweeper) Run(ctx context.Context) {
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("removed sources could not be purged and will be tried again", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Sweep looks once. It returns what kept it from looking, or commands from being sent.
func (s *Sweeper) Sweep(ctx context.Context) error {
	due, err := s.State.Due(time.Now())
	if err != nil {
		return fmt.Errorf("look for removed sources: %w", err)
	}
	var errs []error
	for _, d := range due {
		removal := d.Address.Tokens() + "." + strconv.FormatUint(d.Removed, 10)
		sum := sha256.Sum256([]byte(removal))
		operation := "op_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
		meta := event.At(d.Address, event.Operation{ID: operation, Kind: event.KindPurge, Targets: 1})
		errs = append(errs, s.Commands.Send(ctx, &command.Command{
			ID: history.EventID(removal, "PurgeSource", ""), Time: time.Now().UTC(),
			Data: &command.PurgeSource{Meta: command.Meta{Meta: meta}, Removed: d.Removed},
		}))
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// DestroyPurged destroys the keys of a source and what it landed if its history
// says that it is purged, which nothing undoes, and tells what became of it. The
// purge comes first, so that what is destroyed is never shown as restorable; a
// worker that dies between is followed by one that finishes. The first try ends
// the target. What cannot be destroyed now is tried until it can.
func (r *Removals) DestroyPurged(ctx context.Context, j *history.Job) error {
	v, err := j.Load(ctx)
	if err != nil || v.Removal == nil || !v.Removal.Purged {
		return err
	}
	follows := history.SyncOf(j.Data) != "" // whose worker was late, and undoes what it made
	if !follows && !v.Removal.Destroyed {
		if err := r.Logs.ReleaseAgain(ctx, j, v, r.Lease); err != nil {
			return err
		}
	}
	dropped, err := r.destroy(ctx, j)
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), err)
	}
	_, unwritten := j.Advance(ctx, func(v history.View) (history.Move, error) {
		if follows || v.Ended && (err != nil || v.Removal.Destroyed) {
			return history.Move{}, nil // it was told before
		}
		outcome := destruction(dropped, err)
		return history.Move{Stop: true, Discriminator: outcome.Status, Data: &event.SourceDestroyed{
			Meta: j.Meta(!v.Ended), Name: v.Name, Removed: v.Removal.Sequence, Destruction: outcome,
		}}, nil
	})
	if unwritten != nil || left(dropped, err) == nil {
		return unwritten
	}
	j.Log.Warn("a removed source is not destroyed yet and will be tried again", "error", err)
	return bus.Snooze(30 * r.RetryDelay)
}

func (r *Removals) destroy(ctx context.Context, j *history.Job) (landing.Dropped, error) {
	r.Inspector.Forget(j)
	if err := r.Vault.Destroy(ctx, j.Address); err != nil {
		return landing.Dropped{Remaining: -1}, fmt.Errorf("destroy the keys of a removed source: %w", err)
	}
	j.Seam("destroyed")
	dropped, err := r.Lake.Drop(ctx, j.Address)
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
