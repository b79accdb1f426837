package api

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"headwater/bus/event"
	"headwater/bus/schemas"
)

// schemasBegin stands in asyncapi.yaml before what make golden writes.
const schemasBegin = "  # The payloads, from package event: make golden writes what follows.\n"

// TestAsyncSchemas holds the payloads in asyncapi.yaml against those of package
// event. They stand in it, so that a copy of the document needs nothing else.
func TestAsyncSchemas(t *testing.T) {
	byHand, written, found := strings.Cut(string(asyncapi), schemasBegin)
	if !found {
		t.Fatalf("asyncapi.yaml lacks %q", schemasBegin)
	}
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(map[string]any{"schemas": payloads(t)}); err != nil {
		t.Fatal(err)
	}
	want := "  " + strings.ReplaceAll(strings.TrimSpace(b.String()), "\n", "\n  ") + "\n"
	if *update {
		if err := os.WriteFile("asyncapi.yaml", []byte(byHand+schemasBegin+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if written != want {
		t.Errorf("asyncapi.yaml is not what package event publishes; run make golden:\n%s", cmp.Diff(written, want))
	}
}

// payloads returns the JSON Schemas of all events and of what they share, as
// components of one document.
func payloads(t *testing.T) map[string]any {
	t.Helper()
	documents, err := schemas.All()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	add := func(name string, schema map[string]any) {
		schema["title"] = name
		if known := all[name]; known != nil && !reflect.DeepEqual(known, any(schema)) {
			t.Errorf("two payloads mean different things by %s", name)
		}
		all[name] = schema
	}
	for _, e := range event.All() {
		var schema map[string]any
		if err := json.Unmarshal(documents[e.EventName()], &schema); err != nil {
			t.Fatal(err)
		}
		shared, _ := schema["$defs"].(map[string]any)
		for name, s := range shared {
			add(name, component(s).(map[string]any))
		}
		for _, own := range []string{"$defs", "$id", "$schema"} {
			delete(schema, own)
		}
		add(e.EventName(), component(schema).(map[string]any))
	}
	return all
}

// component writes a schema as a component of a document: what it refers to lies
// beside it, and what may be anything is a schema, too, for readers that know no
// true.
func component(node any) any {
	switch node := node.(type) {
	case bool:
		return map[string]any{"description": "Any JSON"}
	case []any:
		for i := range node {
			node[i] = component(node[i])
		}
	case map[string]any:
		for key, child := range node {
			if ref, ok := child.(string); ok && key == "$ref" {
				node[key] = strings.Replace(ref, "#/$defs/", "#/components/schemas/", 1)
				continue
			}
			node[key] = component(child)
		}
	}
	return node
}
