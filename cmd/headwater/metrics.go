package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"headwater/bus"
	"headwater/bus/event"
	"headwater/cmd/headwater/ops"
	"headwater/connectors/builtin"
	"headwater/handlers/extract"
	"headwater/handlers/landing"
	"headwater/projections"
	"headwater/projections/proof"
)

// described returns a function that looks up name and connector of a source, for
// log lines and labels.
func described(view *projections.Store) func(event.Address) (name, connector string) {
	return func(a event.Address) (string, string) {
		source, err := view.AnySource(a)
		if err != nil {
			return "", ""
		}
		return source.Name, source.Connector
	}
}

// connectorNames returns the names of all connectors, for labels.
func connectorNames() (names []string) {
	for _, d := range builtin.Drivers() {
		names = append(names, d.Spec().Name)
	}
	return names
}

// letGo returns driver.Spec.LetGo of a connector.
func letGo(connector string) string {
	for _, d := range builtin.Drivers() {
		if s := d.Spec(); s.Name == connector {
			return s.LetGo
		}
	}
	return ""
}

// metricsHandler serves /metrics and the node's health. A node with the worker
// role only serves them nowhere else.
func metricsHandler(o *ops.Ops, ready func(context.Context) error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", o.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { tellHealth(w, http.StatusOK, "The process runs") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r.Context()); err != nil {
			o.Log.Warn("not ready", "error", err)
			why := "its log says why"
			var lake lakeError
			if errors.As(err, &lake) {
				why = lake.Told()
			}
			tellHealth(w, http.StatusServiceUnavailable, "This node cannot serve now; "+why)
			return
		}
		tellHealth(w, http.StatusOK, "Ready")
	})
	return mux
}

// tellHealth answers in the envelope of the API.
func tellHealth(w http.ResponseWriter, status int, message string) {
	answer := map[string]any{"status": "success", "message": message, "data": nil}
	if status != http.StatusOK {
		answer["status"], answer["error"] = "error", map[string]any{"code": "unavailable", "details": []any{}}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

// parts are the parts of a node that are queried when metrics are scraped.
type parts struct {
	view   *projections.Store
	audits *proof.Auditor
	wire   *bus.Bus
	lake   *landing.Lake
	pool   *extract.Pool // nil without the worker role
}

// scrapeTime limits how long one scrape waits for the broker.
const scrapeTime = 2 * time.Second

var (
	lagDesc = prometheus.NewDesc("headwater_projection_lag",
		"Events of the log that the projection has not applied.", nil, nil)
	queueDesc = prometheus.NewDesc("headwater_command_queue_depth",
		"Commands that are stored and not done, in the whole installation.", []string{"verb"}, nil)
	lettersDesc = prometheus.NewDesc("headwater_dead_letters",
		"Commands that were given up and are kept, in the whole installation.", nil, nil)
	childrenDesc = prometheus.NewDesc("headwater_children",
		"Processes that read sources, those that wait for one included.", nil, nil)
	memoryDesc = prometheus.NewDesc("headwater_child_rss_bytes",
		"Memory of the processes that read sources: all, and the largest one.", []string{"of"}, nil)
)

// Describe and Collect implement prometheus.Collector. Collect omits what the
// broker does not answer in time.
func (p parts) Describe(all chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lagDesc, queueDesc, lettersDesc, childrenDesc, memoryDesc} {
		all <- d
	}
}

func (p parts) Collect(all chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	tell := func(d *prometheus.Desc, value float64, labels ...string) {
		all <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	at := p.view.Position() // read before the end of the log, which grows
	if log, err := p.wire.EventsState(ctx); err == nil {
		tell(lagDesc, max(0, float64(log.Last)-float64(at)))
	}
	if queue, err := p.wire.Queue(ctx); err == nil {
		for verb, n := range queue {
			tell(queueDesc, float64(n), verb)
		}
	}
	if n, err := p.wire.DeadLetters(ctx); err == nil {
		tell(lettersDesc, float64(n))
	}
	if p.pool == nil {
		return
	}
	sum, largest, sizes := int64(0), int64(0), p.pool.Resident()
	for _, size := range sizes {
		sum, largest = sum+size, max(largest, size)
	}
	tell(childrenDesc, float64(len(sizes)))
	tell(memoryDesc, float64(sum), "all")
	tell(memoryDesc, float64(largest), "largest")
}

// gauges returns the gauges of the parts that answer without waiting.
func (p parts) gauges() []prometheus.Collector {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	is := func(yes bool) float64 {
		if yes {
			return 1
		}
		return 0
	}
	return []prometheus.Collector{
		gauge("headwater_projection_sequence", "Stream sequence of the last event that the projection applied.", func() float64 { return float64(p.view.Position()) }),
		gauge("headwater_projection_damaged", "1 when stored bytes failed their checksum: restart the node to rebuild.", func() float64 { return is(p.view.Err() != nil) }),
		gauge("headwater_projection_audit_sequence", "Stream sequence up to which the last audit compared the projection with the log, 0 before the first.",
			func() float64 { return float64(p.audits.Last().Sequence) }),
		gauge("headwater_projection_audit_duration_seconds", "How long the last audit took.", func() float64 { return p.audits.Last().Took.Seconds() }),
		gauge("headwater_projection_audit_timestamp_seconds", "When the last audit came to its end, 0 before the first.", func() float64 {
			if at := p.audits.Last().Ended; !at.IsZero() {
				return float64(at.Unix())
			}
			return 0
		}),
		gauge("headwater_projection_drift", "1 when the last audit found the projection to differ from the log: remove it and restart the node.",
			func() float64 { return is(p.audits.Err() != nil) }),
		gauge("headwater_lake_writable", "0 when the lake cannot be written, as found within the last 30 s.", func() float64 { return is(p.lake.Writable(context.Background()) == nil) }),
		p,
	}
}
