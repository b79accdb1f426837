package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"headwater/cmd/headwater/client/clienttest"
	"headwater/cmd/headwater/exit"
)

const oneEvent = `{"specversion":"1.0","id":"1","type":"headwater.SyncCompleted.v1","subject":"src_a","time":"2026-01-02T03:04:05Z","sequence":%d,
	"data":{"status":"completed","records_processed":3376,"bytes":2048,"duration_ms":1500}}`

func item(sequence int) string {
	return strings.ReplaceAll(fmt.Sprintf(oneEvent, sequence), "\n\t", "")
}

func TestEventsPrintsPages(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"GET /data/w1/list": clienttest.Says(clienttest.TwoSources),
		"GET /data/w1/events": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("cursor") == "" {
				clienttest.Envelope(w, 200, `{"status":"success","message":"done","data":[`+item(7)+`],"next_cursor":"7"}`)
				return
			}
			clienttest.Says("["+strings.Replace(item(9), "SyncCompleted", "SyncDreamt", 1)+"]")(w, r)
		},
	})
	s, out, _ := clienttest.Streams("")
	c := EventsCmd{URL: api.URL, Token: "the-token", Workspace: "w1", Type: []string{"SyncCompleted", "SyncFailed"}, Source: "airports", After: 3, Since: "2026-01-01T00:00:00Z"}
	if err := c.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Local().Format(time.DateTime)
	clienttest.Same(t, "output", strings.ReplaceAll(out.String(), at, "2026-01-02 03:04:05"), `
SEQUENCE  TIME                 EVENT                SOURCE                          WHAT
       7  2026-01-02 03:04:05  SyncCompleted        src_a                           completed: 3,376 rows, 2.0 KiB in 1.5 s
       9  2026-01-02 03:04:05  SyncDreamt           src_a
`)
	asked := api.Asked("GET /data/w1/events")
	if len(asked) != 2 || asked[0].Query != "after=3&limit=1000&since=2026-01-01T00%3A00%3A00Z&source_id=src_a&type=SyncCompleted%2CSyncFailed" || !strings.Contains(asked[1].Query, "cursor=7") {
		t.Errorf("asked %+v", asked)
	}
	c.Source = "nobody"
	if err := c.Run(t.Context(), s); err == nil || !strings.Contains(err.Error(), `no source "nobody" in workspace w1`) {
		t.Errorf("unknown source: %v", err)
	}
	c.Since = "yesterday"
	if err := c.Run(t.Context(), s); exit.Code(err) != exit.Usage || !strings.Contains(err.Error(), "such as 10m or 3d") {
		t.Errorf("unknown time: %v", err)
	}
	s, out, _ = clienttest.Streams("")
	c = EventsCmd{URL: api.URL, Token: "the-token", Workspace: "w1", JSON: true}
	if err := c.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 2 || !json.Valid([]byte(lines[0])) || lines[0] != item(7) {
		t.Errorf("JSON %q", out)
	}
}

// A stream that breaks off in the middle of an event, repeats one, or is
// refused for a while costs nothing; one that is refused for good is an error.
func TestEventsFollowsOverBrokenStreams(t *testing.T) {
	stream := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, text)
		}
	}
	sse := func(sequence int) string {
		return fmt.Sprintf("id: %d\nevent: SyncCompleted\ndata: %s\n\n", sequence, item(sequence))
	}
	answers := []http.HandlerFunc{
		stream("retry: 1000\n\n" + sse(1) + ": \n\n" + sse(2) + "data: " + item(3)[:40]),
		clienttest.Refuses(503, "starting", `[]`),
		stream(sse(2) + sse(3)),
		clienttest.Refuses(429, "too many", `[]`),
		stream(sse(4) + ": the token has expired\n\n"),
		clienttest.Refuses(401, "The token is not valid: it has expired", `[]`),
	}
	n := 0
	api := clienttest.New(t, map[string]http.HandlerFunc{"GET /data/w1/events": func(w http.ResponseWriter, r *http.Request) {
		n++
		answers[min(n, len(answers))-1](w, r)
	}})
	s, out, _ := clienttest.Streams("")
	err := (&EventsCmd{URL: api.URL, Token: "the-token", Workspace: "w1", JSON: true, Follow: true}).Run(t.Context(), s)
	if err == nil || !strings.Contains(err.Error(), "it has expired") {
		t.Errorf("got %v", err)
	}
	clienttest.Same(t, "output", out.String(), item(1)+"\n"+item(2)+"\n"+item(3)+"\n"+item(4)+"\n")
	var from []string
	for _, r := range api.Asked("GET /data/w1/events") {
		from = append(from, r.Header.Get("Last-Event-ID"))
	}
	if strings.Join(from, ",") != ",2,2,3,3,4" {
		t.Errorf("resumed after %q", from)
	}
	refused := clienttest.New(t, map[string]http.HandlerFunc{"GET /data/w1/events": clienttest.Refuses(503, "away", `[]`)})
	if err := (&EventsCmd{URL: refused.URL, Token: "the-token", Workspace: "w1", Follow: true}).Run(t.Context(), s); err == nil {
		t.Error("a service that is away at first is no error")
	}
}
