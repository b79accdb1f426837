package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/schollz/progressbar/v3"
)

// progress shows running syncs: every table that ends becomes a line; on a
// terminal a bar below them counts rows. It belongs to one goroutine.
type progress struct {
	s      Streams
	bar    *progressbar.ProgressBar // nil when Err is no terminal
	rows   int64                    // what the bar shows
	total  int64                    // what the bar is full at, 0 if not known
	ended  map[string]bool          // tables that have their line
	began  time.Time                // when following began
	spoke  time.Time                // of the last line about running tables
	remark time.Duration            // between two such lines
}

func newProgress(s Streams) *progress {
	now := time.Now()
	return &progress{s: s, ended: map[string]bool{}, began: now, spoke: now, remark: 10 * time.Second}
}

// expect sets how many rows there are about; 0 when nobody knows. It must come
// before the first show.
func (p *progress) expect(total int64) { p.total = total }

// show brings the display up to what the documents say.
func (p *progress) show(syncs []syncDoc) {
	var rows, running int64
	current := "waiting for a worker"
	if len(syncs) > 0 {
		current = "finishing"
	}
	for _, sync := range syncs {
		rows += sync.Records
		for _, t := range sync.Tables {
			switch key := sync.SyncID + "\x00" + full(t.Namespace, t.Name); {
			case t.Status == "running":
				running++
				current = plain(sync.SourceName) + ": " + plain(full(t.Namespace, t.Name))
				p.remarkOn(sync, t)
			case !p.ended[key]:
				p.ended[key] = true
				p.line(sync.SourceName, t)
			}
		}
		if sync.Status == "running" && len(sync.Tables) == 0 {
			current = plain(sync.SourceName)
		}
	}
	if running > 1 {
		current += fmt.Sprintf(" and %d more", running-1)
	}
	if p.s.Terminal {
		p.draw(rows, current)
	} else if time.Since(p.spoke) >= p.remark {
		p.spoke = time.Now()
	}
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
		mark, text = "✗", t.Message
	case "skipped":
		mark, text = "-", "skipped "+t.Message
	}
	p.erase()
	p.s.note("  %s %s: %s: %s", mark, plain(source), plain(full(t.Namespace, t.Name)), plain(text))
}

// remarkOn says now and then, where there is no bar, how far a table is.
func (p *progress) remarkOn(sync syncDoc, t tableSync) {
	if p.s.Terminal || time.Since(p.spoke) < p.remark {
		return
	}
	text := several(int(t.Records), "row")
	if per := rate(t.Records, time.Since(sync.StartedAt).Milliseconds()); per != "" {
		text += ", " + per + " rows/s"
	}
	p.s.note("  … %s: %s: %s", plain(sync.SourceName), plain(full(t.Namespace, t.Name)), text)
}

func (p *progress) draw(rows int64, current string) {
	if p.bar == nil {
		most := int64(-1)
		if p.total > 0 {
			most = p.total
		}
		p.bar = progressbar.NewOptions64(most,
			progressbar.OptionSetWriter(p.s.Err), progressbar.OptionUseANSICodes(true), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetWidth(16), progressbar.OptionSetPredictTime(false),
			progressbar.OptionShowCount(),
			// Zero starts no goroutine: only show draws.
			progressbar.OptionSetSpinnerChangeInterval(0))
	}
	// A table may hold more rows than was estimated; a full bar would end itself.
	if p.total > 0 && rows >= p.total {
		p.total = rows + rows/10 + 1
		p.bar.ChangeMax64(p.total)
	}
	per := ""
	if since := time.Since(p.began).Milliseconds(); since >= 500 && rows > 0 {
		per = rate(rows, since) + " rows/s"
	}
	// A fixed width keeps the bar in its place and the line within 80 columns.
	current = ansi.Truncate(current, 24, "…")
	p.bar.Describe("  " + current + strings.Repeat(" ", 24-ansi.StringWidth(current)) + fmt.Sprintf(" %16s", per))
	_ = p.bar.Add64(rows - p.rows)
	p.rows = rows
}

// erase takes the bar off its line, so that something else can stand there.
func (p *progress) erase() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// close takes the bar away. What stands above it stays.
func (p *progress) close() {
	p.erase()
	p.bar = nil
}
