// Package progress follows the syncs of an operation and draws how far they are: bars
// on a terminal, lines elsewhere.
package progress

import (
	"time"

	"headwater/bus/event"
	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/terminal"
)

// Display shows running syncs. Each table that ends becomes a line; on a
// terminal, bars below show running tables. It is not safe for concurrent use.
type Display struct {
	s      terminal.Streams
	bars   terminal.Bars
	ended  map[string]bool // tables that have been printed
	spoke  time.Time       // time of the last line about running tables
	remark time.Duration   // between two such lines
}

// New returns an empty display of syncs on s.Err.
func New(s terminal.Streams) *Display {
	return &Display{s: s, bars: terminal.NewBars(s), ended: map[string]bool{}, spoke: time.Now(), remark: 10 * time.Second}
}

// show updates the display to the documents.
func (p *Display) show(syncs []rest.SyncDoc) {
	now := time.Now()
	for _, sync := range syncs {
		for _, t := range sync.Tables {
			key := sync.SyncID + "\x00" + rest.FullName(t.Namespace, t.Name)
			if t.Status == "running" {
				p.remarkOn(sync, t, now)
			} else if !p.ended[key] {
				p.ended[key] = true
				p.line(sync.SourceName, t)
			}
		}
	}
	if !p.s.Terminal {
		if now.Sub(p.spoke) >= p.remark {
			p.spoke = now
		}
		return
	}
	width, _ := p.bars.Size()
	lines := barsOf(syncs, now, width-1)
	if len(lines) == 0 {
		lines = []string{"  finishing"}
		if len(syncs) == 0 {
			lines[0] = "  waiting for a turn"
		}
	}
	p.bars.Draw(lines)
}

// line prints the result of one table.
func (p *Display) line(source string, t rest.TableSync) {
	mark, text := "✓", terminal.Several(int(t.Records), "row")
	if per := terminal.Rate(t.Records, t.DurationMS); per != "" {
		text += ", " + per + " rows/s"
	}
	text += ", " + terminal.Took(t.DurationMS)
	switch t.Status {
	case "failed":
		mark, text = "✗", flags.Said(t.Message)
	case "skipped":
		mark, text = "-", "skipped"
		if t.Message != "" {
			text += ": " + flags.Said(t.Message)
		}
	}
	p.bars.Erase()
	p.s.Note("  %s %s: %s: %s", mark, terminal.Plain(source), terminal.Plain(rest.FullName(t.Namespace, t.Name)), terminal.Plain(text))
}

// remarkOn occasionally prints the progress of a table where there are no bars.
func (p *Display) remarkOn(sync rest.SyncDoc, t rest.TableSync, now time.Time) {
	if p.s.Terminal || now.Sub(p.spoke) < p.remark {
		return
	}
	text := terminal.Several(int(max(t.Records, t.RowsRead)), "row")
	if t.Estimate != nil {
		text += " of about " + terminal.Count(*t.Estimate)
	}
	if t.WaitingFor != "" && t.WaitingFor != event.WaitingRead {
		text += ", " + t.WaitingFor
		if t.BytesUploaded > 0 {
			text += " (" + terminal.Size(t.BytesUploaded) + " are there)"
		}
		if seconds := left(sync, t); seconds != nil {
			text += ", about " + terminal.Lasted(time.Duration(*seconds)*time.Second) + " left"
		}
	} else if t.WaitingSince != nil {
		text += ", no rows for " + terminal.Lasted(now.Sub(*t.WaitingSince))
	} else if t.Rate > 0 {
		text += ", " + terminal.Count(t.Rate) + " rows/s"
	}
	if quiet := now.Sub(sync.UpdatedAt); !sync.UpdatedAt.IsZero() && quiet > workerSilence {
		text += ", no sign of its worker for " + terminal.Lasted(quiet)
	}
	p.s.Note("  … %s: %s: %s", terminal.Plain(sync.SourceName), terminal.Plain(rest.FullName(t.Namespace, t.Name)), text)
}

// left returns the seconds until a table of a sync is done, nil if unknown.
func left(d rest.SyncDoc, t rest.TableSync) *int64 {
	if d.Progress == nil {
		return nil
	}
	for _, p := range d.Progress.Tables {
		if p.Name == t.Name && p.Namespace == t.Namespace {
			return p.ETA
		}
	}
	return nil
}

// Close removes the bars. The lines above them stay.
func (p *Display) Close() { p.bars.Erase() }
