package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"headwater/projections"
)

// metrics returns the Prometheus endpoint at /metrics.
func metrics(view *projections.Store) http.Handler {
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
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}
