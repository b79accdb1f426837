// Package sourcelog lets go of the logs of changes that the servers of sources keep for us:
// of a source that is removed, moved to another server, or read another way from now on.
// Who reads a log is package syncing.
package sourcelog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/history"
	"headwater/handlers/inspect"
	"headwater/handlers/outcome"
)

// Logs lets go of the logs of changes that the servers of sources keep for us. It is
// safe for concurrent use.
type Logs struct {
	Inspector  *inspect.Inspector
	Vault      Vault
	Commands   history.Commands              // where ReleaseChanges is sent
	LetGo      func(connector string) string // driver.Spec.LetGo of a connector; nil for none
	Limit      time.Duration                 // for a server to let its log go
	RetryDelay time.Duration
}

// Vault keeps the sealed secrets of sources. *seal.Vault is one.
type Vault interface {
	// Forget removes the secrets that ref names; it may be repeated.
	Forget(ctx context.Context, a event.Address, ref string) error
}

// Release has a source's server drop the log that it keeps for this reader. Transient
// failures, and a log that is still being read, are tried again for ReleaseLimit; then the
// last error is returned.
func (l *Logs) Release(ctx context.Context, j *history.Job, v history.View) error {
	return l.release(ctx, j, func(ctx context.Context) (extract.Session, error) {
		return l.Inspector.OpenCurrent(ctx, j, v, driver.Limits{})
	})
}

func (l *Logs) release(ctx context.Context, j *history.Job, open func(context.Context) (extract.Session, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, l.Limit, driver.E(driver.ErrTimeout, nil, "the source did not let its log go in time"))
	defer cancel()
	for {
		err := l.releaseOnce(ctx, j, open)
		if err == nil || ctx.Err() != nil || !outcome.IsTransient(err) && !errors.Is(err, driver.ErrLimit) {
			return outcome.CauseOf(ctx, err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(l.RetryDelay / 4):
		}
	}
}

func (l *Logs) releaseOnce(ctx context.Context, j *history.Job, open func(context.Context) (extract.Session, error)) error {
	conn, err := open(ctx)
	if err != nil {
		return err
	}
	defer inspect.Close(j, conn)
	if log, ok := conn.(extract.Capturer); ok && log.Captures() {
		return log.Release(ctx, ReaderOf(j.Address))
	}
	return nil
}

// Unreleased returns the part of a message that says what is left at a source.
func Unreleased(reader string, err error) string {
	_, message := outcome.Explain(err)
	return fmt.Sprintf("its server still keeps the log for the reader %s, which fills its disk: %s", reader, message)
}

// GivenUp returns the event that forgets a source's position in its log.
func GivenUp(j *history.Job, v history.View, released bool, message string) history.Move {
	return history.Move{Discriminator: v.Changes.Position, Data: &event.ChangesGivenUp{
		Meta: j.Meta(false), Reader: ReaderOf(j.Address), Position: v.Changes.Position, Released: released,
		Reason: event.ReasonSourceRemoved, Message: message,
	}}
}

// Rereads says what a restore does not bring back.
const Rereads = "the source was removed, and its server keeps the log of changes for it no more: a restore brings back what had landed, and the next sync of mode cdc reads the tables whole"

// ReleaseRemoved releases the log of a source that is being removed, and reports whether the
// server did. notes say so to people; with purges they are about a source that cannot be
// restored. The error, of ctx alone, is a reason to try the command again.
func (l *Logs) ReleaseRemoved(ctx context.Context, j *history.Job, v history.View, purges bool) (released bool, notes []string, err error) {
	if err = l.Release(ctx, j, v); ctx.Err() != nil {
		return false, nil, ctx.Err()
	}
	switch {
	case err == nil && purges:
		return true, nil, nil
	case err == nil:
		return true, []string{Rereads}, nil
	case purges:
		return false, []string{l.PurgedLog(j, v.Connector, err)}, nil
	}
	j.Log.Warn("a removed source's log of changes could not be released and will be tried again", "error", err)
	return false, []string{Unreleased(ReaderOf(j.Address), err) + l.byHand(j, v.Connector) + "; this is tried again until the source can be restored no more"}, nil
}

// ReleaseUnsaid releases a log of which the history does not know, but that a sync which was
// ended may have taken up. notes say so to people if that fails; the error is of ctx alone.
func (l *Logs) ReleaseUnsaid(ctx context.Context, j *history.Job, v history.View) (notes []string, err error) {
	if err = l.Release(ctx, j, v); ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err == nil {
		return nil, nil
	}
	_, message := outcome.Explain(err)
	return []string{fmt.Sprintf("a sync was ended that may have taken up the log, and the server could not be asked to keep none for the reader %s: %s%s", ReaderOf(j.Address), message, l.byHand(j, v.Connector))}, nil
}

// ReleaseLater sends ReleaseChanges if the log could not be released when the source was
// removed.
func (l *Logs) ReleaseLater(ctx context.Context, j *history.Job) error {
	v, err := j.Load(ctx)
	if err != nil || !v.Restorable() || v.Changes.Position == "" {
		return err
	}
	return l.Commands.Send(ctx, &command.Command{
		ID: history.EventID(j.ID, "ReleaseChanges", ""), Time: time.Now().UTC(), TraceParent: j.Trace,
		Data: &command.ReleaseChanges{
			Meta:    command.Meta{Meta: event.At(j.Address, event.Operation{ID: history.DerivedID("op_", j.ID+".ReleaseChanges"), Kind: event.KindPurge, Targets: 1})},
			Removed: v.Removal.Sequence,
		},
	})
}

// ReleaseChanges releases the log of a removed source. It snoozes after a failure, until
// the source is restored or purged; a purge releases the log itself.
func (l *Logs) ReleaseChanges(ctx context.Context, j *history.Job, c *command.ReleaseChanges) error {
	v, err := j.Load(ctx)
	if err != nil {
		return err
	}
	waiting := func(v history.View) bool {
		return v.Restorable() && v.Removal.Sequence == c.Removed && v.Changes.Position != ""
	}
	if !waiting(v) {
		return nil
	}
	if err := l.Release(ctx, j, v); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		j.Log.Warn("a removed source's log of changes could not be released and will be tried again", "error", err)
		return bus.Snooze(60 * l.RetryDelay)
	}
	_, err = j.Advance(ctx, func(v history.View) (history.Move, error) {
		if !waiting(v) {
			return history.Move{}, nil
		}
		m := GivenUp(j, v, true, Rereads)
		m.Stop = true
		return m, nil
	})
	return err
}

// ReleasePurged tries a last time to release the log of a removed source whose grace
// period has passed: without its secrets nobody can. A failure is in ChangesGivenUp and
// not returned; the error is of ctx or of the event.
func (l *Logs) ReleasePurged(ctx context.Context, j *history.Job, removed uint64) error {
	v, err := j.Load(ctx)
	due := func(v history.View) bool {
		return v.Restorable() && v.Removal.Sequence == removed && !time.Now().Before(v.Removal.DestroyedAfter) && v.Changes.Position != ""
	}
	if err != nil || !due(v) {
		return err
	}
	failed := l.Release(ctx, j, v)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, err = j.Advance(ctx, func(v history.View) (history.Move, error) {
		if !due(v) {
			return history.Move{}, nil
		}
		m := GivenUp(j, v, failed == nil, l.PurgedLog(j, v.Connector, failed))
		m.Stop = true
		return m, nil
	})
	return err
}

// PurgedLog returns a sentence about the log of a source that is destroyed; failed is why
// it could not be released, nil if it was.
func (l *Logs) PurgedLog(j *history.Job, connector string, failed error) string {
	if failed == nil {
		return "the source was purged, and its server keeps the log of changes for it no more"
	}
	by := l.byHand(j, connector)
	if by == "" {
		by = "; it must be dropped there"
	}
	return "the source was purged; " + Unreleased(ReaderOf(j.Address), failed) + by
}

// ReaderOf returns the name under which a source's server knows the reader of its log,
// such as that of a slot: at most 40 of a-z, 0-9 and _.
func ReaderOf(a event.Address) string {
	name := "headwater_" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(a.Source))
	return name[:min(len(name), 40)]
}
