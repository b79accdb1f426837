package command

import (
	"time"

	"headwater/bus/event"
)

// ChangeSchedule asks to give a source another schedule, or none.
type ChangeSchedule struct {
	Meta
	Schedule *event.Schedule `json:"schedule"` // null for none
}

// FireSchedule asks to decide about the run of a schedule that was due then, and
// about those after it that are due by now, unless that is done. Nobody asks for
// it: any node that sees the time sends it, and its id derives from the run.
type FireSchedule struct {
	Meta
	Version int       `json:"version"` // of the schedule; a newer one has other runs
	Due     time.Time `json:"due"`
}
