package ops

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"headwater/api/s3"
	"headwater/api/web"
	"headwater/bus/webhooks"
)

// Answered logs and counts a request. Changes and refusals are logged at INFO,
// failures of the service at ERROR, and reads at DEBUG.
func (o *Ops) Answered(x web.Exchange) {
	status := x.Status
	if status == 0 {
		status = 499 // the client disconnected
	}
	o.metrics.requests.WithLabelValues(methodOf(x.Method), x.Route, strconv.Itoa(status)).Observe(x.Duration.Seconds())
	level := slog.LevelDebug
	switch {
	case status >= 500:
		level = slog.LevelError
	case status >= 400, x.Method != http.MethodGet && x.Method != http.MethodHead:
		level = slog.LevelInfo
	}
	if x.Route == "/api/v1/readyz" && status >= 500 {
		level = slog.LevelWarn // polled every few seconds, and the gauge shows it
	}
	ctx := context.Background()
	if !o.Log.Enabled(ctx, level) {
		return
	}
	skipped, ok := uint64(0), true
	if status >= 400 && status < 500 {
		skipped, ok = o.refusals.take(time.Now())
	}
	if !ok {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", methodOf(x.Method)), slog.String("route", x.Route), slog.Int("status", status), slog.Float64("duration_ms", float64(x.Duration.Microseconds())/1000),
		slog.Int64("bytes", x.Bytes), slog.String("request_id", x.RequestID),
	}
	for _, a := range []struct{ key, value string }{{"organization", x.Organization}, {"workspace", x.Workspace}, {"subject", x.Subject}, {"code", x.Code}, {"message", x.Message}} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if skipped > 0 {
		attrs = append(attrs, slog.Uint64("refusals_not_logged", skipped))
	}
	o.Log.LogAttrs(ctx, level, "request", attrs...)
}

// Served logs and counts a request of a reader to the lake's S3 endpoint.
func (o *Ops) Served(a s3.Answer) {
	o.metrics.served.Add(float64(a.Bytes))
	o.Answered(web.Exchange{Method: a.Method, Route: a.Route, Status: a.Status, Bytes: a.Bytes, Duration: a.Duration, RequestID: a.RequestID, Code: a.Code, Message: a.Message})
}

// methodOf returns an HTTP method, or one text for all unknown ones.
func methodOf(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "_OTHER"
}

// Delivered logs and counts one attempt to deliver an event to a webhook.
func (o *Ops) Delivered(w webhooks.Webhook, sequence uint64, a webhooks.Attempt, failures int) {
	if a.Taken() {
		o.metrics.deliveries.WithLabelValues("taken").Inc()
		o.Log.Debug("webhook delivered", "organization", w.Organization, "workspace", w.Workspace, "webhook_id", w.ID, "sequence", sequence, "status", a.Status, "duration_ms", a.Duration.Milliseconds())
		return
	}
	o.metrics.deliveries.WithLabelValues("failed").Inc()
	o.Log.Warn("webhook failed", "organization", w.Organization, "workspace", w.Workspace, "owner", w.Owner, "webhook_id", w.ID, "sequence", sequence, "status", a.Status,
		"duration_ms", a.Duration.Milliseconds(), "consecutive_failures", failures, "reason", a.Reason)
}

// How many refused requests a node logs: a burst, then this many per second.
const (
	refusalBurst = 200
	refusalRate  = 20
)

// allowance limits how often something is logged.
type allowance struct {
	mu      sync.Mutex
	left    float64
	at      time.Time
	skipped uint64
}

// take reports whether it may be logged now, and how often it was suppressed
// since the last time.
func (a *allowance) take(now time.Time) (skipped uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at.IsZero() {
		a.left = refusalBurst
	} else {
		a.left = min(refusalBurst, a.left+now.Sub(a.at).Seconds()*refusalRate)
	}
	a.at = now
	if a.left < 1 {
		a.skipped++
		return 0, false
	}
	a.left--
	skipped, a.skipped = a.skipped, 0
	return skipped, true
}
