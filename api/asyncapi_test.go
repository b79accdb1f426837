package api

import (
	"maps"
	"slices"
	"testing"

	"gopkg.in/yaml.v3"

	"headwater/api/call"
	"headwater/bus/event"
)

type reference struct {
	Ref string `yaml:"$ref"`
}

// TestAsyncContract holds asyncapi.yaml and package event together: every event
// has its channel, its operation and its message, and nothing else does.
func TestAsyncContract(t *testing.T) {
	h := newHouse(t)
	anyone := caller{h, "", ""}
	r := anyone.get("/asyncapi.yaml")
	if r.Code != 200 || r.Header.Get("Content-Type") != "application/yaml" {
		t.Fatalf("%d %v", r.Code, r.Header)
	}
	var doc struct {
		AsyncAPI string
		Channels map[string]struct {
			Address    string
			Servers    []reference
			Parameters map[string]reference
			Messages   map[string]reference
		}
		Operations map[string]struct {
			Action  string
			Channel reference
		}
		Components struct {
			Parameters    map[string]any
			Schemas       map[string]any
			MessageTraits map[string]struct {
				Headers struct {
					Required   []string
					Properties map[string]any
				}
			} `yaml:"messageTraits"`
			Messages map[string]struct {
				Name    string
				Traits  []reference
				Payload reference
			}
		}
	}
	if err := yaml.Unmarshal([]byte(r.Raw), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.AsyncAPI != "3.0.0" {
		t.Errorf("version %q", doc.AsyncAPI)
	}
	all := doc.Channels["events"]
	headers := map[string]bool{}
	for _, e := range event.All() {
		name := e.EventName()
		message := "#/components/messages/" + name
		channel := doc.Channels[name]
		if channel.Address != event.SubjectPrefix+".{organization}.{workspace}.{owner}.{source}."+name || len(channel.Parameters) != 4 {
			t.Errorf("channel of %s: %+v", name, channel)
		}
		if channel.Messages[name].Ref != message || all.Messages[name].Ref != message {
			t.Errorf("%s is not in its channels", name)
		}
		if o := doc.Operations["publish"+name]; o.Action != "send" || o.Channel.Ref != "#/channels/"+name {
			t.Errorf("operation of %s: %+v", name, o)
		}
		m := doc.Components.Messages[name]
		if m.Name != name || m.Payload.Ref != "#/components/schemas/"+name || len(m.Traits) != 1 {
			t.Errorf("message %s: %+v", name, m)
		}
		if doc.Components.Schemas[name] == nil {
			t.Errorf("the document lacks the payload of %s", name)
		}
		if schema := anyone.get("/schemas/" + name + ".v1.json"); schema.Code != 200 {
			t.Errorf("the schema of %s is not served: %d", name, schema.Code)
		}
		for _, parameter := range channel.Parameters {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(doc.Components.Parameters)), func(p string) bool { return parameter.Ref == "#/components/parameters/"+p }) {
				t.Errorf("parameter %s", parameter.Ref)
			}
		}
	}
	n := len(event.All())
	for what, got := range map[string][2]int{
		"channels": {len(doc.Channels), n + 1}, "messages": {len(doc.Components.Messages), n}, "messages of all": {len(all.Messages), n}, "operations": {len(doc.Operations), n + 1},
	} {
		if got[0] != got[1] {
			t.Errorf("%d %s, want %d", got[0], what, got[1])
		}
	}
	trait := doc.Components.MessageTraits["cloudEvent"].Headers
	for name := range trait.Properties {
		headers[name] = true
	}
	for _, name := range append(event.Attributes(), event.HeaderSpecVersion, event.HeaderDataRef) {
		if !headers[name] {
			t.Errorf("the header %s is not described", name)
		}
	}
	if all.Address != call.BasePath+"/data/{workspace}/events" {
		t.Errorf("over HTTP at %q", all.Address)
	}
}
