package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"headwater/projections"
)

// metrics returns the Prometheus endpoint at /metrics.
func metrics(view *projections.Store, audits *projections.Auditor) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "headwater_projection_sequence", Help: "Stream sequence of the last event that the projection applied.",
		}, func() float64 { return float64(view.Position()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "headwater_projection_damaged", Help: "1 when stored bytes failed their checksum: restart the node to rebuild.",
		}, func() float64 {
			if view.Err() != nil {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "headwater_projection_audit_sequence", Help: "Stream sequence up to which the last audit compared the projection with the log, 0 before the first.",
		}, func() float64 { return float64(audits.Last().Sequence) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "headwater_projection_audit_duration_seconds", Help: "How long the last audit took.",
		}, func() float64 { return audits.Last().Took.Seconds() }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "headwater_projection_audit_timestamp_seconds", Help: "When the last audit came to its end, 0 before the first.",
		}, func() float64 {
			if at := audits.Last().Ended; !at.IsZero() {
				return float64(at.Unix())
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "headwater_projection_drift", Help: "1 when the last audit found the projection to differ from the log: remove it and restart the node.",
		}, func() float64 {
			if audits.Err() != nil {
				return 1
			}
			return 0
		}),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}
