package syncing

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestNotesAreBounded(t *testing.T) {
	run := &tableRun{}
	for i := range 100 {
		run.note(fmt.Sprintf("note %d of %s", i, strings.Repeat("ä", 400)))
	}
	run.note("note 1")
	notes := run.notes()
	if len(notes) != maxNotes {
		t.Errorf("%d notes", len(notes))
	}
	for _, n := range notes {
		if b, err := json.Marshal(n); len(n) > maxNoteSize || err != nil || strings.Contains(string(b), `�`) {
			t.Errorf("a note of %d bytes: %s", len(n), b)
		}
	}
}
