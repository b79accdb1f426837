package handlers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/outcome"
)

// release has a source's server drop the log that it keeps for this reader. Transient
// failures, and a log that is still being read, are tried again for ReleaseLimit; then the
// last error is returned.
func (j *job) release(ctx context.Context, v view) error {
	ctx, cancel := context.WithTimeoutCause(ctx, j.h.options.ReleaseLimit, driver.E(driver.ErrTimeout, nil, "the source did not let its log go in time"))
	defer cancel()
	for {
		err := j.releaseOnce(ctx, v)
		if err == nil || ctx.Err() != nil || !outcome.IsTransient(err) && !errors.Is(err, driver.ErrLimit) {
			return causeOf(ctx, err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(j.h.options.RetryDelay / 4):
		}
	}
}

func (j *job) releaseOnce(ctx context.Context, v view) error {
	conn, err := j.openCurrent(ctx, v, driver.Limits{})
	if err != nil {
		return err
	}
	defer j.closing(conn)
	if log, ok := conn.(extract.Capturer); ok && log.Captures() {
		return log.Release(ctx, readerOf(j.address))
	}
	return nil
}

// unreleased returns the part of a message that says what is left at a source.
func unreleased(reader string, err error) string {
	_, message := outcome.Explain(err)
	return fmt.Sprintf("its server still keeps the log for the reader %s, which fills its disk: %s", reader, message)
}

// givenUp returns the event that forgets a source's position in its log.
func (j *job) givenUp(v view, released bool, message string) move {
	return move{discriminator: v.Changes.Position, data: &event.ChangesGivenUp{
		Meta: j.meta(false), Reader: readerOf(j.address), Position: v.Changes.Position, Released: released,
		Reason: event.ReasonSourceRemoved, Message: message,
	}}
}

// rereads says what a restore does not bring back.
const rereads = "the source was removed, and its server keeps the log of changes for it no more: a restore brings back what had landed, and the next sync of mode cdc reads the tables whole"

// letGo releases the log of a source that is being removed, and reports whether the
// server did. notes say so to people; with purges they are about a source that cannot be
// restored. The error, of ctx alone, is a reason to try the command again.
func (j *job) letGo(ctx context.Context, v view, purges bool) (released bool, notes []string, err error) {
	if err = j.release(ctx, v); ctx.Err() != nil {
		return false, nil, ctx.Err()
	}
	switch {
	case err == nil && purges:
		return true, nil, nil
	case err == nil:
		return true, []string{rereads}, nil
	case purges:
		return false, []string{purgedLog(j, v.Connector, err)}, nil
	}
	j.log.Warn("a removed source's log of changes could not be released and will be tried again", "error", err)
	return false, []string{unreleased(readerOf(j.address), err) + j.byHand(v.Connector) + "; this is tried again until the source can be restored no more"}, nil
}

// releaseLater sends ReleaseChanges if the log could not be released when the source was
// removed.
func (j *job) releaseLater(ctx context.Context) error {
	v, err := j.load(ctx)
	if err != nil || !v.restorable() || v.Changes.Position == "" {
		return err
	}
	return j.h.commands.Send(ctx, &command.Command{
		ID: eventID(j.id, "ReleaseChanges", ""), Time: time.Now().UTC(), TraceParent: j.trace,
		Data: &command.ReleaseChanges{
			Meta:    command.Meta{Meta: event.At(j.address, event.Operation{ID: derivedID("op_", j.id+".ReleaseChanges"), Kind: event.KindPurge, Targets: 1})},
			Removed: v.Removal.Sequence,
		},
	})
}

// releaseChanges releases the log of a removed source. It snoozes after a failure, until
// the source is restored or purged; a purge releases the log itself.
func (h *Handlers) releaseChanges(ctx context.Context, j *job, c *command.ReleaseChanges) error {
	v, err := j.load(ctx)
	if err != nil {
		return err
	}
	waiting := func(v view) bool {
		return v.restorable() && v.Removal.Sequence == c.Removed && v.Changes.Position != ""
	}
	if !waiting(v) {
		return nil
	}
	if err := j.release(ctx, v); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		j.log.Warn("a removed source's log of changes could not be released and will be tried again", "error", err)
		return bus.Snooze(60 * h.options.RetryDelay)
	}
	_, err = j.advance(ctx, func(v view) (move, error) {
		if !waiting(v) {
			return move{}, nil
		}
		m := j.givenUp(v, true, rereads)
		m.stop = true
		return m, nil
	})
	return err
}

// releasePurged tries a last time to release the log of a removed source whose grace
// period has passed: without its secrets nobody can. A failure is in ChangesGivenUp and
// not returned; the error is of ctx or of the event.
func (j *job) releasePurged(ctx context.Context, removed uint64) error {
	v, err := j.load(ctx)
	due := func(v view) bool {
		return v.restorable() && v.Removal.Sequence == removed && !time.Now().Before(v.Removal.DestroyedAfter) && v.Changes.Position != ""
	}
	if err != nil || !due(v) {
		return err
	}
	failed := j.release(ctx, v)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, err = j.advance(ctx, func(v view) (move, error) {
		if !due(v) {
			return move{}, nil
		}
		m := j.givenUp(v, failed == nil, purgedLog(j, v.Connector, failed))
		m.stop = true
		return m, nil
	})
	return err
}

// purgedLog returns a sentence about the log of a source that is destroyed; failed is why
// it could not be released, nil if it was.
func purgedLog(j *job, connector string, failed error) string {
	if failed == nil {
		return "the source was purged, and its server keeps the log of changes for it no more"
	}
	by := j.byHand(connector)
	if by == "" {
		by = "; it must be dropped there"
	}
	return "the source was purged; " + unreleased(readerOf(j.address), failed) + by
}
