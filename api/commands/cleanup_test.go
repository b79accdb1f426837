package commands

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"headwater/api/idempotency"
	"headwater/api/jobs"
	"headwater/api/web"
	"headwater/bus/event"
	"headwater/projections"
)

// A purge is answered by what became of the files: never "Removed" where some are
// left, and with what the bucket keeps.
func TestAnswersOfAPurge(t *testing.T) {
	j := &jobs.Job{Targets: []idempotency.Target{{SourceID: "src_a", Name: "a"}}}
	answered := func(status, message string, d event.Destruction) (string, map[string]any, error) {
		t.Helper()
		g := projections.Target{SourceID: "src_a", Status: status, Reason: d.Reason, Message: message, Result: &projections.Result{Purged: true, Destruction: &d}}
		a, err := composeCleanup(nil, j, projections.Operation{ID: "op_1", Targets: []projections.Target{g}})
		var f *web.Failure
		if errors.As(err, &f) {
			a = f.Answer()
		}
		var body struct {
			Message string
			Data    map[string]any
		}
		if err := json.Unmarshal(a.Body, &body); err != nil {
			t.Fatal(err)
		}
		return body.Message, body.Data, err
	}
	message, data, err := answered(projections.StatusFailed, "2 files removed, 3 still in the lake: DeleteObject x: 403 AccessDenied",
		event.Destruction{Status: event.FilesRemaining, Files: 2, Remaining: 3, Reason: event.ReasonStorage})
	purged, _ := data["purged_sources"].([]any)
	if err == nil || !strings.HasPrefix(message, "Not everything was removed: 2 files removed, 3 still") || data["deleted_count"] != 0.0 || len(purged) != 1 {
		t.Fatalf("files are left: %v: %s: %v", err, message, data)
	}
	if one := purged[0].(map[string]any); one["files_remaining"] != 3.0 || one["files_removed"] != 2.0 || one["source_id"] != "src_a" {
		t.Errorf("%v", one)
	}
	message, data, err = answered(projections.StatusCompleted, "", event.Destruction{Status: event.Destroyed, Files: 5, Kept: 5, Message: "the bucket keeps 5 former versions: as told"})
	if err != nil || message != "Removed 1 data source; a: the bucket keeps 5 former versions: as told" || data["deleted_count"] != 1.0 {
		t.Errorf("versions are kept: %v: %s: %v", err, message, data)
	}
}
