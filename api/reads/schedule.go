package reads

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"headwater/api/call"
	"headwater/api/contract"
	"headwater/api/web"
	"headwater/bus/event"
	"headwater/handlers/schedule"
	"headwater/projections"
	"headwater/projections/layout"
)

// Sources returns sources. *projections.Store implements it.
type Sources interface {
	Source(a event.Address) (projections.Source, error)
}

// Schedule answers with a source's schedule.
func (c *Calls) Schedule(_ context.Context, r *call.Request) (*web.Answer, error) {
	source, err := r.ScheduledSource()
	if err != nil {
		return nil, err
	}
	return ShowSchedule(c.Model, source, "")
}

// upcomingRuns is the number of next runs in an answer.
const upcomingRuns = 5

// ShowSchedule answers with a source's schedule, its next runs, and how late the
// next run already is.
func ShowSchedule(model Sources, source projections.Source, operation string) (*web.Answer, error) {
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
		if problem := orphaned(model, source); problem != "" {
			message = problem
		}
	}
	data["schedule"] = json.RawMessage(bytes.Clone(doc.End()))
	return web.Success(http.StatusOK, message, data)
}

// orphaned returns a message if the source that a schedule follows does not
// exist, else "".
func orphaned(model Sources, source projections.Source) string {
	other := source.Address
	other.Source = source.Schedule.After
	if _, err := model.Source(other); errors.Is(err, projections.ErrNotFound) {
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
