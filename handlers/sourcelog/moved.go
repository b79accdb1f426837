package sourcelog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/history"
	"headwater/handlers/inspect"
	"headwater/handlers/outcome"
)

// MoveAway releases the log at the server that an update is about to move a source away
// from, while its settings and secrets are still there. If the new server has the log, it
// is the old one by another name, or one that took over: nothing is released. A failure to
// release is in ChangesGivenUp, with what to do at the old server, and is not returned; a
// new server that cannot be asked is.
func (l *Logs) MoveAway(ctx context.Context, j *history.Job, c *command.ConnectSource) error {
	v, err := j.Load(ctx)
	if err != nil || v.Ended || v.Changes.Position == "" || !elsewhere(v, c) {
		return err
	}
	holds, err := l.holds(ctx, j, inspect.Settings{Connector: c.Connector, Config: c.Config, SecretRef: c.SecretRef})
	if err != nil || holds {
		return err
	}
	failed := l.Release(ctx, j, v)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	message := "the source was moved from " + serverOf(v.Config) + ", whose server keeps the log for it no more: the next sync of mode cdc reads the tables whole"
	if failed != nil {
		message = fmt.Sprintf("the source was moved from %s; %s%s. The next sync of mode cdc reads the tables whole", serverOf(v.Config), Unreleased(ReaderOf(j.Address), failed), l.byHand(j, v.Connector))
	}
	_, err = j.Advance(ctx, func(now history.View) (history.Move, error) {
		if now.Ended || now.ConfigVersion != v.ConfigVersion || now.Changes.Position == "" {
			return history.Move{}, nil
		}
		m := GivenUp(j, v, failed == nil, message)
		m.Data.(*event.ChangesGivenUp).Reason, m.Stop = event.ReasonConflict, true
		return m, nil
	})
	return err
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
func (l *Logs) byHand(j *history.Job, connector string) string {
	if l.LetGo == nil || l.LetGo(connector) == "" {
		return ""
	}
	return "; drop it there: " + fmt.Sprintf(l.LetGo(connector), ReaderOf(j.Address))
}
