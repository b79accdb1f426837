package bustest

import (
	"encoding/json"
	"testing"

	"headwater/bus/event"
	"headwater/bus/schemas"
)

// Every schema is one, and an event that breaks its own is not published.
func TestEverySchemaIsOne(t *testing.T) {
	of, err := compile()
	if err != nil {
		t.Fatal(err)
	}
	documents, err := schemas.All()
	if err != nil || len(documents) == 0 {
		t.Fatalf("%d schemas, %v", len(documents), err)
	}
	for name := range documents {
		if _, err := of(name); err != nil {
			t.Error(err)
		}
	}
	tested := &event.ConnectionTested{Meta: event.At(event.Address{Organization: "acme", Workspace: "w", Owner: "ada", Source: "tst_1"}, event.Operation{ID: "op_1", Kind: event.KindTest, Targets: 1, Final: true}), Connector: "api"}
	whole, err := json.Marshal(tested)
	if err != nil {
		t.Fatal(err)
	}
	before := event.Checked
	defer func() { event.Checked = before }()
	CheckEvents()
	for body, valid := range map[string]bool{`{"connector":7}`: false, `{`: false, string(whole): true} {
		if err := event.Checked(tested.EventName(), []byte(body)); (err == nil) != valid {
			t.Errorf("%s: %v", body, err)
		}
	}
	if event.Checked("Nothing", []byte("{}")) == nil {
		t.Error("an event without a schema is published")
	}
}
