package layout

import "headwater/bus/event"

// changes writes the position of a reader in a log of changes as clients see it,
// or nothing if there is none.
func (o *Object) changes(name string, c *event.Changes, lagging bool) {
	if c == nil {
		return
	}
	o.open(name)
	o.TextOrNull("position", c.Position)
	o.TimeOrNull("committed_at", c.CommittedAt)
	o.TimeOrNull("fresh_until", c.FreshUntil)
	o.TimeOrNull("at", c.At)
	o.NumberOrNull("behind_bytes", c.BehindBytes)
	o.NumberOrNull("behind_seconds", c.BehindSeconds)
	o.NumberOrNull("retained_bytes", c.RetainedBytes)
	o.NumberOrNull("left_bytes", c.LeftBytes)
	o.TextOrNull("slot_state", c.SlotState)
	o.truth("lagging", lagging)
	o.TextOrNull("message", c.Message)
	o.close()
}
