package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"headwater/cmd/headwater/client"
	"headwater/cmd/headwater/client/clienttest"
	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/client/settings"
	"headwater/cmd/headwater/demo"
	"headwater/cmd/headwater/terminal"
)

// liveDemo runs the demo on the real service until the test ends and returns
// what it printed up to then.
func liveDemo(t *testing.T) string {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	serving, done := make(chan struct{}), make(chan error, 1)
	s, out, errs := clienttest.Streams("")
	s.Out = clienttest.WriterFunc(func(p []byte) (int, error) {
		n, err := out.Write(p)
		if bytes.Contains(p, []byte("Serving until Ctrl-C.")) {
			close(serving)
		}
		return n, err
	})
	go func() {
		done <- (&demo.Cmd{Listen: "127.0.0.1:0", DataDir: t.TempDir()}).Run(ctx, s, startDemo)
	}()
	select {
	case <-serving:
	case err := <-done:
		t.Fatalf("the demo ended: %v\n%s%s", err, out, errs)
	case <-time.After(2 * time.Minute):
		t.Fatal("the demo does not get to its end")
	}
	t.Cleanup(func() {
		interrupt()
		if err := <-done; err != nil {
			t.Errorf("the demo failed: %v", err)
		}
	})
	return out.String()
}

// The tour works on the real service, and so does everything it prints to go on
// with, and every client command.
func TestDemoForReal(t *testing.T) {
	t.Parallel() // it waits more than it computes
	shown := liveDemo(t)
	t.Log(shown)
	for _, want := range []string{
		"✓ connect", "3 sources", "6,341 rows", "3,376", "1,707", "1,258", "zone_countries", "zone_id, country_code", "latitude float64",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not in the tour", want)
		}
	}
	export := regexp.MustCompile(`export HEADWATER_URL=(\S+) HEADWATER_WORKSPACE=(\S+) HEADWATER_TOKEN=(\S+)`).FindStringSubmatch(shown)
	if export == nil {
		t.Fatal("no line to export")
	}
	shared := client.ClientFlags{URL: export[1], Workspace: export[2], Token: export[3], Scope: "user"}
	tryCurlLines(t, shown, shared)

	run := func(cmd interface {
		Run(context.Context, terminal.Streams) error
	}) string {
		t.Helper()
		s, out, errs := clienttest.Streams("")
		if err := cmd.Run(t.Context(), s); err != nil {
			t.Errorf("%T: %v\n%s", cmd, err, errs)
		}
		t.Logf("%T\n%s%s", cmd, errs, out)
		return out.String()
	}
	for _, test := range []struct {
		cmd interface {
			Run(context.Context, terminal.Streams) error
		}
		want string
	}{
		{&client.ConnectorsCmd{ClientFlags: shared}, "sqlite"},
		{&client.ConnectorsCmd{ClientFlags: shared, Connector: "api"}, "api_key"},
		{&client.ListCmd{ClientFlags: shared, Name: "airports"}, "3,376"},
		{&client.SchemaCmd{ClientFlags: shared, Source: "timezones"}, "zone_id, country_code"},
		{&client.SchemaCmd{ClientFlags: shared, Source: "timezones", Table: "zones"}, "latitude"},
		{&client.TestCmd{ClientFlags: shared, SourceFlags: settings.SourceFlags{Type: "file", Config: []string{"path=airports.csv"}}}, "read"},
		{&client.ConnectCmd{ClientFlags: shared, Name: "again", SourceFlags: settings.SourceFlags{Type: "csv", Config: []string{"path=airports.csv"}}}, "again"},
		{&client.SyncCmd{ClientFlags: shared, Sources: []string{"again"}, SyncFlags: flags.SyncFlags{Mode: "full_refresh"}}, "3,376 rows"},
		{&client.SyncsCmd{ClientFlags: shared, Source: "again", Limit: 5}, "completed"},
		{&client.CleanupCmd{ClientFlags: shared, Sources: []string{"again"}, DryRun: true}, "would remove again"},
		{&client.CleanupCmd{ClientFlags: shared, Sources: []string{"again"}}, "removed again"},
		{&client.CleanupCmd{ClientFlags: shared, Yes: true}, "removed timezones"},
		{&client.ListCmd{ClientFlags: shared}, "no sources"},
	} {
		if got := run(test.cmd); !strings.Contains(got, test.want) {
			t.Errorf("%T: %q is not in\n%s", test.cmd, test.want, got)
		}
	}
	s, _, _ := clienttest.Streams("")
	err := (&client.TestCmd{ClientFlags: shared, SourceFlags: settings.SourceFlags{Type: "file", Config: []string{"path=nowhere.csv"}}}).Run(t.Context(), s)
	if err == nil || !strings.Contains(err.Error(), "nowhere.csv") {
		t.Errorf("a test of a missing file: %v", err)
	}
}

// With --postgres the tour has a fourth source, whose password is shown nowhere.
func TestDemoWithPostgres(t *testing.T) {
	t.Parallel() // it waits more than it computes
	pg := samplePostgres(t, 5_000)
	s, out, errs := clienttest.Streams("")
	err := (&demo.Cmd{Once: true, Listen: "127.0.0.1:0", DataDir: t.TempDir(), Postgres: fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=disable",
		pg.User, url.QueryEscape(pg.Password), pg.Host, pg.Port, pg.Database)}).Run(t.Context(), s, startDemo)
	t.Log(out)
	if err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	for _, want := range []string{"4 sources", "postgres: public.orders: 5,000 rows", "public.big_orders  view"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the tour", want)
		}
	}
	if strings.Contains(out.String()+errs.String(), pg.Password) {
		t.Error("the password is shown")
	}
}

// tryCurlLines makes the requests of the printed curl lines.
func tryCurlLines(t *testing.T, shown string, shared client.ClientFlags) {
	t.Helper()
	lines := regexp.MustCompile(`curl -s (?:-X (\w+) )?"\$HEADWATER_URL([^"]+)" -H "Authorization: Bearer \$HEADWATER_TOKEN"(?: -H "Content-Type: ([^"]+)" -d '([^']+)')?`).
		FindAllStringSubmatch(shown, -1)
	if len(lines) != strings.Count(shown, "curl ") || len(lines) == 0 {
		t.Errorf("read %d of %d curl lines", len(lines), strings.Count(shown, "curl "))
	}
	for _, line := range lines {
		method := line[1]
		if method == "" {
			method = http.MethodGet
		}
		request, err := http.NewRequestWithContext(t.Context(), method, shared.URL+line[2], strings.NewReader(line[4]))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+shared.Token)
		if line[3] != "" {
			request.Header.Set("Content-Type", line[3])
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != 200 || !bytes.Contains(body, []byte(`"success"`)) {
			t.Errorf("%s: %s %s %v", line[0], response.Status, body, err)
		}
	}
}
