package ops

import (
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"headwater/bus/event"
)

// Config configures an Ops.
type Config struct {
	Log     *slog.Logger
	Version string // of the build
	Go      string // compiler of the build
	// Describe returns the name and the connector of a source, "" if it is
	// unknown. nil describes none.
	Describe func(a event.Address) (name, connector string)
	// Connectors are the permitted values of the label connector; any other
	// becomes "unknown".
	Connectors []string
	// Registry is where the metrics are registered; nil creates one.
	Registry *prometheus.Registry
	// PerSource adds series for each source.
	PerSource bool
}

// Ops logs and counts what happens, for the operator. It is safe for concurrent
// use.
type Ops struct {
	Config
	metrics  *metrics
	registry *prometheus.Registry
	refusals allowance

	mu     sync.Mutex
	landed map[string]*progress        // by sync
	synced map[event.Address]time.Time // with Config.PerSource
	logs   map[event.Address]following // of sources whose log is being followed
}

// New returns an Ops and registers its metrics. It panics if they are registered
// already.
func New(c Config) *Ops {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	o := &Ops{Config: c, registry: c.Registry, landed: map[string]*progress{}, synced: map[event.Address]time.Time{}, logs: map[event.Address]following{}}
	o.metrics = newMetrics(c)
	o.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	o.registry.MustRegister(o.metrics.all()...)
	o.registry.MustRegister(logs{o})
	if c.PerSource {
		o.registry.MustRegister(sources{o})
	}
	return o
}

// known returns the name of a connector as a label value.
func (o *Ops) known(connector string) string {
	if slices.Contains(o.Connectors, connector) {
		return connector
	}
	return "unknown"
}

// Register adds collectors of other parts of the node. It panics if one is
// registered already.
func (o *Ops) Register(all ...prometheus.Collector) { o.registry.MustRegister(all...) }

// Handler serves the metrics in the formats of Prometheus.
func (o *Ops) Handler() http.Handler {
	return promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}
