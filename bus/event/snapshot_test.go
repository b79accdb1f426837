package event

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestSnapshotIDIsReadFromBoth: payloads of every build are read, those that
// have the id as a number, and those that have it as text.
func TestSnapshotIDIsReadFromBoth(t *testing.T) {
	for body, want := range map[string]SnapshotID{
		`{"snapshot_id":5937117119577207001}`:                                  5937117119577207001,
		`{"snapshot_id":"5937117119577207001"}`:                                5937117119577207001,
		`{"snapshot_id":5937117119577207001,"snapshot":"5937117119577207001"}`: 5937117119577207001,
		`{"snapshot_id":null}`:                                                 0,
		`{}`:                                                                   0,
	} {
		var progressed SyncProgressed
		var verified TableVerified
		if err := decode(`{"table":`+body+`}`, &progressed); err != nil || progressed.Table.SnapshotID != want {
			t.Errorf("%s: %d, %v", body, progressed.Table.SnapshotID, err)
		}
		if err := decode(`{"table":`+body+`}`, &verified); err != nil || verified.Table.SnapshotID != want {
			t.Errorf("%s: %d, %v", body, verified.Table.SnapshotID, err)
		}
	}
	for _, body := range []string{`{"snapshot_id":""}`, `{"snapshot_id":1.5}`, `{"snapshot_id":"9223372036854775808"}`, `{"snapshot_id":[]}`, `{"snapshot_id":true}`} {
		if err := decode(`{"table":`+body+`}`, new(SyncProgressed)); err == nil {
			t.Errorf("%s was read", body)
		}
	}
}

// TestNoNumberIsRounded: what a payload says beyond 2^53 stands in it as text,
// too.
func TestNoNumberIsRounded(t *testing.T) {
	for name, d := range examples() {
		body, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), `"snapshot_id":`) && !strings.Contains(string(body), `"snapshot":"5937117119577207001"`) {
			t.Errorf("%s has no text for its snapshot: %s", name, body)
		}
	}
}
