package layout

import (
	"encoding/json"
	"fmt"
	"time"

	"headwater/bus/event"
)

// Progress summarizes how far a sync is, from the last progress of each table.
// It knows no clock: the age of updated_at shows whether the worker still lives.
type Progress struct {
	Sync *Sync

	rows, bytes, rate int64
	done, uploaded    int64 // rows that are settled, and bytes that are uploaded
	expected          int64 // rows expected of the tables that have reported
	planned           int64 // what was expected of those tables before they began
	unknown           bool  // some table cannot tell how many rows it has
	told, ended       int
	running, waiting  int
	uploads, commits  int       // numbers of running tables
	since             time.Time // the source has sent nothing to any table since
	tables            []byte
}

// Add counts the result of one table, as it is stored. It returns ErrDamaged.
func (p *Progress) Add(doc []byte) error {
	var r event.TableResult
	if err := json.Unmarshal(doc, &r); err != nil {
		return fmt.Errorf("%w: table of sync %s: %w", ErrDamaged, p.Sync.ID, err)
	}
	read := max(r.RowsRead, r.Records)
	settled := read
	if r.Status == StatusRunning && r.RowsUploaded != nil {
		settled = min(read, *r.RowsUploaded)
	}
	p.done, p.uploaded = p.done+settled, p.uploaded+r.BytesUploaded
	p.rows, p.bytes, p.told = p.rows+read, p.bytes+max(r.BytesRead, r.Bytes), p.told+1
	var total *int64
	switch running := r.Status == StatusRunning; {
	case !running:
		p.ended++
		total = &read
	case r.Estimate != nil:
		most := max(*r.Estimate, read)
		total = &most
	default:
		p.unknown = true
	}
	if total != nil {
		p.expected += *total
	}
	if r.Estimate != nil {
		p.planned += *r.Estimate
	}
	if r.Status == StatusRunning {
		p.running++
		p.rate += r.Rate
		switch r.WaitingFor {
		case event.WaitingUpload:
			p.uploads++
		case event.WaitingCommit:
			p.commits++
		}
		if r.WaitingSince != nil {
			p.waiting++
			if r.WaitingSince.After(p.since) {
				p.since = *r.WaitingSince
			}
		}
	}
	o := NewObject(240)
	o.Text("name", r.Name)
	o.Text("namespace", r.Namespace)
	o.Text("status", r.Status)
	done := r.Status == StatusCompleted
	o.Fraction("fraction", settled, total, done)
	o.Number("rows", read)
	o.Number("bytes", max(r.BytesRead, r.Bytes))
	o.Number("bytes_uploaded", r.BytesUploaded)
	o.Number("rows_per_second", r.Rate)
	o.NumberOrNull("row_estimate", r.Estimate)
	o.Remaining("eta_seconds", settled, total, r.Rate, r.Status == StatusRunning)
	o.TimeOrNull("last_row_at", r.LastRowAt)
	o.TimeOrNull("waiting_since", r.WaitingSince)
	o.TextOrNull("waiting_for", r.WaitingFor)
	if len(p.tables) > 0 {
		p.tables = append(p.tables, ',')
	}
	p.tables = append(p.tables, o.End()...)
	return nil
}

// total returns the expected number of rows, or nil if it is unknown. Tables
// that have not reported yet count with what was expected at the start.
func (p *Progress) total() *int64 {
	if p.Sync.Ended() {
		return &p.rows
	}
	rest := p.Sync.Expected - p.planned
	if p.unknown || p.told < p.Sync.TablesTotal && p.Sync.Expected < 0 {
		return nil
	}
	total := p.expected
	if p.told < p.Sync.TablesTotal {
		total += max(rest, 0)
	}
	return &total
}

// Document returns what readers of the sync see of it.
func (p *Progress) Document() []byte {
	y, total := p.Sync, p.total()
	if y.Ended() {
		p.rate = 0
		if y.DurationMS > 0 {
			p.rate = int64(float64(p.rows) * 1000 / float64(y.DurationMS))
		}
	}
	o := NewObject(400 + len(p.tables))
	o.Fraction("fraction", p.done, total, y.Status == StatusCompleted)
	o.Number("rows", p.rows)
	o.Number("bytes", p.bytes)
	o.Number("bytes_uploaded", p.uploaded)
	o.Number("rows_per_second", p.rate)
	if y.Ended() {
		o.Raw("row_estimate", nil)
	} else {
		o.NumberOrNull("row_estimate", total)
	}
	o.Remaining("eta_seconds", p.done, total, p.rate, !y.Ended())
	if p.running > 0 && p.waiting == p.running {
		o.Time("waiting_since", p.since)
	} else {
		o.Raw("waiting_since", nil)
	}
	o.TextOrNull("waiting_for", p.waitingFor())
	o.Number("tables_ended", int64(p.ended))
	o.Number("tables_total", int64(max(y.TablesTotal, p.told)))
	o.Raw("tables", append(append([]byte{'['}, p.tables...), ']'))
	return o.End()
}

// waitingFor returns what the sync waits for, or "" once it has ended. A table
// that waits for the lake takes precedence over tables that read.
func (p *Progress) waitingFor() string {
	switch {
	case p.Sync.Ended():
		return ""
	case p.uploads > 0:
		return event.WaitingUpload
	case p.commits > 0 && p.commits == p.running:
		return event.WaitingCommit
	}
	return event.WaitingRead
}
