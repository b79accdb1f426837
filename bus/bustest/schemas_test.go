package bustest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"headwater/bus/command"
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
	var published []string
	for _, e := range event.All() {
		published = append(published, e.EventName())
	}
	for _, c := range command.All() {
		published = append(published, c.CommandName())
	}
	if len(published) != len(documents) {
		t.Errorf("%d schemas of %d events and commands", len(documents), len(published))
	}
	for _, name := range published {
		if schema, err := of(name); err != nil {
			t.Error(err)
		} else if schema.ID != event.DataSchema(name)+"#" && schema.ID != event.DataSchema(name) {
			t.Errorf("the schema of %s is called %s", name, schema.ID)
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
	made := &event.TokenCreated{Meta: tested.Meta, Name: "engine", Role: "viewer", Hash: "0f", ExpiresAt: time.Unix(1<<30, 0).UTC()}
	dated, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	const expires = `"2004-01-10T13:37:04Z"`
	for _, c := range []struct {
		of    event.Data
		body  string
		valid bool
	}{
		{tested, string(whole), true},
		{tested, strings.Replace(string(whole), "{", `{"later": [1], `, 1), true}, // readers ignore fields that they do not know
		{tested, strings.Replace(string(whole), `"api"`, "7", 1), false},
		{tested, strings.Replace(string(whole), `"connector":"api"`, `"other":"api"`, 1), false},
		{tested, string(whole[1:]), false},
		{tested, "{}", false},
		{made, string(dated), true},
		{made, strings.Replace(string(dated), expires, `"tomorrow"`, 1), false},
	} {
		if err := event.Checked(c.of.EventName(), []byte(c.body)); (err == nil) != c.valid {
			t.Errorf("%s %s: %v", c.of.EventName(), c.body, err)
		}
	}
	if event.Checked("Nothing", []byte("{}")) == nil {
		t.Error("an event without a schema is published")
	}
}
