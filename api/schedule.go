package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"time"

	"headwater/api/contract"
	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/schedule"
	"headwater/handlers/syncoptions"
	"headwater/projections"
	"headwater/projections/layout"
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

// scheduled returns the source named by the path, or a 404 if the caller has no
// such source.
func (h *Handler) scheduled(r *request) (projections.Source, error) {
	return h.one(r, r.query.Get("scope"), r.variable("source_id"))
}

// planSchedule plans to set a source's schedule, replacing the one it had.
func (h *Handler) planSchedule(r *request, _ idempotency.Seed, prior []idempotency.Target) (*job, error) {
	var body scheduleRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	source, err := h.scheduled(r)
	if err != nil {
		return nil, err
	}
	given := event.Schedule{
		Cron: body.Cron, TimeZone: body.TimeZone, Every: body.Every, After: body.After, Jitter: body.Jitter,
		Missed: body.Missed, Overlap: body.Overlap, Paused: body.Paused, Continuous: body.Continuous != nil && *body.Continuous,
	}
	if given.Continuous {
		if body.Options, err = h.continuous(source, body.Options); err != nil {
			return nil, err
		}
	}
	if given.Options, err = h.scheduledOptions(source, body.Options); err != nil {
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
	return h.reschedule(source, prior, &checked.Schedule, "The schedule was not changed"), nil
}

// continuous returns the options of a sync that goes on: its mode is cdc.
func (h *Handler) continuous(source projections.Source, asked *syncOptions) (*syncOptions, error) {
	if !h.captures(source.Connector) {
		p := syncoptions.NoLog(source.Connector, h.capturing())
		return nil, badSchedule(p.Reason, "continuous", "needs change data capture: "+strings.TrimPrefix(p.Message, "is cdc, and ")+`; give every, such as "1m"`)
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

// planUnschedule plans to remove a source's schedule.
func (h *Handler) planUnschedule(r *request, _ idempotency.Seed, prior []idempotency.Target) (*job, error) {
	source, err := h.scheduled(r)
	if err != nil {
		return nil, err
	}
	return h.reschedule(source, prior, nil, "The schedule was not removed"), nil
}

// scheduledOptions validates the sync options of a schedule as those of a sync,
// and returns them as the schedule stores them.
func (h *Handler) scheduledOptions(source projections.Source, asked *syncOptions) (json.RawMessage, error) {
	options, err := asked.command()
	if err != nil || reflect.ValueOf(options).IsZero() {
		return nil, err
	}
	for field, given := range map[string]bool{"always": options.Always, "start_from": options.StartFrom != nil, "reset": options.Reset != nil} {
		if given {
			return nil, badSchedule(event.ReasonInvalidConfig, "sync_options."+field, "is of one sync and cannot be kept with a schedule; sync the source once with it")
		}
	}
	_, fitting, err := h.fit([]projections.Source{source}, options, false)
	if err != nil {
		return nil, err
	}
	return json.Marshal(fitting[source.Address.Source])
}

// badSchedule returns the failure for an invalid schedule.
func badSchedule(reason event.Reason, field, message string) *web.Failure {
	return web.Fail(http.StatusUnprocessableEntity, string(reason), "The schedule cannot be: %s %s", field, message).With(web.Detail{Field: field, Message: message, Reason: string(reason)})
}

// reschedule returns the job that sets a source's schedule, or removes it if to
// is nil.
func (h *Handler) reschedule(source projections.Source, prior []idempotency.Target, to *event.Schedule, failed string) *job {
	j := &job{kind: event.KindSchedule, owner: source.Address.Owner, targets: prior}
	if prior == nil {
		j.targets = []idempotency.Target{{SourceID: source.Address.Source, Name: source.Name}}
	}
	j.payload = func(context.Context, idempotency.Target) (command.Data, error) {
		return &command.ChangeSchedule{Schedule: to}, nil
	}
	j.compose = func(op projections.Operation) (*web.Answer, error) {
		g, t := reported(op, 0), j.targets[0]
		if g == nil || g.Status != projections.StatusCompleted {
			return nil, none(failed, []failedSource{failedTarget(t, g)}, func(failedSource) string { return "schedule" })
		}
		now, err := h.Reads.Source(source.Address)
		if errors.Is(err, projections.ErrNotFound) {
			return nil, noSource(web.Detail{Field: "source_id", Message: "there is no source " + contract.Printable(t.SourceID)})
		}
		if err != nil {
			return nil, err
		}
		return h.showSchedule(now, op.ID)
	}
	return j
}

// schedule answers with a source's schedule.
func (h *Handler) schedule(_ context.Context, r *request) (*web.Answer, error) {
	source, err := h.scheduled(r)
	if err != nil {
		return nil, err
	}
	return h.showSchedule(source, "")
}

// upcomingRuns is the number of next runs in an answer.
const upcomingRuns = 5

// showSchedule answers with a source's schedule, its next runs, and how late the
// next run already is.
func (h *Handler) showSchedule(source projections.Source, operation string) (*web.Answer, error) {
	data := map[string]any{"source_id": source.Address.Source, "source_name": source.Name, "schedule": nil}
	if operation != "" {
		data["operation_id"] = operation
	}
	s := source.Schedule
	if s == nil {
		return web.Success(http.StatusOK, source.Name+" has no schedule: it is synced when somebody asks", data)
	}
	now := time.Now()
	runs, err := upcoming(source, now)
	if err != nil {
		return nil, err
	}
	doc := layout.Extend(layout.AppendSchedule(nil, s))
	encoded, err := json.Marshal(runs)
	if err != nil {
		return nil, err
	}
	doc.Raw("next_runs", encoded)
	late := int64(0)
	if s.NextRun != nil && now.After(*s.NextRun) {
		late = now.Sub(*s.NextRun).Milliseconds()
	}
	doc.Number("late_ms", late)
	message := source.Name + " is synced " + s.Sentence
	switch {
	case s.Paused:
		message = "Paused: " + message
	case s.After != "":
		if problem := h.orphaned(source); problem != "" {
			message = problem
		}
	}
	data["schedule"] = json.RawMessage(bytes.Clone(doc.End()))
	return web.Success(http.StatusOK, message, data)
}

// orphaned returns a message if the source that a schedule follows does not
// exist, else "".
func (h *Handler) orphaned(source projections.Source) string {
	other := source.Address
	other.Source = source.Schedule.After
	if _, err := h.Reads.Source(other); errors.Is(err, projections.ErrNotFound) {
		return source.Name + " is not synced by itself: its schedule goes by the syncs of " + contract.Printable(other.Source) + ", which was removed"
	}
	return ""
}

// upcoming returns when the next runs of a source's schedule are due. It returns
// none while the schedule is paused, or if it follows another source.
func upcoming(source projections.Source, now time.Time) ([]time.Time, error) {
	s := source.Schedule
	if s.Paused {
		return []time.Time{}, nil
	}
	parsed, err := schedule.Load(s.Schedule)
	if err != nil {
		return nil, err
	}
	var anchor time.Time
	if s.Anchor != nil {
		anchor = *s.Anchor
	}
	return parsed.Of(source.Address.Source, anchor).Upcoming(now, upcomingRuns), nil
}
