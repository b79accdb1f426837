package ops

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"headwater/bus/command"
	"headwater/bus/event"
)

// metrics are updated as events happen. Label values come from closed sets,
// except those of sources.
type metrics struct {
	syncs, rows, bytes, tables *prometheus.CounterVec
	changes                    *prometheus.CounterVec
	duration, took, requests   *prometheus.HistogramVec
	commands, failed, events   *prometheus.CounterVec
	dead, deliveries           *prometheus.CounterVec
	served                     prometheus.Counter
	running                    *prometheus.GaugeVec
	syncing                    prometheus.GaugeFunc
	build                      prometheus.Gauge
	sourceSyncs, sourceRows    *prometheus.CounterVec
	active                     atomic.Int64 // running syncs
}

var (
	quick = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	long  = []float64{.1, .5, 1, 5, 15, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600}
)

func newMetrics(c Config) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets, NativeHistogramBucketFactor: 1.1,
			NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour}, labels)
	}
	m := &metrics{
		syncs:    counter("headwater_syncs_total", "Syncs that ended, by how: completed, partial, failed, cancelled.", "connector", "status", "trigger"),
		duration: histogram("headwater_sync_duration_seconds", "How long syncs took that ended, from their first attempt.", long, "connector"),
		rows:     counter("headwater_sync_rows_total", "Rows that syncs committed to the lake.", "connector"),
		bytes:    counter("headwater_sync_bytes_total", "Bytes of the files that syncs committed to the lake.", "connector", "direction"),
		changes:  counter("headwater_changes_total", "Changes of sources' logs that have landed: inserted, updated, deleted.", "connector", "change"),
		tables:   counter("headwater_sync_table_failures_total", "Tables that a sync could not land, by reason.", "connector", "reason"),
		commands: counter("headwater_commands_total", "Commands that have their outcome: completed, failed, cancelled, rejected.", "verb", "outcome"),
		failed:   counter("headwater_command_failures_total", "Commands that failed or were rejected, by reason.", "verb", "reason"),
		took:     histogram("headwater_command_duration_seconds", "From the request for a command to its outcome.", long, "verb"),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "headwater_commands_running",
			Help: "Commands that this node is working on."}, []string{"verb"}),
		events:     counter("headwater_events_appended_total", "Events that this node appended to the log.", "type"),
		requests:   histogram("http_server_request_duration_seconds", "How long requests took, streams of events until they ended.", quick, "http_request_method", "http_route", "http_response_status_code"),
		deliveries: counter("headwater_webhook_deliveries_total", "Attempts to deliver an event to a webhook: taken, failed.", "outcome"),
		served:     prometheus.NewCounter(prometheus.CounterOpts{Name: "headwater_lake_served_bytes_total", Help: "Bytes of the lake that readers took through its S3 endpoint."}),
		dead:       counter("headwater_dead_letters_total", "Commands that were given up and kept as dead letters.", "verb"),
		build: prometheus.NewGauge(prometheus.GaugeOpts{Name: "headwater_build_info", Help: "1, with what the program was built from.",
			ConstLabels: prometheus.Labels{"version": c.Version, "goversion": c.Go}}),
	}
	m.build.Set(1)
	if c.PerSource {
		m.sourceSyncs = counter("headwater_source_syncs_total", "Syncs of a source that ended, by how.", "organization", "workspace", "source_id", "status")
		m.sourceRows = counter("headwater_source_rows_total", "Rows of a source that syncs committed.", "organization", "workspace", "source_id")
	}
	m.begin()
	return m
}

// begin creates the series with known labels, so that their first increase is
// visible as one.
func (m *metrics) begin() {
	for _, c := range command.All() {
		verb := c.CommandName()
		m.running.WithLabelValues(verb)
		m.dead.WithLabelValues(verb)
		for _, outcome := range []string{"completed", "failed", "cancelled", "rejected"} {
			m.commands.WithLabelValues(verb, outcome)
		}
	}
	m.deliveries.WithLabelValues("taken")
	m.deliveries.WithLabelValues("failed")
	m.syncing = prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "headwater_syncs_running", Help: "Syncs that this node is working on."}, func() float64 { return float64(m.active.Load()) })
}

func (m *metrics) all() []prometheus.Collector {
	all := []prometheus.Collector{m.syncs, m.rows, m.bytes, m.changes, m.tables, m.duration, m.took, m.requests, m.commands, m.failed, m.events, m.dead, m.deliveries, m.served, m.running, m.syncing, m.build}
	if m.sourceSyncs != nil {
		all = append(all, m.sourceSyncs, m.sourceRows)
	}
	return all
}

// count adds an event to the metrics.
func (o *Ops) count(w work, connector string, e *event.Event) {
	meta := e.Data.Header()
	status, reason, took := "", event.Reason(""), int64(-1)
	switch d := e.Data.(type) {
	case *event.SyncStarted:
		o.begun(d.SyncID, d.Attempt)
		return
	case *event.SyncProgressed:
		o.progressed(connector, meta, d.SyncID, d.Table)
		return
	case *event.ChangesLanded:
		o.stood(connector, d.SyncID, meta, d.Changes)
		return
	case *event.ChangesGivenUp:
		o.unfollow(meta)
		return
	case *event.SyncCompleted:
		o.unfollow(meta)
		o.progressed(connector, meta, d.SyncID, d.Tables...)
		status, took = d.Status, d.DurationMS
		o.unlanded(connector, d.Tables)
	case *event.SyncFailed:
		o.unfollow(meta)
		o.progressed(connector, meta, d.SyncID, d.Tables...)
		status, reason, took = "failed", d.Reason, d.DurationMS
		o.unlanded(connector, d.Tables)
	case *event.SyncCancelled:
		o.unfollow(meta)
		status, reason = "cancelled", d.Reason
	case *event.SourceConnectFailed:
		reason = d.Reason
	case *event.CommandRejected:
		reason = d.Reason
	case *event.ConnectionTested:
		reason = d.Reason
	case *event.SourceRemoved:
		o.forget(meta)
	}
	if status != "" {
		o.metrics.syncs.WithLabelValues(connector, status, "request").Inc()
		o.ended(e, meta, status)
	}
	if took >= 0 {
		o.metrics.duration.WithLabelValues(connector).Observe(float64(took) / 1000)
	}
	if meta.Operation.Final {
		o.outcome(w, e, reason)
	}
}

// outcome counts the end of a command. The command of the event may differ from
// that of w: a cancel ends the command it cancels.
func (o *Ops) outcome(w work, e *event.Event, reason event.Reason) {
	meta := e.Data.Header()
	verb, outcome := verbOf(meta.Operation.Kind), "completed"
	_, rejected := e.Data.(*event.CommandRejected)
	switch {
	case reason == event.ReasonCancelled, e.Name() == (*event.SyncCancelled)(nil).EventName():
		outcome = "cancelled"
	case rejected:
		outcome = "rejected"
	case reason != "":
		outcome = "failed"
	}
	o.metrics.commands.WithLabelValues(verb, outcome).Inc()
	if reason != "" && outcome != "cancelled" {
		o.metrics.failed.WithLabelValues(verb, string(reason)).Inc()
	}
	if w.verb == verb && !w.sent.IsZero() {
		o.metrics.took.WithLabelValues(verb).Observe(max(0, time.Since(w.sent).Seconds()))
	}
}

// unlanded counts the tables that failed.
func (o *Ops) unlanded(connector string, tables []event.TableResult) {
	for _, t := range tables {
		if t.Status == "failed" {
			o.metrics.tables.WithLabelValues(connector, string(t.Reason)).Inc()
		}
	}
}
