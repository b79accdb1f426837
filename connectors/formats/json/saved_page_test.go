package json_test

import (
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/formats/formatstest"
)

// A saved answer of an API may be one page of many: what it holds lands, and a
// note says so.
func TestSavedPages(t *testing.T) {
	for _, c := range []struct{ name, content, settings, told string }{
		{"a cursor", `{"items":[{"id":1}],"next_cursor":"t2"}`, "", "next_cursor leads"},
		{"a link", `{"items":[{"id":1}],"next":"https://example.com/x?page=2"}`, "", "next leads"},
		{"a link in an object", `{"data":[{"id":1}],"_links":{"self":{"href":"/x"},"next":{"href":"/x?page=2"}}}`, "", "_links.next leads"},
		{"a cursor in an object", `{"data":[{"id":1}],"meta":{"paging":{"nextToken":"t2"}}}`, "", "meta.paging.nextToken leads"},
		{"beside the list, further down", `{"data":{"items":[{"id":1}],"hasMore":true}}`, "", "data.hasMore leads"},
		{"a flag", `{"results":[{"id":1}],"has_more":true}`, "", "has_more leads"},
		{"a total", `{"results":[{"id":1}],"total":250}`, "", "250 records in all, and holds 1"},
		{"named by the settings", `{"page_of":{"a":[{"id":1}]},"nextLink":"/x?2"}`, `,"records_path":"page_of.a"`, "nextLink leads"},
		{"the last page", `{"items":[{"id":1}],"next_cursor":null}`, "", ""},
		{"an empty cursor", `{"items":[{"id":1}],"next_cursor":"","links":{}}`, "", ""},
		{"no more, though a cursor", `{"items":[{"id":1}],"pageInfo":{"endCursor":"t1","hasNextPage":false}}`, "", ""},
		{"a total that is all", `{"items":[{"id":1}],"total":1}`, "", ""},
		{"a field of the records", `{"items":[{"id":1,"next":"x","total":99}]}`, "", ""},
		{"a list and nothing else", `[{"id":1}]`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, rows, err := formatstest.Table(t, "p.json", c.content, `{"path":"p.json"`+c.settings+`}`, driver.Limits{})
			if err != nil || len(rows) != 1 || rows[0][0] != "1" {
				t.Fatalf("%v, %v", rows, err)
			}
			said := strings.Join(table.Notes, " ")
			if paged := strings.Contains(said, "one page of an answer"); paged != (c.told != "") || !strings.Contains(said, c.told) {
				t.Errorf("notes %q; want %q", said, c.told)
			}
		})
	}
}
