package main

import (
	"time"

	"headwater/bus/event"
)

// progress shows running syncs: every table that ends becomes a line; on a
// terminal bars below them show the tables that run. It belongs to one goroutine.
type progress struct {
	s      Streams
	bars   bars
	ended  map[string]bool // tables that have their line
	spoke  time.Time       // of the last line about running tables
	remark time.Duration   // between two such lines
}

func newProgress(s Streams) *progress {
	return &progress{s: s, bars: bars{s: s}, ended: map[string]bool{}, spoke: time.Now(), remark: 10 * time.Second}
}

// show brings the display up to what the documents say.
func (p *progress) show(syncs []syncDoc) {
	now := time.Now()
	for _, sync := range syncs {
		for _, t := range sync.Tables {
			key := sync.SyncID + "\x00" + full(t.Namespace, t.Name)
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
	width, _ := p.bars.size()
	lines := barsOf(syncs, now, width-1)
	if len(lines) == 0 {
		lines = []string{"  finishing"}
		if len(syncs) == 0 {
			lines[0] = "  waiting for a turn"
		}
	}
	p.bars.draw(lines)
}

// line says how one table ended.
func (p *progress) line(source string, t tableSync) {
	mark, text := "✓", several(int(t.Records), "row")
	if per := rate(t.Records, t.DurationMS); per != "" {
		text += ", " + per + " rows/s"
	}
	text += ", " + took(t.DurationMS)
	switch t.Status {
	case "failed":
		mark, text = "✗", said(t.Message)
	case "skipped":
		mark, text = "-", "skipped"
		if t.Message != "" {
			text += ": " + said(t.Message)
		}
	}
	p.bars.erase()
	p.s.note("  %s %s: %s: %s", mark, plain(source), plain(full(t.Namespace, t.Name)), plain(text))
}

// remarkOn says now and then, where there are no bars, how far a table is.
func (p *progress) remarkOn(sync syncDoc, t tableSync, now time.Time) {
	if p.s.Terminal || now.Sub(p.spoke) < p.remark {
		return
	}
	text := several(int(max(t.Records, t.RowsRead)), "row")
	if t.Estimate != nil {
		text += " of about " + count(*t.Estimate)
	}
	if t.WaitingFor != "" && t.WaitingFor != event.WaitingRead {
		text += ", " + t.WaitingFor
		if t.BytesUploaded > 0 {
			text += " (" + size(t.BytesUploaded) + " are there)"
		}
		if left := sync.left(t); left != nil {
			text += ", about " + lasted(time.Duration(*left)*time.Second) + " left"
		}
	} else if t.WaitingSince != nil {
		text += ", no rows for " + lasted(now.Sub(*t.WaitingSince))
	} else if t.Rate > 0 {
		text += ", " + count(t.Rate) + " rows/s"
	}
	if quiet := now.Sub(sync.UpdatedAt); !sync.UpdatedAt.IsZero() && quiet > workerSilence {
		text += ", no sign of its worker for " + lasted(quiet)
	}
	p.s.note("  … %s: %s: %s", plain(sync.SourceName), plain(full(t.Namespace, t.Name)), text)
}

// left returns how many seconds a table still takes, nil where nobody knows.
func (d syncDoc) left(t tableSync) *int64 {
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

// close takes the bars away. What stands above them stays.
func (p *progress) close() { p.bars.erase() }
