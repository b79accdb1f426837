package file_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/formats/formatstest"
)

// versions are a file as it is when it is connected and as it is later.
type versions struct {
	name, first, then, settings string
	want                        string // of the second
}

// later opens the second, with what is known of the first.
func (v versions) later(t *testing.T) (files fs.FS, settings string, later driver.Source) {
	t.Helper()
	files, dir := folder(t, map[string]string{v.name: v.first})
	settings = `{"path":"` + v.name + `"` + v.settings + `}`
	src, err := open(t, files, settings, driver.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	before, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, v.name), []byte(v.then), 0o600); err != nil {
		t.Fatal(err)
	}
	if later, err = open(t, files, settings, driver.Limits{}); err != nil {
		t.Fatal(err)
	}
	later.(driver.Knower).Know(before)
	return files, settings, later
}

// A file that is one object with nothing of the records that were in it is an error or a
// notice: it does not replace them. A file without a byte among others is told of.
func TestAFileThatIsAnotherThing(t *testing.T) {
	for name, c := range map[string]versions{
		"an error":                       {"f.json", `[{"id":1,"v":2},{"id":2,"v":3}]`, `{"error":"not found"}`, "", "ndjson"},
		"nothing":                        {"f.json", `[{"id":1,"v":2}]`, `{}`, "", "ndjson"},
		"null in place of the list":      {"f.json", `{"items":[{"id":1}]}`, `{"items":null}`, "", "ndjson"},
		"an error in a file of lines":    {"f.ndjson", "{\"id\":1}\n{\"id\":2}\n", `{"error":"not found"}`, "", "ndjson"},
		"a status that records have":     {"f.json", `[{"id":1,"status":"new","v":2},{"id":2,"status":"new","v":3}]`, `{"status":503,"message":"unavailable"}`, "", "ndjson"},
		"a status and nothing else":      {"f.json", `[{"id":1,"status":"new","v":2}]`, `{"status":503}`, "", "ndjson"},
		"an id and an error":             {"f.json", `[{"id":1,"v":2},{"id":2,"v":3}]`, `{"id":"req-1","error":"denied"}`, "", "ndjson"},
		"an id and an error, of ids":     {"f.json", `[{"id":1},{"id":2}]`, `{"id":"req-1","error":"denied"}`, "", "ndjson"},
		"a record with a new field":      {"f.json", `[{"id":1,"v":2},{"id":2,"v":3}]`, `{"id":3,"v":4,"w":5}`, "", ""},
		"a record of a status":           {"f.json", `{"status":"up","message":"fine"}`, `{"status":"down","message":"none"}`, "", ""},
		"fields with another name":       {"f.json", `{"status":"up","":1,"_extra":2}`, `{"status":"down","":1,"_extra":2}`, "", ""},
		"one record of those":            {"f.json", `[{"id":1,"v":2},{"id":2,"v":3}]`, `{"id":3}`, "", ""},
		"an envelope of those":           {"f.json", `[{"id":1,"v":2},{"id":2,"v":3}]`, `{"items":[{"id":3}]}`, "", ""},
		"said to be a record":            {"f.json", "{\"id\":1}\n{\"id\":2}\n", `{"total":7}`, `,"format":"ndjson"`, ""},
		"the first records of the table": {"f.json", `[]`, `{"status":"new"}`, "", ""},
		"no list at its path":            {"f.json", `{"lines":[{"sku":"p"}]}`, `{"error":"not found"}`, `,"records_path":"lines"`, "records_path"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, later := c.later(t)
			if _, err := later.Discover(t.Context()); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

// Text that is not UTF-8 behind the sample asks for the encoding: no type of a column helps.
func TestTextOfAnotherEncodingBehindTheSample(t *testing.T) {
	files, _ := folder(t, map[string]string{"a.csv": "id,name\n" + strings.Repeat("1,Ann\n", 500_000) + "3,J\xfcrgen\n"})
	src, err := open(t, files, `{"path":"a.csv","sample_rows":2}`, driver.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = read(t, src, tables[0], driver.Cursor{}); err == nil || !strings.Contains(err.Error(), "row 500001") || !strings.Contains(err.Error(), "connection_config.encoding") {
		t.Errorf("%v; want a refusal that names the row and the encoding", err)
	}
}

func TestFilesWithoutAByteAreTold(t *testing.T) {
	files, _ := folder(t, map[string]string{"in/a.csv": "id\n1\n", "in/b.csv": "id\n2\n", "in/c.csv": ""})
	src, err := open(t, files, `{"path":"in"}`, driver.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	if err != nil || len(tables) != 1 || !strings.Contains(strings.Join(tables[0].Notes, "\n"), "without a byte have no rows: in/c.csv") {
		t.Errorf("%+v, %v", tables, err)
	}
}

// What was guessed when a file was connected is not guessed otherwise later, by
// whoever opens it then and by whoever reads it.
func TestWhatWasDecidedStays(t *testing.T) {
	for name, c := range map[string]versions{
		"a header whose word comes as a value": {"f.csv", "status,owner\nopen,Ann\n", "status,owner\nowner,owner\nowner,owner\nowner,owner\nowner,owner\n", "", "[status:string owner:string] [[owner owner] [owner owner] [owner owner] [owner owner]]"},
		"a header over nothing":                {"f.csv", "id,2024\n1,5\n", "id,2024\n7,2024\n", "", "[id:int64 2024:int64] [[7 2024]]"},
		"no header over text":                  {"f.csv", "1,x\n2,y\n", "a,b\nc,d\n", "", "[column_1:string column_2:string] [[a b] [c d]]"},
		"a title that goes":                    {"f.csv", "# May\na;b\n1;2\n", "a;b\n3;4\n", "", "[a:int64 b:int64] [[3 4]]"},
		"a title that comes":                   {"f.csv", "item;shelf\nbolt;A\n", "Stock, of May\nitem;shelf\nbolt;B\n", "", "[item:string shelf:string] [[bolt B]]"},
		"another delimiter in text":            {"f.csv", "a;b\n1;x\n", "a;b\n1,2,3;x\n4,5,6;y\n", "", "[a:string b:string] [[1,2,3 x] [4,5,6 y]]"},
		"an order, then two":                   {"f.json", `{"order":7,"buyer":"Ann","lines":[{"sku":"p"}]}`, "{\"order\":7,\"buyer\":\"Ann\",\"lines\":[{\"sku\":\"p\"}]}\n{\"order\":8,\"buyer\":\"Bob\",\"lines\":[]}\n", "", `[order:int64 buyer:string lines:json] [[7 Ann [{"sku":"p"}]] [8 Bob []]]`},
		"an order, then a list of two":         {"f.json", `{"order":7,"lines":[{"sku":"p"}]}`, `[{"order":7,"lines":[{"sku":"p"}]},{"order":8,"lines":[]}]`, "", `[order:int64 lines:json] [[7 [{"sku":"p"}]] [8 []]]`},
		"an envelope that says more":           {"f.json", `{"data":[{"a":1}],"count":1}`, `{"data":[{"a":2}],"count":1,"report":"May"}`, "", "[a:int64] [[2]]"},
		"a record that says less":              {"f.json", `{"id":1,"data":[{"a":1}]}`, `{"data":[{"a":1}]}`, "", `[data:json] [[[{"a":1}]]]`},
	} {
		t.Run(name, func(t *testing.T) {
			files, settings, later := c.later(t)
			if err := later.Check(t.Context()); err != nil {
				t.Errorf("check: %v", err)
			}
			tables, err := later.Discover(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			reader, err := open(t, files, settings, driver.Limits{}) // of another process
			if err != nil {
				t.Fatal(err)
			}
			rows, _, err := read(t, reader, tables[0], driver.Cursor{})
			if got := formatstest.Shape(tables[0], rows); err != nil || got != c.want {
				t.Errorf("\n got %s\nwant %s (%v)", got, c.want, err)
			}
		})
	}
}
