package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/landing"
)

// leaveLog releases the log once no table follows it any more, because the last syncs
// read them by other modes: another sync of mode cdc would read them whole and start a new
// log. A failure goes to the log, and each later sync tries again.
func (a *attempt) leaveLog(ctx context.Context) error {
	v, err := a.j.load(ctx)
	if err != nil || v.Changes.Position == "" {
		return err
	}
	if follows, err := a.followed(); err != nil || follows {
		return err
	}
	if err := a.j.release(ctx, v); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.j.log.Warn("a log of changes that no table follows any more could not be released and will be tried again", "error", err)
		return nil
	}
	a.changes = nil
	return a.journal.write(ctx, move{discriminator: v.Changes.Position, data: &event.ChangesGivenUp{
		Meta: a.j.meta(false), SyncID: a.id, Reader: readerOf(a.j.address), Position: v.Changes.Position, Released: true, Reason: event.ReasonConflict,
		Message: "no table follows the log any more, as syncs read them whole or by another mode: the source's server keeps it no more, and the next sync of mode cdc reads the tables whole",
	}})
}

// followed reports whether a table that the source offers follows its log. What this sync
// has landed need not be in the history before it ends.
func (a *attempt) followed() (bool, error) {
	if slices.ContainsFunc(a.tables, func(t *tableRun) bool { return t.follow != nil && t.follow.aside.IsZero() }) {
		return true, nil
	}
	landed, err := a.h.state.Landed(a.j.address)
	if err != nil {
		return false, err
	}
	gone := map[string]bool{}
	for _, t := range a.lost {
		gone[nameOf(t)] = true
	}
	for _, t := range landed {
		if t.Mode == landing.Changes && !t.SetAside && !gone[nameOf(event.Table{Namespace: t.Namespace, Name: t.Name})] {
			return true, nil
		}
	}
	return false, nil
}

// moveAway releases the log at the server that an update is about to move a source away
// from, while its settings and secrets are still there. If the new server has the log, it
// is the old one by another name, or one that took over: nothing is released. A failure to
// release is in ChangesGivenUp, with what to do at the old server, and is not returned; a
// new server that cannot be asked is.
func (j *job) moveAway(ctx context.Context, c *command.ConnectSource) error {
	v, err := j.load(ctx)
	if err != nil || v.ended || v.Changes.Position == "" || !elsewhere(v, c) {
		return err
	}
	holds, err := j.holds(ctx, settings{c.Connector, c.Config, c.SecretRef})
	if err != nil || holds {
		return err
	}
	failed := j.release(ctx, v)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	message := "the source was moved from " + serverOf(v.Config) + ", whose server keeps the log for it no more: the next sync of mode cdc reads the tables whole"
	if failed != nil {
		message = fmt.Sprintf("the source was moved from %s; %s%s. The next sync of mode cdc reads the tables whole", serverOf(v.Config), unreleased(readerOf(j.address), failed), j.byHand(v.Connector))
	}
	_, err = j.advance(ctx, func(now view) (move, error) {
		if now.ended || now.ConfigVersion != v.ConfigVersion || now.Changes.Position == "" {
			return move{}, nil
		}
		m := j.givenUp(v, failed == nil, message)
		m.data.(*event.ChangesGivenUp).Reason, m.stop = event.ReasonConflict, true
		return m, nil
	})
	return err
}

// holds reports whether the server of the settings keeps the source's log.
func (j *job) holds(ctx context.Context, s settings) (bool, error) {
	work, cancel := context.WithTimeoutCause(ctx, j.h.options.ReleaseLimit, driver.E(driver.ErrTimeout, nil, "the source did not say in time whether it has the log"))
	defer cancel()
	conn, err := j.open(work, s, driver.Limits{})
	if err != nil {
		return false, causeOf(work, err)
	}
	defer j.closing(conn)
	log, ok := conn.(extract.Capturer)
	if !ok || !log.Captures() {
		return false, nil
	}
	holds, err := log.Holds(work, readerOf(j.address))
	return holds, causeOf(work, err)
}

// server is what of a database's settings says where it is.
type server struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Database string `json:"database"`
}

// elsewhere reports whether a command names another server or database.
func elsewhere(v view, c *command.ConnectSource) bool {
	var was, is server
	failed := errors.Join(json.Unmarshal(v.Config, &was), json.Unmarshal(c.Config, &is))
	return v.Connector != c.Connector || failed == nil && was != is
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
func (j *job) byHand(connector string) string {
	if j.h.letGo == nil || j.h.letGo(connector) == "" {
		return ""
	}
	return "; drop it there: " + fmt.Sprintf(j.h.letGo(connector), readerOf(j.address))
}

// given reports whether the log was given up while this sync read it. The sync then has
// no position, and reads the tables whole at the server that the source now has.
func (f *follower) given(ctx context.Context) bool {
	v, err := f.j.load(ctx)
	return err == nil && v.Changes.Position == "" && !f.at.tellsNothing()
}
