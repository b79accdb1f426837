package ops

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"

	"headwater/api/web"
	"headwater/bus/event"
	"headwater/bus/webhooks"
)

// hostile are texts that a user, a source or a receiver may give, to write lines
// of their own or to rule the terminal that shows them.
var hostile = []string{
	"a\n{\"level\":\"ERROR\",\"msg\":\"forged\"}", "a\ntime=2026 level=ERROR msg=forged", "a\r\nlevel=ERROR", "\"} {\"msg\":\"forged\"", `" level=ERROR msg="forged`,
	"a level=ERROR msg=forged", "\x1b[2J\x1b[31mred", "\x1b]0;title\x07", "\u009b31m", "a\x00b", "a\u2028b\u2029c", "a\u0085b", "\u202egnp.exe", "\u200b\u200d\ufeff", "\U000e0041tag",
	"\x7f\x08\x08\x08", "\xff\xfe not text", "\\u000a\\n", "a=b c=\"d\"", strings.Repeat("long ", 10_000),
}

// tellAll tells of text in every place that takes one, and returns how many
// lines that is.
func tellAll(t *testing.T, o *Ops, text string) int {
	t.Helper()
	meta := operation(event.KindSync)
	meta.SourceName, meta.Owner, meta.Operation.Actor, meta.Operation.RequestID = text, text, text, text
	log := Events{Log: new(kept), Ops: o}
	all := []event.Data{
		&event.SyncFailed{Meta: meta, SyncID: text, Reason: event.Reason("bad_data"), Message: text},
		&event.SyncCompleted{Meta: meta, Status: "partial", Mode: text, Tables: []event.TableResult{{Namespace: text, Name: text, Status: "failed", Reason: event.ReasonBadData, Message: text}}},
		&event.SourceConnectFailed{Meta: meta, Name: text, Type: text, Connector: text, Reason: event.ReasonInvalidConfig, Message: text},
		&event.CommandRejected{Meta: meta, Command: "SyncSource", Reason: event.ReasonInternal, Message: text},
		&event.SyncCancelled{Meta: meta, By: text, Message: text},
	}
	for i, d := range all {
		if _, err := log.Append(t.Context(), uint64(i), &event.Event{Data: d}); err != nil {
			t.Fatal(err)
		}
	}
	o.Answered(web.Exchange{Method: text, Route: "/api/v1/healthz", Status: 422, RequestID: text, Code: text, Message: text, Organization: text, Workspace: text, Subject: text})
	o.Delivered(webhooks.Webhook{ID: text, Organization: text, Workspace: text, Owner: text}, 1, webhooks.Attempt{Reason: text}, 1)
	o.Log.Error("failed", "error", errText(text))
	return len(all) + 3
}

type errText string

func (e errText) Error() string { return string(e) }

// TestNothingForgesALine holds that no text makes two lines of one, or one field
// of another, or reaches a terminal as anything but text that can be seen.
func TestNothingForgesALine(t *testing.T) {
	for _, text := range hostile {
		for _, format := range []string{Text, JSON} {
			o, out := listen(slog.LevelDebug, format)
			want := tellAll(t, o, text)
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if len(lines) != want {
				t.Errorf("%s: %.40q makes %d lines of %d:\n%s", format, text, len(lines), want, out)
			}
			for _, line := range lines {
				if len(line) > 32<<10 {
					t.Errorf("%s: %.40q makes a line of %d bytes", format, text, len(line))
				}
				for _, r := range line {
					if !unicode.IsPrint(r) {
						t.Errorf("%s: %.40q is shown with %U", format, text, r)
					}
				}
				judge(t, format, text, line)
			}
		}
	}
}

// judge holds that a line has the level and the message that it was given.
func judge(t *testing.T, format, text, line string) {
	t.Helper()
	if format == Text {
		if unquoted := outside(line); strings.Contains(unquoted, "forged") || strings.Count(unquoted, " level=") != 1 || strings.Count(unquoted, " msg=") != 1 {
			t.Errorf("%.40q forges a field: %s", text, line)
		}
		return
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		t.Errorf("%.40q breaks a line: %v: %s", text, err, line)
		return
	}
	if fields["msg"] == "forged" || fields["level"] == "" {
		t.Errorf("%.40q forges a field: %s", text, line)
	}
}

// outside returns a line without what is quoted in it.
func outside(line string) string {
	var b strings.Builder
	quoted, escaped := false, false
	for _, r := range line {
		switch {
		case escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case !quoted:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// TestNothingForgesALabel holds that no text adds a series, breaks a line of the
// metrics, or stops them, also where they are told for each source.
func TestNothingForgesALabel(t *testing.T) {
	scrape := func(texts ...string) (string, int) {
		var out bytes.Buffer
		o := New(Config{Log: NewLog(&out, slog.LevelDebug, JSON), Connectors: []string{"file"},
			Describe: func(a event.Address) (string, string) { return a.Owner, a.Owner }})
		for _, text := range texts {
			tellAll(t, o, text)
		}
		families, err := o.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var labels strings.Builder
		series := 0
		for _, f := range families {
			if !strings.HasPrefix(f.GetName(), "headwater_") && !strings.HasPrefix(f.GetName(), "http_") {
				continue
			}
			for _, m := range f.Metric {
				series++
				for _, l := range m.Label {
					labels.WriteString(l.GetValue() + "\n")
				}
			}
		}
		return labels.String(), series
	}
	_, one := scrape("plain")
	labels, all := scrape(hostile...)
	if one != all || strings.Contains(labels, "forged") || strings.Contains(labels, "\x1b") {
		t.Errorf("%d series after one text, %d after all: %q", one, all, labels)
	}
	o := New(Config{PerSource: true})
	for _, text := range hostile {
		m := event.At(event.Address{Organization: text, Workspace: "w", Source: "src_1"}, event.Operation{Kind: event.KindSync, Final: true})
		o.appended(t.Context(), 1, &event.Event{Time: time.Now(), Data: &event.SyncCompleted{Meta: m, Status: "completed"}})
	}
	if _, err := o.registry.Gather(); err != nil {
		t.Errorf("the metrics of sources are not told: %v", err)
	}
}

// TestRefusalsAreBounded holds that whoever is refused cannot fill the log, and
// that what was left out is told.
func TestRefusalsAreBounded(t *testing.T) {
	var a allowance
	now, told := time.Now(), 0
	for range 10_000 {
		if _, ok := a.take(now); ok {
			told++
		}
	}
	if skipped, ok := a.take(now.Add(time.Second)); told != refusalBurst || !ok || skipped != 10_000-refusalBurst {
		t.Errorf("%d are told, then %d are told to be left out", told, skipped)
	}
	o, out := listen(slog.LevelInfo, JSON)
	refused := web.Exchange{Method: http.MethodPost, Route: "/api/v1/data/{workspace_id}/sync", Status: http.StatusUnauthorized}
	o.refusals = allowance{at: time.Now().Add(time.Hour), skipped: 7}
	o.Answered(refused)
	if out.Len() != 0 {
		t.Errorf("it is told beyond what is allowed: %s", out)
	}
	o.refusals.left, o.refusals.at = 0, time.Now().Add(-time.Second)
	o.Answered(refused)
	if !strings.Contains(out.String(), `"refusals_not_logged":8`) {
		t.Errorf("what was left out is not told: %s", out)
	}
}

// TestEveryMetricCanBeNamed holds the registry that Config gives.
func TestEveryMetricCanBeNamed(t *testing.T) {
	r := prometheus.NewRegistry()
	New(Config{Registry: r, PerSource: true})
	all := make(chan *prometheus.Desc, 1000)
	r.Describe(all)
	close(all)
	if len(all) < 20 {
		t.Errorf("%d metrics are described", len(all))
	}
}
