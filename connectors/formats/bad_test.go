package formats_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/formats/formatstest"
)

func TestBadFiles(t *testing.T) {
	many := "n,s\n" + strings.Repeat("1,"+strings.Repeat("x", 40)+"\n", 30_000)
	var rows strings.Builder
	for n := range 100_000 {
		fmt.Fprintf(&rows, "%d,%08x\n", n, rand.Uint32())
	}
	whole, pressed := formatstest.Gzip("n,s\n"+rows.String()), formatstest.Zstd("n,s\n"+rows.String())
	for _, c := range []struct {
		name, file, content, settings string
		kind                          error
		message                       string
	}{
		{"ragged", "f.csv", "a,b\n1,2\n3,4,5\n", "", driver.ErrBadData, "row 2 (after the header) has 3 fields, the first row 2"},
		{"short row", "f.csv", "a,b\n1,2\n3\n", "", driver.ErrBadData, "row 2"},
		{"text after quotes", "f.csv", many + "1,\"x\"y\n" + many[4:], "", driver.ErrBadData, "row 30001: text after"},
		{"text after quotes", "f.csv", "a,b\n1,\"x\"y\n", "", driver.ErrBadData, "row 1: text after"},
		{"open quote", "f.csv", many + "1,\"y\n1,2\n", "", driver.ErrBadData, "row 30001: a quoted field that never ends"},
		{"NUL", "f.csv", many + "1,\x00\n", "", driver.ErrBadData, "row 30001: a NUL byte"},
		{"not UTF-8", "f.csv", many + "1,\xff\n", "", driver.ErrBadData, "row 30001: column \"s\""},
		{"after the sample", "f.csv", "n\n1\n2\nthree\n", `,"sample_rows":2`, driver.ErrBadData, `row 3: column "n" holds a value that is not int64`},
		{"long row", "f.csv", "a,b\n1," + strings.Repeat("x", 3<<20) + "\n", "", driver.ErrLimit, "longer than"},
		{"long row at the end of many", "f.csv", many + "1,\"" + strings.Repeat("x\n", 5<<20) + "\"\n", "", driver.ErrLimit, "row 30001 is longer"},
		{"truncated gzip", "f.csv.gz", formatstest.Gzip(many)[:500], "", driver.ErrBadData, "truncated"},
		{"gzip without its last byte", "f.csv.gz", whole[:len(whole)-1], "", driver.ErrBadData, "truncated"},
		{"gzip without its checksum", "f.csv.gz", whole[:len(whole)-8], "", driver.ErrBadData, "truncated"},
		{"gzip cut in its last row", "f.csv.gz", whole[:len(whole)-12], "", driver.ErrBadData, "truncated"},
		{"gzip with a cut second member", "f.csv.gz", whole + whole[:len(whole)/2], "", driver.ErrBadData, "truncated"},
		{"zstd without its last byte", "f.csv.zst", pressed[:len(pressed)-1], "", driver.ErrBadData, "truncated"},
		{"zstd cut in its last block", "f.csv.zst", pressed[:len(pressed)-9], "", driver.ErrBadData, "truncated"},
		{"gzip with the head of a second member", "f.csv.gz", whole + whole[:5], "", driver.ErrBadData, "truncated"},
		{"bytes behind gzip", "f.csv.gz", whole + "junk", "", driver.ErrBadData, "f.csv.gz has bytes behind its end"},
		{"bytes behind gzip and its padding", "f.csv.gz", whole + strings.Repeat("\x00", 512) + whole, "", driver.ErrBadData, "f.csv.gz has bytes behind its end"},
		{"damaged gzip", "f.csv.gz", strings.Replace(formatstest.Gzip(many), formatstest.Gzip(many)[200:240], strings.Repeat("?", 40), 1), "", driver.ErrBadData, "f.csv.gz"},
		{"bomb", "f.csv.gz", formatstest.Gzip("a,b\n" + strings.Repeat("0,0\n", 30<<20)), "", driver.ErrLimit, "bytes after decompression"},
		{"broken JSON", "f.json", `[{"a":1},{"a":}]`, "", driver.ErrBadData, "record 2"},
		{"cut JSON", "f.json", `[{"a":1},{"a":1`, "", driver.ErrBadData, "record 2: the file ends"},
		{"cut list", "f.json", `[{"a":1},`, "", driver.ErrBadData, "ends in the middle"},
		{"more after the list", "f.json", `[{"a":1}] x`, "", driver.ErrBadData, "after the end"},
		{"list of numbers", "f.json", `[1,2]`, "", driver.ErrBadData, "record 1 is a number"},
		{"NDJSON with a number", "f.ndjson", "{\"a\":1}\n5\n", "", driver.ErrBadData, "record 2 is a number"},
		{"two lists", "f.json", `{"a":[{"x":1}],"b":[{"y":1}]}`, "", driver.ErrBadData, "records_path"},
		{"wrong path", "f.json", `{"a":[{"x":1}]}`, `,"records_path":"b.c"`, driver.ErrInvalidConfig, "records_path"},
		{"long record", "f.ndjson", `{"a":"` + strings.Repeat("x", 3<<20) + `"}`, "", driver.ErrLimit, "longer than"},
		{"record a little too long", "f.ndjson", "{\"a\":1}\n" + `{"a":"` + strings.Repeat("x", 2<<20) + `"}`, "", driver.ErrLimit, "record 2 is longer than"},
		{"later JSON value", "f.ndjson", "{\"a\":1}\n{\"a\":\"x\"}\n", `,"sample_rows":1`, driver.ErrBadData, `record 2: field "a"`},
		{"no such key", "f.csv", "a,b\n1,2\n", `,"primary_key":["c"]`, driver.ErrInvalidConfig, `column "c", which table f does not have`},
		{"too wide", "f.csv", strings.Repeat("a,", 20) + "b\n", "", driver.ErrLimit, "21 columns"},
	} {
		t.Run(c.name, func(t *testing.T) {
			limits := driver.Limits{MaxRowBytes: 2 << 20, MaxFileSize: 64 << 20, MaxColumns: 20}
			_, _, err := formatstest.Table(t, c.file, c.content, `{"path":"`+c.file+`"`+c.settings+`}`, limits)
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.message) {
				t.Errorf("got %v, want %v: %s", err, c.kind, c.message)
			}
		})
	}
}
