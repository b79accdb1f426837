package handlers

import (
	"testing"

	"headwater/bus/command"
)

// TestEveryCommandHasAVerb holds that whatever may be asked is carried out by a
// handler and given up in a way that somebody has decided.
func TestEveryCommandHasAVerb(t *testing.T) {
	table := verbs()
	for _, c := range command.All() {
		name := c.CommandName()
		v, there := table[name]
		if !there {
			t.Errorf("%s has no row in verbs: nothing carries it out", name)
			continue
		}
		if v.handle == nil || v.concurrency < 1 {
			t.Errorf("%s: no handler, or none at a time", name)
		}
		if v.failed == nil {
			t.Errorf("%s: nothing says how its target ends when it is given up", name)
		}
		delete(table, name)
	}
	for name := range table {
		t.Errorf("%s has a row in verbs and is no command", name)
	}
}
