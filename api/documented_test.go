package api

import (
	"fmt"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

var ownDocument = sync.OnceValues(func() (*openapi3.T, error) { return openapi3.NewLoader().LoadFromData(openapi) })

// openAPI returns the contract as tests go through it: one for all of them, to be
// read alone.
func openAPI(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := ownDocument()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// undocumented returns what of a value none of the schemas names. A field is
// named by a property; where anything may stand, a schema says so with
// additionalProperties. A number that not every reader has exactly counts too.
func undocumented(schemas []*openapi3.Schema, value any, at string) (fields []string) {
	schemas = parts(schemas)
	switch value := value.(type) {
	case map[string]any:
		for name, child := range value {
			below, open := []*openapi3.Schema{}, false
			for _, s := range schemas {
				if p := s.Properties[name]; p != nil {
					below = append(below, p.Value)
				} else if a := s.AdditionalProperties; a.Schema != nil {
					below = append(below, a.Schema.Value)
				} else if a.Has != nil && *a.Has {
					open = true
				}
			}
			switch place := at + "." + name; {
			case len(below) > 0:
				fields = append(fields, undocumented(below, child, place)...)
			case !open:
				fields = append(fields, place)
			}
		}
	case []any:
		var items []*openapi3.Schema
		for _, s := range schemas {
			if s.Items != nil {
				items = append(items, s.Items.Value)
			}
		}
		for i, child := range value {
			fields = append(fields, undocumented(items, child, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case float64:
		if value > 1<<53 || value < -1<<53 {
			fields = append(fields, at+" (beyond 2^53)")
		}
	}
	return fields
}

// parts returns the schemas with all that they are put together from.
func parts(schemas []*openapi3.Schema) (all []*openapi3.Schema) {
	for _, s := range schemas {
		all = append(all, s)
		for _, refs := range []openapi3.SchemaRefs{s.AllOf, s.AnyOf, s.OneOf} {
			for _, ref := range refs {
				all = append(all, parts([]*openapi3.Schema{ref.Value})...)
			}
		}
	}
	return all
}

// TestUndocumented sees that what the contract does not name is found.
func TestUndocumented(t *testing.T) {
	sync := openAPI(t).Paths.Value("/data/{workspace_id}/syncs/{sync_id}").Get.Responses.Value("200").Value.Content.Get("application/json").Schema.Value
	for name, test := range map[string]struct {
		data any
		want string
	}{
		"all named":            {object{"sync_id": "syn_1", "tables": []any{object{"name": "orders"}}}, ""},
		"a field":              {object{"new": 1.0}, ".data.new"},
		"a field of a list":    {object{"tables": []any{object{"name": "a"}, object{"new": nil}}}, ".data.tables[1].new"},
		"a number not exact":   {object{"bytes": float64(1 << 60)}, ".data.bytes (beyond 2^53)"},
		"an object for a text": {object{"mode": object{"x": 1.0}}, ".data.mode.x"},
	} {
		found := undocumented([]*openapi3.Schema{sync}, object{"status": "success", "message": "m", "data": test.data}, "")
		if len(found) > 1 || len(found) == 1 && found[0] != test.want || len(found) == 0 && test.want != "" {
			t.Errorf("%s: %v, not %q", name, found, test.want)
		}
	}
}
