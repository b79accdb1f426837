package commands

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"

	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/jobs"
	"headwater/api/reads"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/schedule"
	"headwater/handlers/syncoptions"
	"headwater/projections"
)

type scheduleRequest struct {
	Cron       string       `json:"cron"`
	TimeZone   string       `json:"time_zone"`
	Every      string       `json:"every"`
	After      string       `json:"after"`
	Jitter     string       `json:"jitter"`
	Missed     string       `json:"missed"`
	Overlap    string       `json:"overlap"`
	Paused     bool         `json:"paused"`
	Continuous *bool        `json:"continuous"`
	Options    *syncOptions `json:"sync_options"`
}

// SetSchedule plans to set a source's schedule, replacing the one it had.
func (c *Calls) SetSchedule(r *call.Request, _ idempotency.Seed, prior []idempotency.Target) (*jobs.Job, error) {
	var body scheduleRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	source, err := r.ScheduledSource()
	if err != nil {
		return nil, err
	}
	given := event.Schedule{
		Cron: body.Cron, TimeZone: body.TimeZone, Every: body.Every, After: body.After, Jitter: body.Jitter,
		Missed: body.Missed, Overlap: body.Overlap, Paused: body.Paused, Continuous: body.Continuous != nil && *body.Continuous,
	}
	if given.Continuous {
		if body.Options, err = c.continuous(source, body.Options); err != nil {
			return nil, err
		}
	}
	if given.Options, err = c.scheduledOptions(source, body.Options); err != nil {
		return nil, err
	}
	checked, err := schedule.Parse(given)
	var wrong *schedule.Problem
	if errors.As(err, &wrong) {
		return nil, badSchedule(event.ReasonInvalidConfig, wrong.Field, wrong.Message)
	}
	if err != nil {
		return nil, err
	}
	return c.reschedule(source, prior, &checked.Schedule, "The schedule was not changed"), nil
}

// continuous returns the options of a sync that goes on: its mode is cdc.
func (c *Calls) continuous(source projections.Source, asked *syncOptions) (*syncOptions, error) {
	if !c.captures(source.Connector) {
		reason := syncoptions.NoLog(source.Connector, c.capturing()).Reason
		return nil, badSchedule(reason, "continuous", "needs change data capture: "+syncoptions.Unlogged(source.Connector, c.capturing())+`; give every, such as "1m"`)
	}
	var o syncOptions
	if asked != nil {
		o = *asked
	}
	if o.Incremental != nil || o.Mode != "" && o.Mode != command.Capture {
		return nil, badSchedule(event.ReasonInvalidConfig, "sync_options.mode", "must be cdc with continuous: only changes from a log come by themselves")
	}
	o.Mode = command.Capture
	return &o, nil
}

// RemoveSchedule plans to remove a source's schedule.
func (c *Calls) RemoveSchedule(r *call.Request, _ idempotency.Seed, prior []idempotency.Target) (*jobs.Job, error) {
	source, err := r.ScheduledSource()
	if err != nil {
		return nil, err
	}
	return c.reschedule(source, prior, nil, "The schedule was not removed"), nil
}

// scheduledOptions validates the sync options of a schedule as those of a sync,
// and returns them as the schedule stores them.
func (c *Calls) scheduledOptions(source projections.Source, asked *syncOptions) (json.RawMessage, error) {
	options, err := asked.command()
	if err != nil || reflect.ValueOf(options).IsZero() {
		return nil, err
	}
	for field, given := range map[string]bool{"always": options.Always, "start_from": options.StartFrom != nil, "reset": options.Reset != nil} {
		if given {
			return nil, badSchedule(event.ReasonInvalidConfig, "sync_options."+field, "is of one sync and cannot be kept with a schedule; sync the source once with it")
		}
	}
	_, fitting, err := c.fit([]projections.Source{source}, options, false)
	if err != nil {
		return nil, err
	}
	return json.Marshal(fitting[source.Address.Source])
}

// badSchedule returns the failure for an invalid schedule.
func badSchedule(reason event.Reason, field, message string) *web.Failure {
	return web.Fail(http.StatusUnprocessableEntity, string(reason), "The schedule cannot be: %s %s", field, message).With(web.Detail{Field: field, Message: message, Reason: string(reason)})
}

// decidedBy returns the field that a refused schedule was refused for. That after names a
// source which is there, and no circle, is found out only as the schedule is changed.
func decidedBy(f jobs.FailedSource) string {
	if strings.HasPrefix(f.Error, "after: ") {
		return "after"
	}
	return "schedule"
}

// reschedule returns the job that sets a source's schedule, or removes it if to
// is nil.
func (c *Calls) reschedule(source projections.Source, prior []idempotency.Target, to *event.Schedule, failed string) *jobs.Job {
	j := &jobs.Job{Kind: event.KindSchedule, Owner: source.Address.Owner, Targets: prior}
	if prior == nil {
		j.Targets = []idempotency.Target{{SourceID: source.Address.Source, Name: source.Name}}
	}
	j.Payload = func(context.Context, idempotency.Target) (command.Data, error) {
		return &command.ChangeSchedule{Schedule: to}, nil
	}
	j.Compose = func(op projections.Operation) (*web.Answer, error) {
		g, t := jobs.Reported(op, 0), j.Targets[0]
		if g == nil || g.Status != projections.StatusCompleted {
			return nil, jobs.AllFailed(failed, []jobs.FailedSource{jobs.FailedTarget(t, g)}, decidedBy)
		}
		now, err := c.Model.Source(source.Address)
		if errors.Is(err, projections.ErrNotFound) {
			return nil, call.NoSource(t.SourceID)
		}
		if err != nil {
			return nil, err
		}
		return reads.ShowSchedule(c.Model, now, op.ID)
	}
	return j
}
