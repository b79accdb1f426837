package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"headwater/bus/event"
)

// following is the state of one source whose log of changes this node follows.
type following struct {
	connector, sync string
	event.Changes
	told time.Time
}

// stood notes where a sync stands in its source's log.
func (o *Ops) stood(connector, sync string, meta *event.Meta, c event.Changes) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.logs[meta.Address()]; known || len(o.logs) < maxSources {
		o.logs[meta.Address()] = following{connector: connector, sync: sync, Changes: c, told: time.Now()}
	}
}

// unfollow forgets a source whose log is not followed any more.
func (o *Ops) unfollow(meta *event.Meta) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.logs, meta.Address())
}

// staleLog is the age at which the state of a log is not reported any more: another
// node has taken the sync over.
const staleLog = 5 * time.Minute

var (
	behindBytes   = prometheus.NewDesc("headwater_changes_behind_bytes", "Bytes of a source's log that have not landed yet: the most of any source that this node follows.", []string{"connector"}, nil)
	behindSeconds = prometheus.NewDesc("headwater_changes_behind_seconds", "Age of the oldest change that has not landed yet: the most of any source that this node follows.", []string{"connector"}, nil)
	retainedBytes = prometheus.NewDesc("headwater_slot_retained_bytes", "Bytes of log that a source keeps on its disk for this service: the most of any source that this node follows.", []string{"connector"}, nil)
	sourceBehind  = prometheus.NewDesc("headwater_source_changes_behind_seconds", "Age of the oldest change of a source that has not landed yet.", []string{"organization", "workspace", "source_id"}, nil)
	sourceKeeps   = prometheus.NewDesc("headwater_source_slot_retained_bytes", "Bytes of log that a source keeps on its disk for this service.", []string{"organization", "workspace", "source_id"}, nil)
)

// logs reports on the logs of changes when it is collected.
type logs struct{ *Ops }

func (l logs) Describe(all chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{behindBytes, behindSeconds, retainedBytes} {
		all <- d
	}
	if l.PerSource {
		all <- sourceBehind
		all <- sourceKeeps
	}
}

func (l logs) Collect(all chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	most := map[*prometheus.Desc]map[string]int64{behindBytes: {}, behindSeconds: {}, retainedBytes: {}}
	for a, f := range l.logs {
		if time.Since(f.told) > staleLog {
			continue
		}
		for d, n := range map[*prometheus.Desc]*int64{behindBytes: f.BehindBytes, behindSeconds: f.BehindSeconds, retainedBytes: f.RetainedBytes} {
			if n != nil {
				most[d][f.connector] = max(most[d][f.connector], *n)
			}
		}
		if !l.PerSource {
			continue
		}
		for d, n := range map[*prometheus.Desc]*int64{sourceBehind: f.BehindSeconds, sourceKeeps: f.RetainedBytes} {
			if n != nil {
				all <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(*n), label(a.Organization), a.Workspace, a.Source)
			}
		}
	}
	for d, of := range most {
		for connector, n := range of {
			all <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), connector)
		}
	}
}
