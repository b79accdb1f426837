package client

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/progress"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// lag says how far a source that is synced continuously is behind, "" if unknown.
func lag(c *rest.ChangesDoc, s *rest.ScheduleDoc) string {
	if c == nil || !s.Continuous || s.Paused || c.BehindSeconds == nil {
		return ""
	}
	return ", " + terminal.Lasted(time.Duration(*c.BehindSeconds)*time.Second) + " behind"
}

// follow shows the running sync of a source until it ends. It starts one, with the
// options, if none is running.
func (c *SyncCmd) follow(ctx context.Context, s terminal.Streams, api *Client, ids []string, options map[string]any) error {
	if len(ids) != 1 {
		return exit.Usagef("--follow shows one source: name it")
	}
	id, err := api.runningSync(ctx, c.Scope, ids[0])
	if err != nil {
		return err
	}
	if id == "" {
		if id, err = c.begun(ctx, api, ids, options); err != nil {
			return err
		}
	}
	v := &live{s: s, bars: terminal.NewBars(s), json: c.JSON}
	defer v.bars.Erase()
	for {
		sync, err := api.Sync(ctx, id)
		switch {
		case ctx.Err() != nil:
			return exit.With(exit.Unknown, fmt.Errorf("stopped following; the sync %s goes on in the service", id))
		case err != nil:
			return err
		}
		if err := v.show(sync, time.Now()); err != nil {
			return err
		}
		if sync.Status != "running" {
			v.bars.Erase()
			if sync.Error != nil {
				return exit.With(exit.Failed, fmt.Errorf("the sync %s: %s", sync.Status, flags.Said(sync.Error.Message)))
			}
			s.Note("the sync ended as %s", sync.Status)
			return unsynced([]rest.SyncDoc{sync})
		}
		if err := rest.Sleep(ctx, 2*api.Poll); err != nil {
			return exit.With(exit.Unknown, fmt.Errorf("stopped following; the sync %s goes on in the service", id))
		}
	}
}

// begun starts a sync and returns its id once a worker has taken it.
func (c *SyncCmd) begun(ctx context.Context, api *Client, ids []string, options map[string]any) (string, error) {
	operation, err := api.StartSync(ctx, c.Scope, ids, options)
	if err != nil {
		return "", err
	}
	for {
		op, err := api.Operation(ctx, operation)
		if err != nil {
			return "", err
		}
		for _, t := range op.Targets {
			if t.SyncID == "" {
				continue
			}
			if _, err := api.Sync(ctx, t.SyncID); err == nil {
				return t.SyncID, nil
			} else if !rest.NotFound(err) {
				return "", err
			}
		}
		if op.Status != "running" {
			return "", rest.OperationError(op)
		}
		if err := rest.Sleep(ctx, api.Poll); err != nil {
			return "", err
		}
	}
}

// runningSync returns the id of the running sync of a source, "" for none.
func (c *Client) runningSync(ctx context.Context, scope, source string) (string, error) {
	syncs, err := rest.Fetch[[]rest.SyncDoc](ctx, c.Conn, c.Path("syncs"), url.Values{"scope": {scope}, "source_id": {source}, "status": {"running"}, "limit": {"1"}})
	if err != nil || len(syncs) == 0 {
		return "", err
	}
	return syncs[0].SyncID, nil
}

const (
	liveQuiet = 10 * time.Second // between two lines of a sync that stays where it is
	liveSoon  = time.Second      // of one that moves
)

// live is the display of a sync that follows a log.
type live struct {
	s      terminal.Streams
	bars   terminal.Bars
	json   bool
	before int64 // changes
	at     time.Time
	rate   int64
	spoke  time.Time
	place  string            // of the last line
	said   map[string]string // messages by what they are of
}

// show updates the display: bars on a terminal, else a line when the sync has moved,
// and now and then where it has not, and each message once.
func (v *live) show(sync rest.SyncDoc, now time.Time) error {
	if took := now.Sub(v.at); v.at.IsZero() || took >= time.Second {
		if !v.at.IsZero() {
			v.rate = int64(float64(max(0, sync.Records-v.before)) / took.Seconds())
		}
		v.before, v.at = sync.Records, now
	}
	if v.json {
		return terminal.PrintJSON(v.s, sync)
	}
	if v.s.Terminal {
		v.bars.Draw(liveLines(sync, v.rate, now))
		return nil
	}
	place := ""
	if sync.Changes != nil {
		place = sync.Changes.Position
		v.say("", sync.Changes.Message)
	}
	since := now.Sub(v.spoke)
	if since >= liveQuiet || place != v.place && since >= liveSoon || sync.Status != "running" {
		v.spoke, v.place = now, place
		v.s.Note("%s", strings.TrimSpace(liveLines(sync, v.rate, now)[0]))
	}
	for _, t := range sync.Tables {
		if t.SetAside && sync.Status == "running" { // the end says it of all of them
			v.say(terminal.Plain(rest.FullName(t.Namespace, t.Name))+": set aside: ", t.Message)
		}
	}
	return nil
}

// say prints a message about something, unless it was the last one about that.
func (v *live) say(of, message string) {
	if v.said == nil {
		v.said = map[string]string{}
	}
	if message != v.said[of] && message != "" {
		v.s.Note("%s%s", of, flags.Said(message))
	}
	v.said[of] = message
}

// liveLines returns the display of a sync: where it stands, then its tables.
func liveLines(sync rest.SyncDoc, rate int64, now time.Time) []string {
	head := "  " + terminal.Plain(sync.SourceName) + ": "
	c := sync.Changes
	if c == nil {
		head += "reading its tables"
	} else {
		head += "up to " + terminal.Plain(c.Position)
		if c.FreshUntil != nil {
			head += ", complete up to " + terminal.Lasted(now.Sub(*c.FreshUntil)) + " ago"
		}
		if c.BehindBytes != nil && c.BehindSeconds != nil {
			head += fmt.Sprintf(", behind %s and %s", terminal.Size(*c.BehindBytes), terminal.Lasted(time.Duration(*c.BehindSeconds)*time.Second))
		}
		if c.RetainedBytes != nil {
			head += ", the source keeps " + terminal.Size(*c.RetainedBytes)
		}
	}
	head += fmt.Sprintf(", %s changes/s", terminal.Count(rate))
	lines := []string{head}
	if c != nil && c.Message != "" {
		lines = append(lines, "  "+flags.Said(c.Message))
	}
	for i, t := range sync.Tables {
		if i == progress.MostBars {
			return append(lines, fmt.Sprintf("  and %s", terminal.Several(len(sync.Tables)-progress.MostBars, "more table")))
		}
		line := fmt.Sprintf("  %-30s +%s ~%s -%s", terminal.Plain(rest.FullName(t.Namespace, t.Name)), terminal.Count(t.Inserted), terminal.Count(t.Updated), terminal.Count(t.Deleted))
		switch {
		case t.SetAside:
			line += "  set aside: " + flags.Said(t.Message)
		case t.Inserted+t.Updated+t.Deleted == 0 && t.RowsRead > 0:
			line += "  read whole: " + terminal.Several(int(t.RowsRead), "row")
		}
		lines = append(lines, line)
	}
	return lines
}
