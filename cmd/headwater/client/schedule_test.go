package client

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"headwater/cmd/headwater/client/clienttest"
	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
)

const (
	scheduled = `{"status":"success","message":"airports is synced every day at 02:30 in UTC","data":{"source_id":"src_a","schedule":{"cron":"30 2 * * *","time_zone":"UTC",
		"missed":"once","overlap":"attach","paused":false,"sync_options":{"mode":"incremental"},"sentence":"every day at 02:30 in UTC","next_run":"2026-01-03T02:30:00Z",
		"next_runs":["2026-01-03T02:30:00Z","2026-01-04T02:30:00Z"],"last_run":{"due":"2026-01-02T02:30:00Z","late_ms":61500,"outcome":"missed","runs":3,"sync_id":null,"message":"no worker was there"}}}}`
	unscheduled = `{"status":"success","message":"airports has no schedule","data":{"source_id":"src_a","schedule":null}}`
)

func scheduleService(t *testing.T, answer string) *clienttest.Service {
	says := func(w http.ResponseWriter, _ *http.Request) { clienttest.Envelope(w, 200, answer) }
	return clienttest.New(t, map[string]http.HandlerFunc{
		"GET /data/w1/list":                      clienttest.Says(clienttest.TwoSources),
		"GET /data/w1/sources/src_a/schedule":    says,
		"PUT /data/w1/sources/src_a/schedule":    says,
		"DELETE /data/w1/sources/src_a/schedule": says,
	})
}

func scheduleOf(api *clienttest.Service) scheduleCall {
	return scheduleCall{ClientFlags{URL: api.URL, Token: "the-token", Workspace: "w1", Scope: "user"}, "airports"}
}

func TestScheduleShows(t *testing.T) {
	api := scheduleService(t, scheduled)
	s, out, _ := clienttest.Streams("")
	if err := (&ScheduleShowCmd{scheduleOf(api)}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	at := func(text string) string {
		moment, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return moment.Local().Format("Mon " + time.DateTime + " MST")
	}
	clienttest.Same(t, "output", out.String(), `
airports is synced every day at 02:30 in UTC
next   `+at("2026-01-03T02:30:00Z")+`
       `+at("2026-01-04T02:30:00Z")+`
last   `+at("2026-01-02T02:30:00Z")+`  missed, 3 runs, 1m1s late  no worker was there
`)
}

// What became of the last run is what became of its sync.
func TestScheduleTellsHowTheLastRunEnded(t *testing.T) {
	run := `"outcome":"started","runs":1,"sync_id":"syn_a","operation_id":"op_1","message":null`
	began := strings.Replace(scheduled, `"outcome":"missed","runs":3,"sync_id":null,"message":"no worker was there"`, run, 1)
	for operation, want := range map[string]string{
		`{"operation_id":"op_1","kind":"sync","status":"failed","targets":[{"source_id":"src_a","status":"failed","reason":"unreachable","message":"nobody answers"}]}`: "syn_a  failed: unreachable: nobody answers",
		clienttest.OpDone: "syn_a  completed",
		"":                "syn_a", // nobody knows it any more
	} {
		api := scheduleService(t, began)
		if operation != "" {
			api.Routes["GET /data/w1/operations/op_1"] = clienttest.Looks(operation)
		}
		s, out, _ := clienttest.Streams("")
		if err := (&ScheduleShowCmd{scheduleOf(api)}).Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if line := strings.TrimSpace(out.String()[strings.Index(out.String(), "last "):]); !strings.HasSuffix(line, "started, 1m1s late  "+want) {
			t.Errorf("%q, want %q", line, want)
		}
	}
}

func TestScheduleChanges(t *testing.T) {
	api := scheduleService(t, scheduled)
	s, _, _ := clienttest.Streams("")
	for _, c := range []struct {
		run  func() error
		call string
		body string
	}{
		{func() error {
			return (&ScheduleSetCmd{scheduleCall: scheduleOf(api), Cron: "30 2 * * *", Jitter: "10m", SyncFlags: flags.SyncFlags{Incremental: true}}).Run(t.Context(), s)
		}, "PUT", `{"cron":"30 2 * * *","jitter":"10m","paused":false,"sync_options":{"mode":"incremental"}}`},
		{func() error {
			return (&ScheduleSetCmd{scheduleCall: scheduleOf(api), After: "airports"}).Run(t.Context(), s)
		}, "PUT", `{"after":"src_a","paused":false}`},
		{func() error { return (&SchedulePauseCmd{scheduleOf(api)}).Run(t.Context(), s) }, "PUT",
			`{"cron":"30 2 * * *","missed":"once","overlap":"attach","paused":true,"sync_options":{"mode":"incremental"},"time_zone":"UTC"}`},
		{func() error { return (&ScheduleResumeCmd{scheduleOf(api)}).Run(t.Context(), s) }, "PUT",
			`{"cron":"30 2 * * *","missed":"once","overlap":"attach","paused":false,"sync_options":{"mode":"incremental"},"time_zone":"UTC"}`},
		{func() error { return (&ScheduleRemoveCmd{scheduleOf(api)}).Run(t.Context(), s) }, "DELETE", ""},
	} {
		if err := c.run(); err != nil {
			t.Errorf("%s: %v", c.body, err)
		}
		asked := api.Asked(c.call + " /data/w1/sources/src_a/schedule")
		if last := asked[len(asked)-1]; last.Body != c.body || last.Query != "scope=user" {
			t.Errorf("asked %s?%s with %s, want %s", last.Route, last.Query, last.Body, c.body)
		}
	}
	if err := (&ScheduleSetCmd{scheduleCall: scheduleOf(api)}).Run(t.Context(), s); exit.Code(err) != exit.Usage || !strings.Contains(err.Error(), "--every 1h") {
		t.Errorf("no time: %v", err)
	}
	none := scheduleService(t, unscheduled)
	if err := (&SchedulePauseCmd{scheduleOf(none)}).Run(t.Context(), s); exit.Code(err) != exit.Refused || !strings.Contains(err.Error(), "schedule set") {
		t.Errorf("pause of none: %v", err)
	}
}

// TestListTellsOfSchedules: sources that are synced by themselves say when.
func TestListTellsOfSchedules(t *testing.T) {
	now := time.Date(2026, 1, 3, 2, 0, 0, 0, time.UTC)
	due, late := now.Add(30*time.Minute), now.Add(-10*time.Minute)
	_, out, _ := clienttest.Streams("")
	g := SourceGrid([]rest.SourceDoc{
		{Name: "a", ID: "src_a"}, {Name: "b", ID: "src_b", Schedule: &rest.ScheduleDoc{NextRun: &due}}, {Name: "c", ID: "src_c", Schedule: &rest.ScheduleDoc{NextRun: &late}},
		{Name: "d", ID: "src_d", Schedule: &rest.ScheduleDoc{Paused: true, NextRun: &due}}, {Name: "e", ID: "src_e", Schedule: &rest.ScheduleDoc{Sentence: "after each sync of a"}},
	}, now)
	if err := g.Print(out, ""); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NEXT", "30 minutes from now", "late since 10 minutes ago", "paused", "after each sync of a"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
