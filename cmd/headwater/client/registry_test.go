package client

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"headwater/bus/event"
)

// TestEveryEventIsDescribed holds that 'headwater events' says of every event more
// than its name.
func TestEveryEventIsDescribed(t *testing.T) {
	for _, d := range event.All() {
		fields := reflect.ValueOf(d).Elem()
		for i := range fields.NumField() {
			if fields.Field(i).Kind() == reflect.String {
				fields.Field(i).SetString("x")
			}
		}
		body, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if (eventDoc{Type: event.Type(d.EventName()), Data: body}).what() == "" {
			t.Errorf("what has no words for %s", d.EventName())
		}
	}
}

// asks is the command that asks for each kind of operation, "" for those that
// nobody asks for.
var asks = map[string]string{
	event.KindConnect: "Connect", event.KindUpdate: "Update", event.KindTest: "Test", event.KindSync: "Sync", event.KindCancel: "Cancel",
	event.KindCleanup: "Cleanup", event.KindRestore: "Restore", event.KindVerify: "Verify", event.KindMaintain: "Maintain", event.KindRename: "Rename", event.KindSchedule: "Schedule",
	event.KindDiscover: "Schema", // with --refresh
	event.KindPurge:    "", event.KindRequest: "",
}

// TestEveryKindHasItsCommand holds that whatever a service can be asked to do can
// be asked for here, and that operations can be listed by every kind.
func TestEveryKindHasItsCommand(t *testing.T) {
	kind, _ := reflect.TypeFor[OperationsCmd]().FieldByName("Kind")
	listed := strings.Split(kind.Tag.Get("enum"), ",")
	for _, kind := range event.Kinds() {
		command, thought := asks[kind]
		if _, there := reflect.TypeFor[Commands]().FieldByName(command); !thought || command != "" && !there {
			t.Errorf("no command asks for an operation of kind %s", kind)
		}
		if !slices.Contains(listed, kind) && kind != event.KindRequest { // a request is no operation
			t.Errorf("'operations --kind' does not take %s", kind)
		}
	}
	for _, kind := range listed {
		if kind != "" && !slices.Contains(event.Kinds(), kind) {
			t.Errorf("'operations --kind' takes %s, which there is none of", kind)
		}
	}
}
