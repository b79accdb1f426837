package sourcelog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
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

// MayLeave reports whether a command names another server or database than the source has,
// and that one keeps, or may keep, a log for it: one that is read, or about to be.
func MayLeave(v history.View, c *command.ConnectSource) bool {
	return v.Connected && elsewhere(v, c) && v.MayKeep()
}

// Alike reports whether the server that a command names may be the one that the source has,
// by another name: Holds tells, then. While a server that was left may still keep a log of
// the same name, an answer would prove nothing, so it is taken for another one.
func Alike(v history.View, c *command.ConnectSource) bool {
	return v.Connector == c.Connector && len(v.Left) == 0
}

// Holds reports whether the server that a command names keeps the source's log, because it
// is the one that the source has, by another name, or one that took over.
func (l *Logs) Holds(ctx context.Context, j *history.Job, c *command.ConnectSource) (bool, error) {
	return l.holds(ctx, j, inspect.Settings{Connector: c.Connector, Config: c.Config, SecretRef: c.SecretRef})
}

// Leave has the servers that a source was moved away from let go of its log, and reports
// whether one is left. It does so itself only while no sync of mode cdc runs: such a sync may
// still read there, and calls ReleaseLeft before it goes on. That is waited for, at most wait.
func (l *Logs) Leave(ctx context.Context, j *history.Job, wait time.Duration) (left bool, err error) {
	watch, stop := context.WithCancel(ctx)
	defer stop()
	changes, over := j.State.Watch(watch, j.Address), time.After(wait)
	for {
		v, err := j.Load(ctx)
		switch {
		case err != nil:
			return false, err
		case len(v.Left) == 0 || !v.Connected && !v.Restorable():
			return false, nil
		case !v.Captures():
			return false, l.ReleaseLeft(ctx, j, v, func(next func(history.View) (history.Move, error)) error {
				_, err := j.Advance(ctx, next)
				return err
			})
		}
		select {
		case <-changes:
		case <-over:
			return true, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// Left is Leave for a command whose target has ended: it does not wait, and snoozes while a
// sync may still read the log of a server that was left.
func (l *Logs) Left(ctx context.Context, j *history.Job) error {
	if left, err := l.Leave(ctx, j, 0); err != nil || !left {
		return err
	}
	return bus.Snooze(5 * l.RetryDelay)
}

// ReleaseLeft has every server that the source was moved away from drop the log that it keeps,
// and forgets how it was reached. tell appends the event that a function decides on. A
// failure to release is in that event, with what to do at the server, and is not returned;
// the error is of ctx, or of tell. It may be repeated.
func (l *Logs) ReleaseLeft(ctx context.Context, j *history.Job, v history.View, tell func(func(history.View) (history.Move, error)) error) error {
	for _, left := range v.Left {
		failed := l.release(ctx, j, OwnerOf(v), func(ctx context.Context) (extract.Session, error) {
			return l.Inspector.Open(ctx, j, inspect.Settings{Connector: left.Connector, Config: left.Config, SecretRef: left.SecretRef}, driver.Limits{})
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		j.Seam("left")
		used, told := false, false
		if err := tell(func(now history.View) (history.Move, error) {
			used = now.Keeps(left.SecretRef, left.Moved)
			told = !slices.ContainsFunc(now.Left, func(one history.Left) bool { return one.Moved == left.Moved })
			if told {
				return history.Move{}, nil
			}
			return l.leftBehind(j, left, failed), nil
		}); err != nil {
			return err
		}
		if told && failed == nil { // by somebody who asked at the same time
			if err := l.takenAlong(ctx, j, left, tell); err != nil {
				return err
			}
		}
		if left.SecretRef == "" || used {
			continue
		}
		if err := l.Vault.Forget(ctx, j.Address, left.SecretRef); err != nil {
			j.Log.Warn("the secrets of a server that a source has left stay sealed until the source is removed", "error", err)
		}
	}
	return nil
}

// leftBehind returns the event that says what became of the log at a server that the source
// has left.
func (l *Logs) leftBehind(j *history.Job, left history.Left, failed error) history.Move {
	server := serverOf(left.Config)
	message := "the source was moved from " + server + ", whose server keeps the log for it no more: the next sync of mode cdc reads the tables whole"
	if failed != nil {
		message = fmt.Sprintf("the source was moved from %s; %s. The next sync of mode cdc reads the tables whole", server, l.remains(j, left.Connector, left.Position, failed))
	}
	return history.Move{Stop: true, Discriminator: "left " + strconv.FormatUint(left.Moved, 10), Data: &event.ChangesGivenUp{
		Meta: j.Meta(false), SyncID: history.SyncOf(j.Data), Reader: ReaderOf(j.Address), Position: left.Position, Released: failed == nil,
		Reason: event.ReasonConflict, Message: message, Left: left.Moved,
	}}
}

// takenAlong tells that a log is gone which was taken up at a server to which the source has
// come back, maybe by another name of it, while that was still being asked to let the former
// log of the same name go: by that it has let go of this one. The next sync then reads the
// tables whole, rather than fail for a log that is gone. Whether it is, the server says that the
// source has now. The error is of ctx, or of tell.
func (l *Logs) takenAlong(ctx context.Context, j *history.Job, left history.Left, tell func(func(history.View) (history.Move, error)) error) error {
	v, err := l.takenUp(ctx, j)
	if err != nil || v.Changes.Position == "" || v.Connector != left.Connector {
		return err
	}
	holds, failed := l.holds(ctx, j, inspect.Settings{Connector: v.Connector, Config: v.Config, SecretRef: v.SecretRef})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if holds || failed != nil && apart(v.Config, left.Config) {
		return nil
	}
	return tell(func(now history.View) (history.Move, error) {
		if now.Changes.Position == "" || now.Moved != v.Moved {
			return history.Move{}, nil
		}
		return history.Move{Stop: true, Discriminator: "taken along " + strconv.FormatUint(left.Moved, 10), Data: &event.ChangesGivenUp{
			Meta: j.Meta(false), SyncID: history.SyncOf(j.Data), Reader: ReaderOf(j.Address), Position: now.Changes.Position, Released: true, Reason: event.ReasonConflict,
			Message: "the source was moved away from " + serverOf(left.Config) + " and back, while that let the log go: it keeps none now, and the next sync of mode cdc reads the tables whole",
		}}, nil
	})
}

// takenUp returns the source once a sync that follows its log, if one runs, has told of a
// position or has ended; or as it is after Limit.
func (l *Logs) takenUp(ctx context.Context, j *history.Job) (history.View, error) {
	watch, stop := context.WithCancel(ctx)
	defer stop()
	changes, over := j.State.Watch(watch, j.Address), time.After(l.Limit)
	for {
		v, err := j.Load(ctx)
		if err != nil || v.Changes.Position != "" || !v.Captures() || history.SyncOf(j.Data) == v.Running.SyncID {
			return v, err
		}
		select {
		case <-changes:
		case <-over:
			return v, nil
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}

// holds reports whether the server of the settings keeps the source's log.
func (l *Logs) holds(ctx context.Context, j *history.Job, s inspect.Settings) (bool, error) {
	work, cancel := context.WithTimeoutCause(ctx, l.Limit, driver.E(driver.ErrTimeout, nil, "the source did not say in time whether it has the log"))
	defer cancel()
	conn, err := l.Inspector.Open(work, j, s, driver.Limits{})
	if err != nil {
		return false, outcome.CauseOf(work, err)
	}
	defer inspect.Close(j, conn)
	log, ok := conn.(extract.Capturer)
	if !ok || !log.Captures() {
		return false, nil
	}
	holds, err := log.Holds(work, ReaderOf(j.Address))
	return holds, outcome.CauseOf(work, err)
}

// server is what of a database's settings says where it is.
type server struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Database string `json:"database"`
}

// elsewhere reports whether a command names another server or database.
func elsewhere(v history.View, c *command.ConnectSource) bool {
	return v.Connector != c.Connector || apart(v.Config, c.Config)
}

// apart reports whether two databases' settings name other servers or databases.
func apart(one, other json.RawMessage) bool {
	var was, is server
	failed := errors.Join(json.Unmarshal(one, &was), json.Unmarshal(other, &is))
	return failed == nil && was != is
}

func serverOf(config json.RawMessage) string {
	var s server
	if json.Unmarshal(config, &s) != nil || s.Host == "" {
		return "its server"
	}
	if s.Port != 0 {
		s.Host = net.JoinHostPort(s.Host, fmt.Sprint(s.Port))
	}
	return s.Host + "/" + s.Database
}

// byHand returns the part of a message that says how to drop the log at a server that was
// not reached, "" if the connector has no such statement.
func (l *Logs) byHand(j *history.Job, connector string) string {
	if l.LetGo == nil || l.LetGo(connector) == "" {
		return ""
	}
	return "; drop it there: " + fmt.Sprintf(l.LetGo(connector), ReaderOf(j.Address))
}
