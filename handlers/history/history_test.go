package history

import "testing"

func TestEventIDs(t *testing.T) {
	id := EventID("c", "SyncCompleted", "")
	if id != EventID("c", "SyncCompleted", "") || len(id) != 36 || id[14] != '8' {
		t.Errorf("%s is no stable UUID of version 8", id)
	}
	// Parts that run together must not make one id.
	seen := map[string]bool{}
	for _, parts := range [][3]string{{"ab", "c", ""}, {"a", "bc", ""}, {"a", "b", "c"}, {"", "abc", ""}} {
		seen[EventID(parts[0], parts[1], parts[2])] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d ids for 4 events", len(seen))
	}
}
