package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"headwater/bus/event"
	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// ScheduleCmd shows, sets, pauses or removes a source's schedule.
type ScheduleCmd struct {
	Show   ScheduleShowCmd   `cmd:"" default:"withargs" help:"Show a source's schedule, its next runs and the outcome of the last one."`
	Set    ScheduleSetCmd    `cmd:"" help:"Sync a source automatically from now on. Replaces its schedule, if it has one."`
	Pause  SchedulePauseCmd  `cmd:"" help:"Start no scheduled syncs until 'resume'."`
	Resume ScheduleResumeCmd `cmd:"" help:"Continue a paused schedule. Runs that were due during the pause are not made up for."`
	Remove ScheduleRemoveCmd `cmd:"" help:"Remove the schedule. The source is then synced only on request."`
}

// scheduleRequest returns the request that sets the schedule again, paused or not.
func scheduleRequest(d *rest.ScheduleDoc, paused bool) map[string]any {
	body := map[string]any{"paused": paused}
	for name, value := range map[string]string{"cron": d.Cron, "time_zone": d.TimeZone, "every": d.Every, "after": d.After, "jitter": d.Jitter, "missed": d.Missed, "overlap": d.Overlap} {
		if value != "" {
			body[name] = value
		}
	}
	if d.Continuous {
		body = map[string]any{"paused": paused, "continuous": true}
	}
	if len(d.Options) > 0 {
		body["sync_options"] = d.Options
	}
	return body
}

// nextRun says when the schedule's next run is due, relative to now.
func nextRun(d *rest.ScheduleDoc, now time.Time) string {
	switch {
	case d.Paused:
		return "paused"
	case d.Continuous:
		return "continuous"
	case d.NextRun == nil:
		return d.Sentence // it follows another source, or goes on
	case d.NextRun.Before(now):
		return "late since " + humanize.RelTime(*d.NextRun, now, "ago", "from now")
	}
	return humanize.RelTime(*d.NextRun, now, "ago", "from now")
}

// scheduleCall holds what all commands about a schedule need.
type scheduleCall struct {
	ClientFlags `embed:""`
	Source      string `arg:"" help:"Name or id of the source."`
}

// open returns a client and the path of the schedule.
func (c *scheduleCall) open(ctx context.Context) (*Client, string, error) {
	api, err := c.client()
	if err != nil {
		return nil, "", err
	}
	ids, err := api.sourceIDs(ctx, c.Scope, []string{c.Source})
	if err != nil {
		return nil, "", err
	}
	return api, api.Path("sources", ids[0], "schedule") + "?" + url.Values{"scope": {c.Scope}}.Encode(), nil
}

// change sets or removes the schedule, and prints the result.
func (c *scheduleCall) change(ctx context.Context, s terminal.Streams, api *Client, method, path string, body any) error {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return err
		}
	}
	a, err := api.Do(ctx, method, path, encoded, "")
	if err != nil {
		return err
	}
	op, waited, err := api.Settled(ctx, s, a)
	if err != nil {
		return err
	}
	if waited {
		if err := rest.OperationError(op); err != nil {
			return err
		}
		if a, err = api.Do(ctx, http.MethodGet, path, nil, ""); err != nil {
			return err
		}
	}
	return c.print(ctx, s, api, a)
}

// print prints a schedule, its next runs and what became of the last one.
func (c *scheduleCall) print(ctx context.Context, s terminal.Streams, api *Client, a rest.Answer) error {
	if c.JSON {
		return terminal.PrintJSON(s, a.Data)
	}
	var doc struct{ Schedule *rest.ScheduleDoc }
	if err := a.Into(&doc); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(s.Out, terminal.Plain(a.Message)); err != nil || doc.Schedule == nil {
		return err
	}
	for i, run := range doc.Schedule.NextRuns {
		head := "next   "
		if i > 0 {
			head = "       "
		}
		if _, err := fmt.Fprintf(s.Out, "%s%s\n", head, run.Local().Format("Mon "+time.DateTime+" MST")); err != nil {
			return err
		}
	}
	r := doc.Schedule.LastRun
	if r == nil {
		return nil
	}
	text := r.Due.Local().Format("Mon "+time.DateTime+" MST") + "  " + r.Outcome
	if r.Runs > 1 {
		text += fmt.Sprintf(", %d runs", r.Runs)
	}
	if late := time.Duration(r.LateMS) * time.Millisecond; late >= time.Second {
		text += ", " + late.Truncate(time.Second).String() + " late"
	}
	ended := ""
	if r.Outcome == event.RunStarted || r.Outcome == event.RunAttached {
		var err error
		if ended, err = became(ctx, api, r.OperationID); err != nil {
			return err
		}
	}
	for _, more := range []string{r.SyncID, r.Message, ended} {
		if more != "" {
			text += "  " + more
		}
	}
	_, err := fmt.Fprintln(s.Out, "last   "+terminal.Plain(text))
	return err
}

// became says how the operation of a run ended, and why if it did not complete; "" if that
// is not known any more.
func became(ctx context.Context, api *Client, operation string) (string, error) {
	op, err := api.Operation(ctx, operation)
	if err != nil {
		if rest.NotFound(err) {
			err = nil
		}
		return "", err
	}
	words := []string{op.Status}
	for _, t := range op.Targets { // one, the source
		for _, more := range []string{t.Reason, t.Message} {
			if more != "" && more != t.Status {
				words = append(words, more)
			}
		}
	}
	return strings.Join(words, ": "), nil
}

// ScheduleShowCmd shows a schedule.
type ScheduleShowCmd struct {
	scheduleCall `embed:""`
}

// Run prints the schedule. A source without one is not an error.
func (c *ScheduleShowCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, path, err := c.open(ctx)
	if err != nil {
		return err
	}
	a, err := api.Do(ctx, http.MethodGet, path, nil, "")
	if err != nil {
		return err
	}
	return c.print(ctx, s, api, a)
}

// ScheduleSetCmd sets a schedule.
type ScheduleSetCmd struct {
	scheduleCall    `embed:""`
	Cron            string `placeholder:"LINE" help:"minute hour day-of-month month day-of-week, such as '30 2 * * *', or @daily."`
	TimeZone        string `placeholder:"ZONE" help:"Time zone of --cron, such as Europe/Berlin; default: UTC."`
	Every           string `help:"Time between syncs, such as 15m, 2h or 1d; at least 1m."`
	After           string `placeholder:"SOURCE" help:"After each sync of this source (name or id) that landed something."`
	Continuous      bool   `help:"Follow the database's log of changes without an end (--mode cdc); 'pause' ends that after the next commit."`
	Jitter          string `help:"Start up to this much later, such as 10m; the source's id decides how much, so that sources are spread."`
	Missed          string `enum:",once,skip" default:"" help:"Runs that were due while the service was down: once (the default) carries out the last of them; skip carries out none that is more than 5 minutes late."`
	Overlap         string `enum:",attach,skip" default:"" help:"When the source is already syncing: attach (the default) lets that sync count as the run, skip drops the run."`
	Paused          bool   `help:"Start no sync until 'resume'."`
	flags.SyncFlags `embed:""`
}

// Run sets the schedule and prints it.
func (c *ScheduleSetCmd) Run(ctx context.Context, s terminal.Streams) error {
	if c.Cron == "" && c.Every == "" && c.After == "" && !c.Continuous {
		return exit.Usagef("when? give --cron, --every, --after or --continuous, such as --every 1h")
	}
	options, err := c.Options()
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	api, path, err := c.open(ctx)
	if err != nil {
		return err
	}
	doc := rest.ScheduleDoc{Cron: c.Cron, TimeZone: c.TimeZone, Every: c.Every, Jitter: c.Jitter, Missed: c.Missed, Overlap: c.Overlap, Continuous: c.Continuous}
	if c.After != "" {
		ids, err := api.sourceIDs(ctx, c.Scope, []string{c.After})
		if err != nil {
			return err
		}
		doc.After = ids[0]
	}
	body := scheduleRequest(&doc, c.Paused)
	if len(options) > 0 {
		body["sync_options"] = options
	}
	return c.change(ctx, s, api, http.MethodPut, path, body)
}

// SchedulePauseCmd pauses a schedule.
type SchedulePauseCmd struct {
	scheduleCall `embed:""`
}

// Run pauses the schedule and prints it.
func (c *SchedulePauseCmd) Run(ctx context.Context, s terminal.Streams) error {
	return c.pause(ctx, s, true)
}

// ScheduleResumeCmd resumes a paused schedule.
type ScheduleResumeCmd struct {
	scheduleCall `embed:""`
}

// Run resumes the schedule and prints it.
func (c *ScheduleResumeCmd) Run(ctx context.Context, s terminal.Streams) error {
	return c.pause(ctx, s, false)
}

// pause sets the existing schedule again, paused or not.
func (c *scheduleCall) pause(ctx context.Context, s terminal.Streams, paused bool) error {
	api, path, err := c.open(ctx)
	if err != nil {
		return err
	}
	a, err := api.Do(ctx, http.MethodGet, path, nil, "")
	if err != nil {
		return err
	}
	var doc struct{ Schedule *rest.ScheduleDoc }
	if err := a.Into(&doc); err != nil {
		return err
	}
	if doc.Schedule == nil {
		return exit.With(exit.Refused, fmt.Errorf("%s; set one with 'headwater schedule set'", a.Message))
	}
	return c.change(ctx, s, api, http.MethodPut, path, scheduleRequest(doc.Schedule, paused))
}

// ScheduleRemoveCmd removes a schedule.
type ScheduleRemoveCmd struct {
	scheduleCall `embed:""`
}

// Run removes the schedule. A source without one is not an error.
func (c *ScheduleRemoveCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, path, err := c.open(ctx)
	if err != nil {
		return err
	}
	return c.change(ctx, s, api, http.MethodDelete, path, nil)
}
