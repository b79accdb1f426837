package csv_test

import (
	"fmt"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/formats/formatstest"
)

// Files that were put together have their header again amid their rows.
func TestHeaderAgain(t *testing.T) {
	for _, c := range []struct {
		name, content, settings string
		want                    string
		told                    string // by the read, "" for nothing
	}{
		{"proven by a number", "id,name,n\n1,Ann,1.5\nid,name,n\n2,Bob,2.5\n", "", "[id:int64 name:string n:float64] [[1 Ann 1.5] [2 Bob 2.5]]", "left out, 1 of them"},
		{"many times", "id,name\n1,Ann\nid,name\nid,name\n2,Bob\nid,name\n3,Cid\nid,name\n", "", "[id:int64 name:string] [[1 Ann] [2 Bob] [3 Cid]]", "left out, 4 of them"},
		{"quoted elsewhere", "id,day\n1,2024-05-01\n\"id\",\"day\"\n2,2024-05-02\n", "", "[id:int64 day:date] [[1 2024-05-01] [2 2024-05-02]]", "left out, 1 of them"},
		{"one column", "n\n1\nn\n2\n", "", "[n:int64] [[1] [2]]", "left out, 1 of them"},
		{"behind the sample", "id,name,n\n" + strings.Repeat("3,Cid,2.5\n", 3) + "id,name,n\n4,Dan,1.5\n", `,"sample_rows":2`, "[id:int64 name:string n:float64] [[3 Cid 2.5] [3 Cid 2.5] [3 Cid 2.5] [4 Dan 1.5]]", "left out, 1 of them"},
		{"loose quotes", "id,name\n1,5\" pipe\nid,name\n2,Bob\n", "", "[id:int64 name:string] [[1 5\" pipe] [2 Bob]]", "left out, 1 of them"},
		{"all text", "status,owner\nopen,Ann\nstatus,owner\nclosed,Bob\n", "", "[status:string owner:string] [[open Ann] [status owner] [closed Bob]]", "landed, 1 of them"},
		{"text by the settings", "id,name\n1,Ann\nid,name\n2,Bob\n", `,"column_types":{"id":"string"}`, "[id:string name:string] [[1 Ann] [id name] [2 Bob]]", "landed, 1 of them"},
		{"a cell of it alone", "id,name\n1,Ann\n2,name\n", "", "[id:int64 name:string] [[1 Ann] [2 name]]", ""},
		{"values that are like the first row", "1,2\n3,4\n1,2\n", "", "[column_1:int64 column_2:int64] [[1 2] [3 4] [1 2]]", ""},
		{"names that are numbers", "2023,2024\n7,8\n2023,2024\n", `,"header":true`, "[2023:int64 2024:int64] [[7 8] [2023 2024]]", ""},
		{"a name that is text over text, a number over numbers", "id,2024\nx,5\nid,2024\ny,6\n", `,"header":true`, "[id:string 2024:int64] [[x 5] [id 2024] [y 6]]", "landed, 1 of them"},
		{"no names", "id,name\n1,Ann\nid,name\n", `,"header":false`, "[column_1:string column_2:string] [[id name] [1 Ann] [id name]]", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := formatstest.Decode(t, "f.csv", c.content, `{"path":"f.csv"`+c.settings+`}`, driver.Limits{})
			if text := formatstest.Shape(got.Table, got.Rows); got.Err != nil || text != c.want {
				t.Fatalf("\n got %s\nwant %s (%v)", text, c.want, got.Err)
			}
			if said := strings.Join(got.Told, " "); (c.told == "") != (said == "") || !strings.Contains(said, c.told) {
				t.Errorf("notes %q; want %q", said, c.told)
			}
			if said := strings.Join(got.Table.Notes, " "); strings.Contains(said, "header again") != (c.told != "" && !strings.Contains(c.settings, "sample_rows")) {
				t.Errorf("the table's notes: %q", said)
			}
		})
	}
}

// What is left out is counted as people do.
func TestCountsAreSaid(t *testing.T) {
	for _, c := range []struct{ name, content, settings, want string }{
		{"a title", "Sales of May\nid,name\n1,Ann\n2,Bob\n", "", "comments, 1 line with text. Set connection_config.skip_rows to 0 to read that as rows, too."},
		{"two titles", "Sales of May\nEurope\nid,name\n1,Ann\n2,Bob\n", "", "comments, 2 lines with text. "},
		{"a bad row", "id,name\n1,Ann\n2\n3,Cid\n", `,"bad_rows":"skip"`, "f.csv: 1 row that cannot be read was skipped, row 2: 1 field instead of 2."},
		{"bad rows", "id,name\n1,Ann\n2\n3,Cid,x\n", `,"bad_rows":"skip"`, "f.csv: 2 rows that cannot be read were skipped, the first of them row 2: 1 field instead of 2."},
		{"a bad row, refused", "id,name\n1,Ann\n2\n3,Cid\n", "", "row 2 (after the header) has 1 field, the first row 2;"},
	} {
		got := formatstest.Decode(t, "f.csv", c.content, `{"path":"f.csv"`+c.settings+`}`, driver.Limits{})
		if said := fmt.Sprint(got.Table.Notes, got.Told, got.Err); !strings.Contains(said, c.want) {
			t.Errorf("%s: %s; want %q", c.name, said, c.want)
		}
	}
}

// The part of a file that is written anew, from its first odd quote on, goes on
// with the count.
func TestHeaderAgainBehindOddQuotes(t *testing.T) {
	const rows = 60_000
	content := "id,name\n1,Ann\nid,name\n" + strings.Repeat("3,Cid"+strings.Repeat(" and on", 12)+"\n", rows) + "4,5\" pipe\nid,name\n5,Eve\n"
	for _, kind := range formatstest.Kinds {
		got := formatstest.DecodeFrom(t.Context(), kind, "f.csv", content, `{"path":"f.csv"}`, driver.Limits{})
		if told := strings.Join(got.Told, " "); got.Err != nil || len(got.Rows) != rows+3 || !strings.Contains(told, "left out, 2 of them") {
			t.Errorf("%s: %d rows, notes %q (%v)", kind.Name, len(got.Rows), told, got.Err)
		}
	}
}
