package command

import (
	"time"

	"headwater/bus/event"
)

// ChangeSchedule asks to set or remove a source's schedule.
type ChangeSchedule struct {
	Meta
	Schedule *event.Schedule `json:"schedule"` // null to remove it
}

// FireSchedule asks to decide about a run of a schedule that is due at that
// time, and about later runs that are due by now, unless they are decided. No
// user requests it: any node that notices the time sends it, and its id derives
// from the run.
type FireSchedule struct {
	Meta
	Version int       `json:"version"` // of the schedule; a newer version has other runs
	Due     time.Time `json:"due"`
}
