package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"path/filepath"
	"time"

	"headwater/bus/busbench"
	"headwater/bus/event"
	"headwater/cmd/bench/processes"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
)

// What schedules may cost while none of them is due.
const (
	scheduleCount  = 10_000
	scheduleOver   = 0.01             // of a core
	scheduleSettle = 80 * time.Second // the read model is compared with the log a minute after a start, and then daily
	scheduleWindow = 20 * time.Second // each of the runs
)

// schedules measures the processor time of a service with many schedules of which none
// is due, beside that of one without a source, at the same time.
func (b *bench) schedules(ctx context.Context) ([]report.Row, error) {
	count := b.Rows(scheduleCount)
	dir, err := b.Folder("schedules")
	if err != nil {
		return nil, err
	}
	b.Say("publishing %d sources with a schedule each", count)
	if err := busbench.Fill(ctx, filepath.Join(dir, "data", "bus"), scheduled(count, time.Now().UTC().Truncate(time.Second))); err != nil {
		return nil, err
	}
	ours, err := b.StartIn(ctx, dir, b.Cache, "")
	if err != nil {
		return nil, err
	}
	defer ours.Stop()
	if err := hasSchedules(ctx, ours, count); err != nil {
		return nil, err
	}
	idle, err := b.Start(ctx, b.Cache)
	if err != nil {
		return nil, err
	}
	defer idle.Stop()
	rest := func(long time.Duration) error {
		select {
		case <-time.After(long):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := rest(scheduleSettle); err != nil {
		return nil, err
	}
	var x, y []time.Duration
	for range b.Runs {
		began := time.Now()
		a, z := processes.CPU(ours.Pid()), processes.CPU(idle.Pid())
		if err := rest(scheduleWindow); err != nil {
			return nil, err
		}
		took := time.Since(began).Seconds()
		each := func(of *rig.Service, before time.Duration) time.Duration { // a second
			return time.Duration(float64(processes.CPU(of.Pid())-before) / took)
		}
		x, y = append(x, each(ours, a)), append(y, each(idle, z))
		b.Say("%d schedules: %.2f %% of a core, an idle service %.2f %%", count, 100*x[len(x)-1].Seconds(), 100*y[len(y)-1].Seconds())
	}
	most, least := rig.Median(x).Seconds(), rig.Median(y).Seconds()
	return []report.Row{{
		Work: fmt.Sprintf("CPU of a service with %d schedules, none due", count), Ours: fmt.Sprintf("%.2f %% of a core", 100*most),
		Limit: fmt.Sprintf("%.2f %%", 100*least), Beside: "a service without a source", Ratio: fmt.Sprintf("%+.2f %%", 100*(most-least)),
		Target: fmt.Sprintf("at most %+.2f %%", 100*scheduleOver), OK: most-least <= scheduleOver,
	}}, nil
}

// scheduled yields the events of sources that are synced daily, the first of them in an
// hour.
func scheduled(count int, now time.Time) iter.Seq[*event.Event] {
	return func(yield func(*event.Event) bool) {
		made := 0
		tell := func(d event.Data) bool {
			made++
			id := fmt.Sprintf("019a0000-%04x-7000-8000-%012x", made&0xffff, made)
			return yield(&event.Event{ID: id, Causation: id, Time: now, Data: d})
		}
		for i := range count {
			at := event.Address{Organization: "bench", Workspace: "bench", Owner: "bench", Source: fmt.Sprintf("src_%026d", i)}
			op := func(kind string) event.Operation {
				return event.Operation{ID: fmt.Sprintf("op_%s%019d", kind, i), Kind: kind, Targets: 1, Actor: "bench", Final: true}
			}
			next := now.Add(time.Hour + time.Duration(i)*23*time.Hour/time.Duration(count))
			if !tell(&event.SourceConnected{
				Meta: event.At(at, op(event.KindConnect)), Name: fmt.Sprintf("source %05d", i), Type: "database", Connector: "postgresql", ConfigVersion: 1, SecretRef: fmt.Sprintf("sec_%026d", i),
				Config: json.RawMessage(`{"host":"db.example","port":5432,"database":"shop","user":"reader","sslmode":"verify-full"}`),
			}) || !tell(&event.ScheduleChanged{
				Meta: event.At(at, op(event.KindSchedule)), Version: 1, Sentence: "every 24 hours", Anchor: &next, NextRun: &next,
				Schedule: &event.Schedule{Every: "24h", Missed: "once", Overlap: "attach"},
			}) {
				return
			}
		}
	}
}

// hasSchedules says whether the service knows the last of the schedules, and when it is
// due.
func hasSchedules(ctx context.Context, s *rig.Service, count int) error {
	var data struct {
		Schedule *struct {
			NextRun  *time.Time  `json:"next_run"`
			NextRuns []time.Time `json:"next_runs"`
		}
	}
	if err := s.Call(ctx, "GET", fmt.Sprintf("sources/src_%026d/schedule?scope=user", count-1), nil, &data); err != nil {
		return err
	}
	if data.Schedule == nil || data.Schedule.NextRun == nil || time.Until(*data.Schedule.NextRun) < time.Hour {
		return fmt.Errorf("the service has the last schedule as %+v", data.Schedule)
	}
	return nil
}
