package builtin

import (
	"encoding/json"
	"testing"

	"headwater/connectors"
)

// A process that opens one source makes no schemas of all drivers' settings, and
// does not judge settings without them.
func TestOpenOnly(t *testing.T) {
	made := func(only bool) *connectors.Registry {
		r, err := connectors.New(connectors.Options{OpenOnly: only}, Drivers()...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	whole, light := testing.AllocsPerRun(3, func() { made(false) }), testing.AllocsPerRun(3, func() { made(true) })
	if light > whole/20 {
		t.Errorf("a registry that opens sources only takes %.0f allocations, and %.0f with the schemas: want a twentieth at most", light, whole)
	}
	if _, _, err := made(true).Split("csv", json.RawMessage(`{"path":"a.csv"}`)); err == nil {
		t.Error("settings were split without a schema")
	}
	for _, d := range made(true).Describe() {
		if d.Name == "" || d.Schema != nil {
			t.Errorf("%+v, want a name and no schema", d)
		}
	}
}
