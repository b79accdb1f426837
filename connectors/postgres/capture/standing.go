package capture

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"

	"headwater/connectors/driver"
)

// standingEvery is how often Changes gives a Standing.
const standingEvery = 10 * time.Second

// Standing asks the server how far the reader is behind. ErrReplaced says that the slot
// is gone, or has not everything behind what was confirmed.
func (l *changeLog) Standing(ctx context.Context) (driver.Standing, error) {
	s, err := l.control.slot(ctx, l.slot)
	if err != nil {
		return driver.Standing{}, err
	}
	at := l.confirmed.Load()
	if err := l.checkContinues(s, pglogrepl.LSN(at)); err != nil {
		return driver.Standing{}, err
	}
	l.ahead.CompareAndSwap(nil, s)
	st := driver.Standing{At: s.asked, Position: pglogrepl.LSN(at).String(), End: s.end.String(), Behind: behind(uint64(s.end), at), Retained: -1, Left: s.left, State: s.state, Message: l.slotMessage(s)}
	if s.restart != 0 {
		st.Retained = behind(uint64(s.end), uint64(s.restart))
	}
	if first := l.waiting.oldest(); !first.IsZero() {
		st.Delay = max(s.at.Sub(first), time.Nanosecond)
	}
	return st, nil
}

func behind(end, at uint64) int64 {
	if at >= end {
		return 0
	}
	return int64(end - at)
}

// slotMessage says what people should know about the slot, "" if nothing.
func (l *changeLog) slotMessage(s *slotRow) string {
	switch {
	case s.invalid != "":
		return fmt.Sprintf("the server has invalidated the slot %s (%s)%s", l.slot, s.invalid, invalidAdvice[s.invalid])
	case s.state == "lost":
		return "the server has given up the log that it kept for the slot " + l.slot
	case s.state == "unreserved":
		return "the server keeps more log for this reader than max_slot_wal_keep_size and may give it up with its next checkpoint"
	case l.facts.standby:
		return "a standby takes no signs of life of ours into its log: the slot moves with what its primary writes"
	case !l.facts.maySendMessage:
		return "this account may not write a message to the log (pg_logical_emit_message): while the database is idle, its slot keeps the log of its neighbours"
	}
	return ""
}
