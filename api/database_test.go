package api

import (
	"strings"
	"testing"
)

// TestDatabaseForm holds the form in which the Python client connects.
func TestDatabaseForm(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	form := func(more object) object {
		d := object{
			"databaseType": "postgresql", "username": "user", "password": "hunter2-canary", "host": "db.example.com", "port": 5432, "databaseName": "customers",
			"selectedTables": nil, "schema": nil, "catalog": nil, "query": "", "options": object{}, "selectedColumns": []string{}, "ignoreColumns": nil, "ignoreTables": nil,
		}
		for k, v := range more {
			d[k] = v
		}
		return object{"database": d, "computeRowCount": false}
	}
	type connected struct {
		ConnectionStatus *bool                        `json:"connectionStatus"`
		Sources          []struct{ ID, Name string }  `json:"sources"`
		ErrorMessage     *string                      `json:"errorMessage"`
		Connected        []struct{ Connector string } `json:"connected_sources"`
		Config           []struct{ Config object }    `json:"-"`
	}
	r := c.post("/data/w1/connect", form(nil))
	d := into[connected](t, r)
	if r.Code != 200 || d.ConnectionStatus == nil || !*d.ConnectionStatus || d.ErrorMessage != nil || len(d.Sources) != 1 ||
		d.Sources[0].Name != "customers@db.example.com:5432" || d.Connected[0].Connector != "postgresql" {
		t.Errorf("%d %s", r.Code, r.Raw)
	}
	if r = c.post("/data/w1/connect", form(object{"port": "5432", "name": "mine", "options": object{"database": "other"}})); r.Code != 200 || !strings.Contains(r.Raw, `"database":"customers"`) {
		t.Errorf("a port as text: %d %s", r.Code, r.Raw)
	}
	r = c.post("/data/w1/connect", form(object{"host": "unreachable"}))
	if d := into[connected](t, r); r.Code != 422 || d.ConnectionStatus == nil || *d.ConnectionStatus || d.ErrorMessage == nil || r.fields() != "database" {
		t.Errorf("unreachable: %d %s", r.Code, r.Raw)
	}
	for name, test := range map[string]struct {
		body   any
		code   int
		fields string
	}{
		"both forms":        {object{"database": object{"databaseType": "mysql"}, "sources": []object{source("x", "h")}}, 400, "database"},
		"no type":           {object{"database": object{"host": "h"}}, 400, "database.databaseType"},
		"unknown field":     {form(object{"hots": "hunter2"}), 400, "database.hots"},
		"no list of tables": {form(object{"selectedTables": "hunter2"}), 400, "database.selectedTables"},
		"a nameless table":  {form(object{"tables": []string{""}}), 400, "database.tables"},
		"a bad URL":         {form(object{"url": "hunter2"}), 400, "database.url"},
		"two databases":     {form(object{"databaseType": "mysql", "schema": "shop"}), 400, "database.schema"},
		"a bad port":        {form(object{"port": "hunter2"}), 400, "database.port"},
		"a port too large":  {form(object{"port": 70000}), 422, "database.port"},
		"unknown type":      {form(object{"databaseType": "oracle"}), 422, "database.databaseType"},
		"unknown option":    {form(object{"options": object{"ssl": true}}), 422, "database.options.ssl"},
		"a bad password":    {form(object{"password": 5}), 400, "database.password"},
	} {
		if r := c.post("/data/w1/connect", test.body); r.Code != test.code || r.fields() != test.fields {
			t.Errorf("%s: %d %q %s", name, r.Code, r.fields(), r.Raw)
		}
	}
	if strings.Contains(h.answers.String()+h.logs.String(), "hunter2") {
		t.Error("a value was echoed")
	}
}
