package progress

import (
	"fmt"
	"strings"
	"time"

	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/terminal"
)

const (
	liveQuiet = 10 * time.Second // between two lines of a sync that stays where it is
	liveSoon  = time.Second      // of one that moves
)

// Live is the display of a sync that follows a log: bars on a terminal, else lines.
// It is not safe for concurrent use.
type Live struct {
	s      terminal.Streams
	bars   terminal.Bars
	before int64 // changes
	at     time.Time
	rate   int64
	spoke  time.Time
	place  string            // of the last line
	said   map[string]string // messages by what they are of
}

// NewLive returns an empty display on s.Err.
func NewLive(s terminal.Streams) *Live { return &Live{s: s, bars: terminal.NewBars(s)} }

// Close removes the bars.
func (v *Live) Close() { v.bars.Erase() }

// Show updates the display: bars on a terminal, else a line when the sync has moved,
// and now and then where it has not, and each message once.
func (v *Live) Show(sync rest.SyncDoc, now time.Time) {
	if took := now.Sub(v.at); v.at.IsZero() || took >= time.Second {
		if !v.at.IsZero() {
			v.rate = int64(float64(max(0, sync.Records-v.before)) / took.Seconds())
		}
		v.before, v.at = sync.Records, now
	}
	if v.s.Terminal {
		v.bars.Draw(liveLines(sync, v.rate, now))
		return
	}
	place := ""
	if sync.Changes != nil {
		place = sync.Changes.Position
		v.say("", sync.Changes.Message)
	}
	since := now.Sub(v.spoke)
	if since >= liveQuiet || place != v.place && since >= liveSoon || sync.Status != "running" {
		v.spoke, v.place = now, place
		v.s.Note("%s", strings.TrimSpace(liveLines(sync, v.rate, now)[0]))
	}
	for _, t := range sync.Tables {
		if t.SetAside && sync.Status == "running" { // the end says it of all of them
			v.say(terminal.Plain(rest.FullName(t.Namespace, t.Name))+": set aside: ", t.Message)
		}
	}
}

// say prints a message about something, unless it was the last one about that.
func (v *Live) say(of, message string) {
	if v.said == nil {
		v.said = map[string]string{}
	}
	if message != v.said[of] && message != "" {
		v.s.Note("%s%s", of, flags.Said(message))
	}
	v.said[of] = message
}

// Asked says how old an answer is, "" if it is of this moment.
func Asked(at *time.Time, now time.Time) string {
	if at == nil || now.Sub(*at) < 2*time.Second {
		return ""
	}
	return " (" + terminal.Lasted(now.Sub(*at).Truncate(time.Second)) + " ago)"
}

// liveLines returns the display of a sync: where it stands, then its tables.
func liveLines(sync rest.SyncDoc, rate int64, now time.Time) []string {
	head := "  " + terminal.Plain(sync.SourceName) + ": "
	c := sync.Changes
	if c == nil {
		head += "reading its tables"
	} else {
		head += "up to " + terminal.Plain(c.Position)
		if c.FreshUntil != nil {
			head += ", complete up to " + terminal.Lasted(now.Sub(*c.FreshUntil)) + " ago"
		}
		if c.BehindBytes != nil && c.BehindSeconds != nil {
			head += fmt.Sprintf(", behind %s and %s%s", terminal.Size(*c.BehindBytes), terminal.Lasted(time.Duration(*c.BehindSeconds)*time.Second), Asked(c.At, now))
		}
		if c.RetainedBytes != nil {
			head += ", the source keeps " + terminal.Size(*c.RetainedBytes)
		}
	}
	head += fmt.Sprintf(", %s changes/s", terminal.Count(rate))
	lines := []string{head}
	if c != nil && c.Message != "" {
		lines = append(lines, "  "+flags.Said(c.Message))
	}
	for i, t := range sync.Tables {
		if i == MostBars {
			return append(lines, fmt.Sprintf("  and %s", terminal.Several(len(sync.Tables)-MostBars, "more table")))
		}
		line := fmt.Sprintf("  %-30s +%s ~%s -%s", terminal.Plain(rest.FullName(t.Namespace, t.Name)), terminal.Count(t.Inserted), terminal.Count(t.Updated), terminal.Count(t.Deleted))
		switch {
		case t.SetAside:
			line += "  set aside: " + flags.Said(t.Message)
		case t.Inserted+t.Updated+t.Deleted == 0 && t.RowsRead > 0:
			line += "  read whole: " + terminal.Several(int(t.RowsRead), "row")
		}
		lines = append(lines, line)
	}
	return lines
}
