// Package sourcelog lets go of the logs of changes that the servers of sources keep for us:
// of a source that is removed, moved to another server, or read another way from now on.
// Who reads a log is package syncing.
package sourcelog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
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
// failures, and a log that is still being read, are tried again for Limit; then the error says
// that, and what the server answered last.
func (l *Logs) Release(ctx context.Context, j *history.Job, v history.View) error {
	return l.release(ctx, j, OwnerOf(v), func(ctx context.Context) (extract.Session, error) {
		return l.Inspector.OpenCurrent(ctx, j, v, driver.Limits{})
	})
}

func (l *Logs) release(ctx context.Context, j *history.Job, owner string, open func(context.Context) (extract.Session, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, l.Limit, driver.E(driver.ErrTimeout, nil, "the source did not let its log go in time"))
	defer cancel()
	var said error // why the try before failed
	for {
		err := l.releaseOnce(ctx, j, owner, open)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return late(ctx, cmp.Or(said, err))
		case !outcome.IsTransient(err) && !errors.Is(err, driver.ErrLimit):
			return err
		}
		said = err
		select {
		case <-ctx.Done():
			return late(ctx, said)
		case <-time.After(l.RetryDelay / 4):
		}
	}
}

// late returns why ctx has ended, with what was said before: that a limit has passed does not
// tell people what to do.
func late(ctx context.Context, said error) error {
	cause := context.Cause(ctx)
	if errors.Is(said, cause) || errors.Is(said, context.Canceled) || errors.Is(said, context.DeadlineExceeded) {
		return cause
	}
	_, limit := outcome.Explain(cause)
	reason, message := outcome.Explain(said)
	return errors.Join(outcome.Failf(reason, "%s; before that: %s", limit, message), cause)
}

func (l *Logs) releaseOnce(ctx context.Context, j *history.Job, owner string, open func(context.Context) (extract.Session, error)) error {
	conn, err := open(ctx)
	if err != nil {
		return err
	}
	defer inspect.Close(j, conn)
	if log, ok := conn.(extract.Capturer); ok && log.Captures() {
		return log.Release(ctx, ReaderOf(j.Address), owner)
	}
	return nil
}

// Unreleased returns the part of a message that says what is left at a source.
func Unreleased(reader string, err error) string {
	_, message := outcome.Explain(err)
	return fmt.Sprintf("its server still keeps the log for the reader %s, which fills its disk: %s", reader, message)
}

// unasked is Unreleased for a log that the server may never have kept: no position was told.
func unasked(reader string, err error) string {
	_, message := outcome.Explain(err)
	return fmt.Sprintf("a sync has ended that may have taken up the log, and the server could not be asked to keep none for the reader %s: %s", reader, message)
}

// remains returns Unreleased or unasked, whichever is true of a position, and what is to be
// done at the server.
func (l *Logs) remains(j *history.Job, connector, position string, err error) string {
	what := Unreleased(ReaderOf(j.Address), err)
	if position == "" {
		what = unasked(ReaderOf(j.Address), err)
	}
	return what + l.byHand(j, connector)
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

// Removed returns what people are told of the log of a source that is being removed; failed is
// why it could not be released, nil if it was. With purges the source cannot be restored.
func (l *Logs) Removed(j *history.Job, v history.View, purges bool, failed error) (notes []string) {
	switch {
	case failed == nil && (purges || v.Changes.Position == ""):
		return nil
	case failed == nil:
		return []string{Rereads}
	case purges:
		return []string{l.PurgedLog(j, v, failed)}
	}
	j.Log.Warn("a removed source's log of changes could not be released and will be tried again", "error", failed)
	return []string{l.remains(j, v.Connector, v.Changes.Position, failed) + "; this is tried again until the source can be restored no more"}
}

// ReleaseLater sends ReleaseChanges if the log could not be released when the source was
// removed.
func (l *Logs) ReleaseLater(ctx context.Context, j *history.Job) error {
	v, err := j.Load(ctx)
	if err != nil || !v.Restorable() || !v.MayKeep() {
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
		return v.Restorable() && v.Removal.Sequence == c.Removed && v.MayKeep()
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
		return v.Restorable() && v.Removal.Sequence == removed && !time.Now().Before(v.Removal.DestroyedAfter) && v.MayKeep()
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
		m := GivenUp(j, v, failed == nil, l.PurgedLog(j, v, failed))
		m.Stop = true
		return m, nil
	})
	return err
}

// ReleaseAgain has the server of a purged source let its log go once more, before the secrets
// are destroyed, if a sync that had told of no position was ended less than a lease before the
// source was removed: its worker may have taken the log up since the server was asked, and have
// been killed then. It waits until the lease is over, and leaves alone a source without such a
// sync. A failure is in ChangesGivenUp and not returned; the error is of ctx or of the event.
func (l *Logs) ReleaseAgain(ctx context.Context, j *history.Job, v history.View, lease time.Duration) error {
	if v.Taken == nil || !v.Removal.At.Before(v.Taken.At.Add(lease)) {
		return nil
	}
	select {
	case <-time.After(min(time.Until(v.Taken.At.Add(lease)), lease)):
	case <-ctx.Done():
		return ctx.Err()
	}
	failed := l.Release(ctx, j, v)
	reason, _ := outcome.Explain(failed)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case failed == nil || reason == event.ReasonSecretDestroyed: // by the worker, which has let go of what it made
		return nil
	}
	_, err := j.Advance(ctx, func(v history.View) (history.Move, error) {
		m := GivenUp(j, v, false, l.PurgedLog(j, v, failed))
		m.Stop, m.Discriminator = true, "again"
		return m, nil
	})
	return err
}

// PurgedLog returns a sentence about the log of a source that is destroyed; failed is why
// it could not be released, nil if it was.
func (l *Logs) PurgedLog(j *history.Job, v history.View, failed error) string {
	if failed == nil {
		return "the source was purged, and its server keeps the log of changes for it no more"
	}
	by := ""
	if l.byHand(j, v.Connector) == "" {
		by = "; it must be dropped there"
	}
	return "the source was purged; " + l.remains(j, v.Connector, v.Changes.Position, failed) + by
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

// OwnerOf returns what tells a source from those of other services that have the same id,
// because they have the same name: when it was connected.
func OwnerOf(v history.View) string {
	if v.Created.IsZero() {
		return ""
	}
	return strconv.FormatInt(v.Created.UnixMicro(), 36)
}
