package json_test

import (
	"errors"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/formats/formatstest"
)

// One object is one record unless it is an envelope, and what it was taken for
// is said where it may be the other.
func TestEnvelopes(t *testing.T) {
	for _, c := range []struct{ name, content, want, note string }{
		{"an order", `{"order":7,"buyer":"Ann","lines":[{"sku":"p","n":1},{"sku":"q","n":2}]}`, `[order:int64 buyer:string lines:json] [[7 Ann [{"sku":"p","n":1},{"sku":"q","n":2}]]]`, `one record, which holds the list "lines"`},
		{"an order of items", `{"order":7,"buyer":"Ann","items":[{"sku":"p"}]}`, `[order:int64 buyer:string items:json] [[7 Ann [{"sku":"p"}]]]`, `records_path to "items"`},
		{"an order that says its status", `{"type":"order","status":"open","lines":[{"sku":"p"}]}`, `[type:string status:string lines:json] [[order open [{"sku":"p"}]]]`, "one record"},
		{"a customer of a record", `{"id":1,"customer":{"name":"Ann","addresses":[{"city":"Rome"}]}}`, `[id:int64 customer:json] [[1 {"name":"Ann","addresses":[{"city":"Rome"}]}]]`, ""},
		{"a person of addresses", `{"customer":{"name":"Ann","addresses":[{"city":"Rome"}]}}`, `[customer:json] [[{"name":"Ann","addresses":[{"city":"Rome"}]}]]`, "one record"},
		{"nothing but a list", `{"readings":[{"a":1},{"a":2}]}`, "[a:int64] [[1] [2]]", `its list "readings"`},
		{"a list and its count", `{"count":2,"readings":[{"a":1},{"a":2}]}`, "[a:int64] [[1] [2]]", `its list "readings"`},
		{"a list and its state", `{"status":"ok","generated_at":"2024-01-01","data":[{"a":1}]}`, "[a:int64] [[1]]", `its list "data"`},
		{"features", `{"type":"FeatureCollection","features":[{"id":1,"geometry":null}]}`, "[id:int64 geometry:json] [[1 NULL]]", `its list "features"`},
		{"a list far down", `{"response":{"status":200,"docs":[{"a":1}]}}`, "[a:int64] [[1]]", `its list "response.docs"`},
		{"a list beside errors", `{"errors":[],"results":[{"a":1}]}`, "[a:int64] [[1]]", `its list "results"`},
		{"a record of two lists", `{"id":1,"a":[{"x":1}],"b":[{"y":1}]}`, `[id:int64 a:json b:json] [[1 [{"x":1}] [{"y":1}]]]`, "one record"},
		{"a record of texts", `{"id":1,"tags":["a"]}`, `[id:int64 tags:json] [[1 ["a"]]]`, ""},
		{"a record with nothing in a list", `{"id":1,"tags":[]}`, `[id:int64 tags:json] [[1 []]]`, ""},
	} {
		got, rows, err := formatstest.Table(t, "f.json", c.content, `{"path":"f.json"}`, driver.Limits{})
		notes := strings.Join(got.Notes, " ")
		if text := formatstest.Shape(got, rows); err != nil || text != c.want || !strings.Contains(notes, c.note) || (c.note == "") != (notes == "") {
			t.Errorf("%s:\n got %s\nwant %s (%v, notes %q)", c.name, text, c.want, err, notes)
		}
	}
	if _, _, err := formatstest.Table(t, "f.json", `{"a":[{"x":1}],"b":[{"y":1}]}`, `{"path":"f.json"}`, driver.Limits{}); !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "records_path") {
		t.Errorf("two lists: %v", err)
	}
}
