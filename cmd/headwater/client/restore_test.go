package client

import (
	"net/http"
	"strings"
	"testing"

	"headwater/cmd/headwater/client/clienttest"
)

// byRemoved answers a list: what is there, or what was removed.
func byRemoved(there, removed string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("removed") == "true" {
			clienttest.Says(removed)(w, r)
			return
		}
		clienttest.Says(there)(w, r)
	}
}

const removedSources = `[
	{"id":"src_x","name":"crm","type":"database","connector":"postgresql","status":"removed","tables":2,"records":10,"removed_at":"2026-03-01T12:00:00Z","destroyed_after":"2026-03-08T12:00:00Z"},
	{"id":"src_y","name":"old","type":"file","connector":"file","status":"removed","destroyed_after":"2026-03-08T12:00:00Z"},
	{"id":"src_z","name":"old","type":"file","connector":"file","status":"removed","destroyed_after":"2026-03-09T12:00:00Z"}]`

func TestRestoreCommand(t *testing.T) {
	for name, test := range map[string]struct {
		cmd                  RestoreCmd
		answer               string
		request, out, failed string
	}{
		"by name": {cmd: RestoreCmd{Sources: []string{"crm"}}, answer: `{"restored_count":1,"restored_sources":["src_x"]}`,
			request: `{"scope":"user","source_ids":["src_x"]}`, out: "restored crm  src_x\n"},
		"renamed": {cmd: RestoreCmd{Sources: []string{"src_y"}, Rename: "older"}, answer: `{"restored_count":1,"restored_sources":["src_y"]}`,
			request: `{"names":{"src_y":"older"},"scope":"user","source_ids":["src_y"]}`, out: "restored old  src_y\n"},
		"as of": {cmd: RestoreCmd{AsOf: "17", DryRun: true}, answer: `{"restored_count":1,"restored_sources":["src_z"],"dry_run":true}`,
			request: `{"as_of":"17","dry_run":true,"scope":"user"}`, out: "would restore old  src_z\n"},
		"some": {cmd: RestoreCmd{Sources: []string{"src_x", "src_y"}}, answer: `{"restored_count":0,"restored_sources":[],"unchanged_sources":["src_x"],"failed_sources":[{"name":"old","error":"it is destroyed"}]}`,
			request: `{"scope":"user","source_ids":["src_x","src_y"]}`, out: "is there already src_x\n", failed: "not restored: old: it is destroyed"},
		"nothing":   {cmd: RestoreCmd{}, failed: "name the sources to restore, or give --as-of; 'headwater list --removed' shows what can be restored"},
		"both":      {cmd: RestoreCmd{Sources: []string{"crm"}, AsOf: "17"}, failed: "name the sources to restore, or give --as-of; 'headwater list --removed' shows what can be restored"},
		"ambiguous": {cmd: RestoreCmd{Sources: []string{"old"}}, failed: `several sources are named "old"; give the id of the one you mean: src_y (removed, named old), src_z (removed, named old)`},
		"mistaken":  {cmd: RestoreCmd{Sources: []string{"new"}}, failed: `no removed source "new" with scope user in workspace w1; 'headwater list --removed' shows what can be restored`},
	} {
		t.Run(name, func(t *testing.T) {
			api := clienttest.New(t, map[string]http.HandlerFunc{
				"GET /data/w1/list":     byRemoved(clienttest.TwoSources, removedSources),
				"POST /data/w1/restore": clienttest.Says(test.answer),
			})
			s, out, _ := clienttest.Streams("")
			test.cmd.ClientFlags = flagsFor(api)
			failed := ""
			if err := test.cmd.Run(t.Context(), s); err != nil {
				failed = err.Error()
			}
			clienttest.Same(t, "error", failed, test.failed)
			clienttest.Same(t, "output", out.String(), test.out)
			sent := ""
			for _, r := range api.Asked("POST /data/w1/restore") {
				sent += r.Body
			}
			clienttest.Same(t, "request", sent, test.request)
		})
	}
}

func TestCleanupPurgesWhatIsRemoved(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"GET /data/w1/list":     byRemoved(clienttest.TwoSources, `[{"id":"src_y","name":"old"}]`),
		"POST /data/w1/cleanup": clienttest.Says(`{"deleted_count":1,"deleted_sources":["src_y"]}`),
	})
	s, out, _ := clienttest.Streams("")
	if err := (&CleanupCmd{ClientFlags: flagsFor(api), Sources: []string{"old"}, Purge: true}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	clienttest.Same(t, "output", out.String(), "removed old  src_y\n")
	clienttest.Same(t, "request", api.Asked("POST /data/w1/cleanup")[0].Body, `{"purge":true,"scope":"user","source_ids":["src_y"]}`)
	s, _, _ = clienttest.Streams("n\n")
	if err := (&CleanupCmd{ClientFlags: flagsFor(api), Purge: true}).Run(t.Context(), s); err == nil || len(api.Asked("POST /data/w1/cleanup")) != 1 {
		t.Errorf("all were purged without a yes: %v", err)
	}
}

// A name that several sources have, or one has that looks like an id, removes no other.
func TestCleanupOfANameThatSeveralHave(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"GET /data/w1/list":     byRemoved(`[{"id":"src_x","name":"shop","status":"connected"},{"id":"src_w","name":"src_orders","status":"connected"}]`, `[{"id":"src_y","name":"shop","status":"removed"}]`),
		"POST /data/w1/cleanup": clienttest.Says(`{"deleted_count":1,"deleted_sources":["src_w"]}`),
	})
	s, _, _ := clienttest.Streams("")
	err := (&CleanupCmd{ClientFlags: flagsFor(api), Sources: []string{"shop"}, Purge: true}).Run(t.Context(), s)
	if err == nil || !strings.Contains(err.Error(), "src_x (connected, named shop), src_y (removed, named shop)") || len(api.Asked("POST /data/w1/cleanup")) != 0 {
		t.Errorf("two of one name: %v", err)
	}
	if err := (&CleanupCmd{ClientFlags: flagsFor(api), Sources: []string{"src_orders"}, Purge: true}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	clienttest.Same(t, "request", api.Asked("POST /data/w1/cleanup")[0].Body, `{"purge":true,"scope":"user","source_ids":["src_w"]}`)
}

func TestListRemoved(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{"GET /data/w1/list": byRemoved(clienttest.TwoSources, removedSources)})
	s, out, _ := clienttest.Streams("")
	if err := (&ListCmd{ClientFlags: flagsFor(api), Removed: true}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"UNTIL", "2026-03-08T12:00:00Z", "src_z"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}
