package ops

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"headwater/bus/command"
	"headwater/bus/event"
)

// maxLanded is how many syncs are tracked at once. Some may continue on another
// node and never end here.
const maxLanded = 1024

// progress is what has been counted of a sync.
type progress struct {
	resumed bool // rows of an earlier attempt were counted by its node
	tables  map[string]counted
}

type counted struct{ rows, bytes, inserted, updated, deleted int64 }

func (o *Ops) begun(sync string, attempt int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.landed[sync] == nil {
		if len(o.landed) >= maxLanded {
			clear(o.landed)
		}
		o.landed[sync] = &progress{resumed: attempt > 1, tables: map[string]counted{}}
	}
}

// progressed counts what tables have landed since their last report. The first
// report of a table that an attempt on another node may have begun is not
// counted.
func (o *Ops) progressed(connector string, meta *event.Meta, sync string, tables ...event.TableResult) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.landed[sync]
	if p == nil {
		return
	}
	for _, t := range tables {
		name, now := t.Namespace+"\x00"+t.Name, counted{t.Records, t.Bytes, t.Inserted, t.Updated, 0}
		if t.Mode == command.Capture {
			now.deleted = t.Deleted
		}
		before, known := p.tables[name]
		p.tables[name] = now
		if !known && p.resumed {
			continue
		}
		rows, bytes := now.rows-before.rows, now.bytes-before.bytes
		if rows > 0 {
			o.metrics.rows.WithLabelValues(connector).Add(float64(rows))
			if o.PerSource {
				o.metrics.sourceRows.WithLabelValues(label(meta.Organization), meta.WorkspaceID, meta.SourceID).Add(float64(rows))
			}
		}
		for change, n := range map[string]int64{"inserted": now.inserted - before.inserted, "updated": now.updated - before.updated, "deleted": now.deleted - before.deleted} {
			if n > 0 {
				o.metrics.changes.WithLabelValues(connector, change).Add(float64(n))
			}
		}
		if bytes > 0 {
			o.metrics.bytes.WithLabelValues(connector, "written").Add(float64(bytes))
		}
	}
}

// ended stops tracking a sync and counts its end for the source.
func (o *Ops) ended(e *event.Event, meta *event.Meta, status string) {
	var sync string
	switch d := e.Data.(type) {
	case *event.SyncCompleted:
		sync = d.SyncID
	case *event.SyncFailed:
		sync = d.SyncID
	case *event.SyncCancelled:
		sync = d.SyncID
	}
	o.mu.Lock()
	delete(o.landed, sync)
	o.mu.Unlock()
	if !o.PerSource {
		return
	}
	o.metrics.sourceSyncs.WithLabelValues(label(meta.Organization), meta.WorkspaceID, meta.SourceID, status).Inc()
	if status == "completed" {
		o.mu.Lock()
		defer o.mu.Unlock()
		if _, known := o.synced[meta.Address()]; known || len(o.synced) < maxSources {
			o.synced[meta.Address()] = freshUntil(e)
		}
	}
}

// freshUntil returns the time up to which every table of a completed sync is
// complete, or the time of the event if no table reports one.
func freshUntil(e *event.Event) time.Time {
	oldest := e.Time
	if d, ok := e.Data.(*event.SyncCompleted); ok {
		if c := d.Changes; len(d.Tables) == 0 && c != nil && c.FreshUntil != nil {
			return *c.FreshUntil // another sync has landed its rows
		}
		for i := range d.Tables {
			if at := d.Tables[i].FreshUntil; at != nil && at.Before(oldest) {
				oldest = *at
			}
		}
	}
	return oldest
}

// label returns the text as a label value: Prometheus accepts only valid UTF-8.
func label(text string) string { return strings.ToValidUTF8(text, "\ufffd") }

// forget deletes the series of a removed source.
func (o *Ops) forget(meta *event.Meta) {
	if !o.PerSource {
		return
	}
	of := prometheus.Labels{"organization": label(meta.Organization), "workspace": meta.WorkspaceID, "source_id": meta.SourceID}
	o.metrics.sourceSyncs.DeletePartialMatch(of)
	o.metrics.sourceRows.DeletePartialMatch(of)
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.synced, meta.Address())
}

// maxSources is how many sources have a freshness series.
const maxSources = 10_000

var freshness = prometheus.NewDesc("headwater_source_freshness_seconds",
	"How long ago the oldest fresh_until of a source's tables lies, by the last sync that this node completed.", []string{"organization", "workspace", "source_id"}, nil)

// sources collects the freshness of each source when it is scraped.
type sources struct{ *Ops }

func (s sources) Describe(all chan<- *prometheus.Desc) { all <- freshness }

func (s sources) Collect(all chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, at := range s.synced {
		all <- prometheus.MustNewConstMetric(freshness, prometheus.GaugeValue, time.Since(at).Seconds(), label(a.Organization), a.Workspace, a.Source)
	}
}
