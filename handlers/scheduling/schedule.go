package scheduling

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/handlers/outcome"
	"headwater/handlers/schedule"
)

// Change gives a source another schedule, or none. Runs that were due
// before are not carried out any more.
func (r *Schedules) Change(ctx context.Context, j *history.Job, c *command.ChangeSchedule) error {
	_, err := j.AdvanceKnown(ctx, func(v history.View) (history.Move, error) {
		if v.Ended {
			return history.Move{}, nil
		}
		if gone := v.Missing(); gone != nil {
			return j.RejectedFor(gone), nil
		}
		changed := &event.ScheduleChanged{Meta: j.Meta(true), Version: v.ScheduleVersion + 1}
		if c.Schedule == nil {
			if changed.Unchanged = v.Schedule == nil; changed.Unchanged {
				changed.Version = v.ScheduleVersion
			}
			return history.Move{Data: changed}, nil
		}
		why, err := r.Fill(j, v, *c.Schedule, changed)
		if err != nil {
			return history.Move{}, err
		}
		if why != nil {
			return j.RejectedFor(why), nil
		}
		return history.Move{Data: changed}, nil
	})
	return err
}

// Fill fills in what the event says of a schedule that is given, or returns
// what is wrong with it.
func (r *Schedules) Fill(j *history.Job, v history.View, given event.Schedule, changed *event.ScheduleChanged) (why, err error) {
	s, err := schedule.Parse(given)
	var wrong *schedule.Problem
	if errors.As(err, &wrong) {
		return outcome.Failf(event.ReasonInvalidConfig, "%s", wrong.Error()), nil
	}
	if err != nil {
		return nil, err
	}
	name := ""
	if s.After != "" {
		var why error
		if name, why, err = followedBy(j, s.After); why != nil || err != nil {
			return why, err
		}
	}
	before := v.Schedule
	if before != nil && reflect.DeepEqual(normal(before.Schedule), normal(s.Schedule)) {
		changed.Unchanged, changed.Version = true, v.ScheduleVersion
	}
	now := r.Clock.Now().UTC().Truncate(time.Second)
	anchor := now
	if before != nil && before.Every == s.Every && !before.Anchor.IsZero() {
		anchor = before.Anchor // what else is changed does not move its runs
	}
	plan := s.Of(j.Address.Source, anchor)
	changed.Schedule, changed.Sentence, changed.Anchor, changed.DelayMS = &s.Schedule, s.Sentence(name), ref(anchor), plan.Delay().Milliseconds()
	switch {
	case s.Paused:
	case s.Continuous:
		changed.NextRun = ref(now)
	default:
		changed.NextRun = ref(plan.After(now))
	}
	return nil, nil
}

// followedBy returns the name of the source that a schedule's after names, or why it cannot
// be named.
func followedBy(j *history.Job, id string) (name string, why, err error) {
	if id == j.Address.Source {
		return "", outcome.Failf(event.ReasonInvalidConfig, "after: the source cannot be synced after itself: it would go round in a circle"), nil
	}
	other := j.Address
	other.Source = id
	s, err := j.State.Source(other)
	if err != nil {
		return "", nil, fmt.Errorf("read what a schedule goes by: %w", err)
	}
	if !s.Connected {
		return "", outcome.Failf(event.ReasonNotFound, "after: there is no source %q in this workspace and scope", id), nil
	}
	circle, err := circle(j.State, j.Address, id)
	if err == nil && circle {
		return "", outcome.Failf(event.ReasonInvalidConfig, "after: %s is synced, directly or by way of others, after this source: they would go round in a circle", s.Name), nil
	}
	return s.Name, nil, err
}

// normal returns the schedule in its normal form: schedules that mean the same are equal
// in it.
func normal(s event.Schedule) event.Schedule {
	if len(s.Options) == 0 || string(s.Options) == "{}" || string(s.Options) == "null" {
		s.Options = nil
	}
	return s
}
