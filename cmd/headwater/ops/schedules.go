package ops

import (
	"log/slog"
	"time"

	"headwater/bus/event"
)

// scheduled returns how the decision about a scheduled run is logged. A missed
// run is a warning.
func scheduled(d event.Data) (slog.Level, string, []slog.Attr) {
	switch d := d.(type) {
	case *event.ScheduleChanged:
		if d.Schedule == nil {
			return slog.LevelInfo, "schedule removed", []slog.Attr{slog.Int("version", d.Version)}
		}
		return slog.LevelInfo, "schedule changed", []slog.Attr{slog.Int("version", d.Version), slog.String("schedule", d.Sentence), slog.Bool("paused", d.Schedule.Paused), slog.Bool("unchanged", d.Unchanged)}
	case *event.ScheduleFired:
		return slog.LevelDebug, "schedule fired", []slog.Attr{slog.String("sync_id", d.SyncID), slog.String("outcome", d.Outcome), slog.Time("due", d.Due), slog.Int64("late_ms", d.LateMS)}
	case *event.ScheduleSkipped:
		return slog.LevelInfo, "scheduled sync skipped", []slog.Attr{slog.String("sync_id", d.SyncID), slog.Time("due", d.Due), slog.String("message", d.Message)}
	case *event.ScheduleMissed:
		return slog.LevelWarn, "scheduled syncs missed", []slog.Attr{slog.Int("runs", d.Count), slog.String("from", d.From.Format(time.RFC3339)), slog.String("through", d.Through.Format(time.RFC3339)),
			slog.String("reason", string(d.Reason)), slog.String("message", d.Message)}
	}
	return slog.LevelInfo, "event", nil
}
