package api

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"headwater/bus/event"
	"headwater/projections"
)

// TestExamples: every schema, every body of a request and every answer in JSON
// has an example, which is right and has no field that is not named.
func TestExamples(t *testing.T) {
	doc := openAPI(t)
	check := func(of string, schema *openapi3.Schema, example any) {
		t.Helper()
		if example == nil {
			t.Errorf("%s has no example", of)
			return
		}
		if err := schema.VisitJSON(example, openapi3.MultiErrors(), openapi3.EnableFormatValidation()); err != nil {
			t.Errorf("the example of %s: %v", of, err)
		}
		if fields := undocumented([]*openapi3.Schema{schema}, example, ""); len(fields) > 0 {
			t.Errorf("the example of %s has fields that are not named: %v", of, fields)
		}
	}
	content := func(of string, content openapi3.Content) {
		for kind, media := range content {
			if kind == "application/json" || kind == "application/schema+json" {
				check(of, media.Schema.Value, media.Example)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		schema := doc.Components.Schemas[name].Value
		check("schema "+name, schema, schema.Example)
	}
	calls := 0
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			calls++
			if op.RequestBody != nil {
				content("the body of "+method+" "+path, op.RequestBody.Value.Content)
			}
			for code, response := range op.Responses.Map() {
				content("the answer "+code+" of "+method+" "+path, response.Value.Content)
			}
		}
	}
	if calls < 30 {
		t.Errorf("only %d calls were looked at", calls)
	}
}

// TestResultsAreDocumented holds what workers report, whatever of it the answers
// of other tests happen to have, against the contract.
func TestResultsAreDocumented(t *testing.T) {
	doc := openAPI(t)
	for name, value := range map[string]any{
		"TableResult": new(event.TableResult), "Verification": new(projections.Verification),
		"LeftOut": &[]event.LeftOut{{}}, "Result": new(projections.Result), "TestStep": new(event.TestStep),
		"Schema": &struct {
			Tables []event.Table `json:"tables"`
		}{},
		"LastSync": new(projections.LastSync), "Failure": new(projections.Failure),
	} {
		fill(reflect.ValueOf(value).Elem())
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var sent any
		if err := json.Unmarshal(encoded, &sent); err != nil {
			t.Fatal(err)
		}
		if table, ok := sent.(map[string]any); ok && name == "TableResult" {
			delete(table, "snapshot") // of events only: answers have snapshot_id as text
		}
		for _, field := range undocumented([]*openapi3.Schema{doc.Components.Schemas[name].Value}, sent, "") {
			t.Errorf("the contract does not name %s of %s", field, name)
		}
	}
}

// fill leaves no field zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1_700_000_000, 0)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	}
}
