package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"headwater/cmd/headwater/ops"
)

// metricNames returns the names of all metrics of a node.
func metricNames(t *testing.T) []string {
	t.Helper()
	r := prometheus.NewRegistry()
	ops.New(ops.Config{Registry: r, PerSource: true})
	all := make(chan *prometheus.Desc, 1000)
	r.Describe(all)
	for _, part := range (parts{}).gauges() {
		part.Describe(all)
	}
	close(all)
	var names []string
	for d := range all {
		found := regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())
		if found == nil {
			t.Fatalf("%s", d)
		}
		names = append(names, found[1])
	}
	return names
}

var (
	ours   = regexp.MustCompile(`\b(headwater|http_server|process)_[a-z0-9_]+`)
	suffix = regexp.MustCompile(`_(bucket|count|sum)$`)
)

// TestRulesAndDashboard holds that Prometheus takes the alert rules, that they
// fire when they should, and that the rules, the dashboard and the README name
// metrics that a node has.
func TestRulesAndDashboard(t *testing.T) {
	rules := filepath.Join("ops", "alerts.yaml")
	names := metricNames(t)
	for file, least := range map[string]int{rules: 12, filepath.Join("ops", "dashboard.json"): 18, "README.md": 6} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(file) == ".json" && !json.Valid(content) {
			t.Errorf("%s is no JSON", file)
		}
		seen := map[string]bool{}
		for _, name := range ours.FindAllString(string(content), -1) {
			seen[name] = true
			if !slices.Contains(names, name) && !slices.Contains(names, suffix.ReplaceAllString(name, "")) {
				t.Errorf("%s names %s, which no node has", file, name)
			}
		}
		if len(seen) < least {
			t.Errorf("%s names only %d metrics", file, len(seen))
		}
	}
	wholeDashboard(t)
	promtool(t, "", "check", "rules", rules)
	promtool(t, "", "test", "rules", filepath.Join("ops", "alerts_test.yaml"))
}

// wholeDashboard holds that the dashboard's panels say all that Grafana's schema of
// a dashboard requires of their kinds.
func wholeDashboard(t *testing.T) {
	t.Helper()
	required := map[string][]string{
		"row": nil, "timeseries": {"legend", "tooltip"}, "table": {"frameIndex", "showHeader"},
		"stat": {"graphMode", "colorMode", "justifyMode", "textMode", "wideLayout", "showPercentChange", "reduceOptions", "percentChangeColorMode", "orientation"},
	}
	content, err := os.ReadFile(filepath.Join("ops", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Type    string
			Options map[string]any
		}
		Templating struct {
			List []struct{ Current map[string]any }
		}
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatalf("the dashboard: %v", err)
	}
	for _, p := range dashboard.Panels {
		options, known := required[p.Type]
		if !known {
			t.Errorf("panel %d is a %q, of which this test knows nothing", p.ID, p.Type)
		}
		for _, name := range options {
			if _, there := p.Options[name]; !there {
				t.Errorf("panel %d, a %s, does not say %s", p.ID, p.Type, name)
			}
		}
	}
	for _, v := range dashboard.Templating.List {
		if v.Current["text"] == nil || v.Current["value"] == nil {
			t.Errorf("a variable has the value %v", v.Current)
		}
	}
}
