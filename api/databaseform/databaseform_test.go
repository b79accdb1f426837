package databaseform

import (
	"encoding/json"
	"reflect"
	"testing"
)

type object = map[string]any

// What the form chooses becomes tables, and a URL is split into settings.
func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		form object
		want Source
	}{
		"a schema": {object{"databaseType": "postgresql", "host": "h", "schema": "sales"},
			Source{Type: "postgresql", Config: []byte(`{"host":"h"}`), Tables: []string{"sales.*"}}},
		"tables of a schema": {object{"databaseType": "postgresql", "host": "h", "schema": "sales", "selectedTables": []string{"orders", "public.users"}, "ignoreTables": []string{"tmp_*"}},
			Source{Type: "postgresql", Config: []byte(`{"host":"h"}`), Tables: []string{"sales.orders", "public.users"}, Exclude: []string{"tmp_*"}}},
		"tables": {object{"databaseType": "mysql", "host": "h", "tables": []string{"orders"}, "schema": "shop"},
			Source{Type: "mysql", Config: []byte(`{"database":"shop","host":"h"}`), Tables: []string{"orders"}}},
		"a URL": {object{"url": "postgresql://ada:p%40ss@db:5433/shop?sslmode=require"},
			Source{Type: "postgresql", Config: []byte(`{"database":"shop","host":"db","password":"p@ss","port":5433,"sslmode":"require","username":"ada"}`)}},
		"a URL of Java, beside fields": {object{"databaseType": "postgresql", "url": "jdbc:postgresql://db/shop?user=ada&password=x&currentSchema=sales", "password": "y", "host": ""},
			Source{Type: "postgresql", Config: []byte(`{"database":"shop","host":"db","password":"y","username":"ada"}`), Tables: []string{"sales.*"}}},
		"nothing chosen": {object{"databaseType": "postgresql", "host": "h", "schema": nil, "tables": []string{}, "url": ""},
			Source{Type: "postgresql", Config: []byte(`{"host":"h"}`)}},
	} {
		encoded, err := json.Marshal(test.form)
		if err != nil {
			t.Fatal(err)
		}
		var form map[string]json.RawMessage
		if err := json.Unmarshal(encoded, &form); err != nil {
			t.Fatal(err)
		}
		got, err := Parse(form)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got.Name = ""
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %s %s %+v", name, got.Type, got.Config, got)
		}
	}
}
