package command

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"headwater/bus/event"
)

// TestRegistryIsWhole holds that every type with a name of a command is in the
// list that everybody else is held against, and every kind of operation consists
// of one command.
func TestRegistryIsWhole(t *testing.T) {
	var names []string
	for _, d := range All() {
		names = append(names, d.CommandName())
		if back := New(d.CommandName()); back == nil || back.CommandName() != d.CommandName() {
			t.Errorf("New(%q) is %T", d.CommandName(), back)
		}
	}
	declared := 0
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if file.IsDir() {
			continue
		}
		source, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`(?m)^func \(\*(\w+)\) CommandName\(\)`).FindAllSubmatch(source, -1) {
			if declared++; !slices.Contains(names, string(found[1])) {
				t.Errorf("the registry lacks %s", found[1])
			}
		}
	}
	if declared != len(names) {
		t.Errorf("%d commands are declared, %d are in the registry", declared, len(names))
	}
	byItself := map[string]bool{"FireSchedule": true, "FollowSource": true, "ReleaseChanges": true} // nobody asks for them
	of := map[string]int{}
	for _, kind := range event.Kinds() {
		name := ForKind(kind)
		if of[name]++; (name == "") != (kind == event.KindRequest) {
			t.Errorf("an operation of kind %s consists of %q", kind, name)
		}
	}
	for _, name := range names {
		if of[name] == 0 && !byItself[name] {
			t.Errorf("no kind of operation consists of %s", name)
		}
	}
}
