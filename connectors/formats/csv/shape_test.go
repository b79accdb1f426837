package csv_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/formats/formatstest"
)

// How CSV files are written beyond the standard, and what is in them.
func TestShapes(t *testing.T) {
	long := make([]string, 9600)
	for i := range long {
		long[i] = fmt.Sprintf("\"name_%05d%110s\"", i, "") // as some machines pad them
	}
	for _, c := range []struct{ name, content, settings, want string }{
		// Headers.
		{"a name twice", "name,phone,phone\nAnn,home,work\nBob,home2,work2\n", "", "[name:string phone:string phone_2:string] [[Ann home work] [Bob home2 work2]]"},
		{"an index without a name", ",city,country\na,Rome,Italy\nb,Oslo,Norway\n", "", "[column_1:string city:string country:string] [[a Rome Italy] [b Oslo Norway]]"},
		{"a name that is a value, too", "status,owner\nopen,Ann\nclosed,Bob\nstatus,Cid\n", "", "[status:string owner:string] [[open Ann] [closed Bob] [status Cid]]"},
		{"a header again", "status,owner\nopen,Ann\nowner,owner\n", "", "[status:string owner:string] [[open Ann] [owner owner]]"},
		{"days as names", "item,2024-01-01,2024-02-01\nbolt,5,6\nnut,7,8\n", "", "[item:string 2024-01-01:int64 2024-02-01:int64] [[bolt 5 6] [nut 7 8]]"},
		{"days as names of texts", "item,2024-01-01\nbolt,many\nnut,few\n", "", "[item:string 2024-01-01:string] [[bolt many] [nut few]]"},
		{"years as names", "region,2019,2020,2021\nnorth,5,6,7\nsouth,1,2,3\n", "", "[region:string 2019:int64 2020:int64 2021:int64] [[north 5 6 7] [south 1 2 3]]"},
		{"years as values", "x,2019,2020\ny,2018,2021\n", "", "[column_1:string column_2:int64 column_3:int64] [[x 2019 2020] [y 2018 2021]]"},
		{"values again and again", "x,red\ny,blue\nz,red\na,red\nb,red\n", "", "[column_1:string column_2:string] [[x red] [y blue] [z red] [a red] [b red]]"},
		{"numbers among text", "Ann,12\nBob,none\n", "", "[column_1:string column_2:string] [[Ann 12] [Bob none]]"},
		{"a header longer than the head", strings.Join(long, ",") + "\n" + strings.Repeat("1,", 9599) + "2\n", `,"column_types":{}`, ""},
		// Lines before the header.
		{"a title", "Stock of May\nitem;shelf\nbolt;3\nnut;4\n", "", "[item:string shelf:int64] [[bolt 3] [nut 4]]"},
		{"a title in cells", "Stock of May,,\nitem,shelf,n\nbolt,A,3\nnut,B,4\n", "", "[item:string shelf:string n:int64] [[bolt A 3] [nut B 4]]"},
		{"titles and blank lines", "Stock\nof May 2024\n\nitem\tshelf\nbolt\t3\nnut\t4\n", "", "[item:string shelf:int64] [[bolt 3] [nut 4]]"},
		{"a comment", "# made on Monday\nitem|shelf\nbolt|3\n", "", "[item:string shelf:int64] [[bolt 3]]"},
		{"a comment with commas", "# made on Monday, by Ann\nitem,shelf,n\nbolt,A,3\nnut,B,4\n", "", "[item:string shelf:string n:int64] [[bolt A 3] [nut B 4]]"},
		{"a header with a hash", "#item,shelf\nbolt,3\nnut,4\n", "", "[#item:string shelf:int64] [[bolt 3] [nut 4]]"},
		{"a title, said", "a, b and c\nx,y\n1,2\n", `,"skip_rows":1`, "[x:int64 y:int64] [[1 2]]"},
		{"no title, said", "a\nx\n", `,"skip_rows":0`, "[a:string] [[x]]"},
		{"comments, said", "# x\na,b\n1,2\n# y, \"z\n3,4\n", `,"comment":"#"`, "[a:int64 b:int64] [[1 2] [3 4]]"},
		{"comments of two", "// x\na,b\n1,2\n// y\n", `,"comment":"//"`, "[a:int64 b:int64] [[1 2]]"},
		{"sep", "sep=;\nitem;shelf;n\nbolt;A;1\nnut;B;2\n", "", "[item:string shelf:string n:int64] [[bolt A 1] [nut B 2]]"},
		{"sep in quotes", "\"sep=|\"\r\nitem|n\r\nbolt|1\r\n", "", "[item:string n:int64] [[bolt 1]]"},
		{"sep of a tab", "sep=\t\nitem\tn\nbolt\t1\n", "", "[item:string n:int64] [[bolt 1]]"},
		// Lines.
		{"one column with blank lines", "email\nann\n\n\nbob\n", "", "[email:string] [[ann] [NULL] [NULL] [bob]]"},
		{"one column of numbers with blank lines", "\n\nn\r\n1\r\n\r\n2\r\n", "", "[n:int64] [[1] [NULL] [2]]"},
		{"several columns with blank lines", "a,b\n1,2\n\n3,4\n\n", "", "[a:int64 b:int64] [[1 2] [3 4]]"},
		{"returns", "city,people\rRome,3\rOslo,1\rKiel,0", "", "[city:string people:int64] [[Rome 3] [Oslo 1] [Kiel 0]]"},
		{"returns and a newline at the end", "city,people\rRome,3\rOslo,1\rKiel,0\n", "", "[city:string people:int64] [[Rome 3] [Oslo 1] [Kiel 0]]"},
		{"returns with newlines in quotes", "id,note\r1,\"a\nb\"\r2,c\r", "", "[id:int64 note:string] [[1 a\nb] [2 c]]"},
		{"returns in one column", "n\r1\r\r2\r", "", "[n:int64] [[1] [NULL] [2]]"},
		{"ends of every kind", "a,b\r\n1,2\r3,4\n5,6\r7,8", "", "[a:int64 b:int64] [[1 2] [3 4] [5 6] [7 8]]"},
		{"two returns and a newline", "a,b\r\r\n1,2\r\r\n", "", "[a:int64 b:int64] [[1 2]]"},
		{"a return in a field", "a,b\n1,x\ry\n2,z\n", "", "[a:int64 b:string] [[1 x\ry] [2 z]]"},
		// Quotes.
		{"a backslash before quotes", "id,say\n1,\"she said \\\"hi\\\"\"\n2,\"plain\"\n", "", "[id:int64 say:string] [[1 she said \"hi\"] [2 plain]]"},
		{"a backslash, said", "id,say\n1,\"a\\\\\\\"b\\n\"\n2,c\\,d\n", `,"escape":"\\"`, "[id:int64 say:string] [[1 a\\\"b\\n] [2 c,d]]"},
		{"a backslash that is one", "id,path\n1,\"C:\\\"\n2,\"x\"\n", "", "[id:int64 path:string] [[1 C:\\] [2 x]]"},
		{"spaces before quotes", "id, name\n1, \"Ann, A.\"\n2, \"Bob\"\n", "", "[id:int64 name:string] [[1 Ann, A.] [2 Bob]]"},
		{"spaces behind quotes", "id,name\n\"1\" ,\"Ann\" \n\"2\" ,\"Bob\" \n", "", "[id:int64 name:string] [[1 Ann] [2 Bob]]"},
		{"inch marks beside quotes", "id,size,note\n1,5\" pipe,\"a, b\"\n2,6\" pipe,c\n", "", "[id:int64 size:string note:string] [[1 5\" pipe a, b] [2 6\" pipe c]]"},
		// Rows.
		{"short rows filled", "a,b,c\n1,2,3\n4,5\n6,7,8,\n", `,"ragged_rows":"fill"`, "[a:int64 b:int64 c:int64] [[1 2 3] [4 5 NULL] [6 7 8]]"},
		{"rows skipped", "a,b\n1,2\n3,4,5\nx\n6,7\n", `,"bad_rows":"skip"`, "[a:int64 b:int64] [[1 2] [6 7]]"},
		{"a total skipped", "id,name\n1,a\n2,b\nTotal: 2\n", `,"bad_rows":"skip"`, "[id:int64 name:string] [[1 a] [2 b]]"},
		{"misfits skipped", "a,b\n1,x\nfour,y\n6,z\n", `,"bad_rows":"skip","column_types":{"a":"int32"}`, "[a:int32 b:string] [[1 x] [6 z]]"},
		{"wrong quotes skipped", "a,b\n1,\"x\"y\n2,z\n3,\"w\n4,v\n", `,"bad_rows":"skip"`, "[a:int64 b:string] [[2 z] [4 v]]"},
		// Delimiters and values.
		{"a delimiter of two", "a||b\n1||x|y\n2||\"z||z\"\n", `,"delimiter":"||"`, "[a:int64 b:string] [[1 x|y] [2 z||z]]"},
		{"a delimiter beyond ASCII", "a§b\n1§2\n", `,"delimiter":"§"`, "[a:int64 b:int64] [[1 2]]"},
		{"a tab by its name", "a\tb\n1\t2,3\n", `,"delimiter":"\\t"`, "[a:int64 b:string] [[1 2,3]]"},
		{"decimal commas", "a;b;c\n1;2,5;1.234,75\n2;-3,25;7,25\n", `,"decimal":","`, "[a:int64 b:float64 c:float64] [[1 2.5 1234.75] [2 -3.25 7.25]]"},
		{"points where commas are decimal", "a;b\n1;1.5\n2;2,5\n", `,"decimal":","`, "[a:int64 b:string] [[1 1.5] [2 2,5]]"},
		{"days of the month first", "a,b\n31.12.2023,1.2.2024\n01.02.2024,03.12.2024\n", `,"date_format":"%d.%m.%Y"`, "[a:date b:date] [[2023-12-31 2024-02-01] [2024-02-01 2024-12-03]]"},
		{"days that are none of the format", "a\n31.12.2023\n12/31/2023\n", `,"header":true,"date_format":"%d.%m.%Y"`, "[a:string] [[31.12.2023] [12/31/2023]]"},
		{"times", "a\n12/31/2023 11:30 PM\n1/2/2024 1:05 AM\n", `,"header":true,"date_format":"%m/%d/%Y %I:%M %p"`, "[a:timestamp] [[2023-12-31T23:30:00.000000] [2024-01-02T01:05:00.000000]]"},
		// Encodings.
		{"UTF-16, little end first", "\xff\xfe" + utf16("id,name\n1,Jürgen 😀\n", 1), "", "[id:int64 name:string] [[1 Jürgen 😀]]"},
		{"UTF-16, big end first", "\xfe\xff" + utf16("id,name\n1,Jürgen 😀\n", 0), "", "[id:int64 name:string] [[1 Jürgen 😀]]"},
		{"UTF-16 without a mark", utf16("id,name\n1,Jürgen\n", 1), `,"encoding":"utf-16le"`, "[id:int64 name:string] [[1 Jürgen]]"},
		{"Windows-1252", "id,name\n1,J\xfcrgen \x96 5 \x80\n", `,"encoding":"windows-1252"`, "[id:int64 name:string] [[1 Jürgen – 5 €]]"},
		{"Latin-1", "id,name\n1,J\xfcrgen\n", `,"encoding":"latin1"`, "[id:int64 name:string] [[1 Jürgen]]"},
		{"Windows-1251", "id,name\n1,\xcf\xf0\xe8\xe2\xe5\xf2\n", `,"encoding":"CP1251"`, "[id:int64 name:string] [[1 Привет]]"},
		{"Shift JIS", "id,name\n1,\x93\xfa\x96\x7b\n", `,"encoding":"Shift_JIS"`, "[id:int64 name:string] [[1 日本]]"},
	} {
		got, rows, err := formatstest.Table(t, "f.csv", c.content, `{"path":"f.csv"`+c.settings+`}`, driver.Limits{})
		if c.want == "" {
			if err != nil || len(got.Columns) != len(long) || len(rows) != 1 {
				t.Errorf("%s: %d columns, %d rows, %v", c.name, len(got.Columns), len(rows), err)
			}
			continue
		}
		if text := formatstest.Shape(got, rows); err != nil || text != c.want {
			t.Errorf("%s:\n got %q\nwant %q (%v)", c.name, text, c.want, err)
		}
	}
}

// utf16 writes a text with the high byte of each unit at one place of the two.
func utf16(text string, high int) string {
	var b []byte
	for _, r := range text {
		units := []rune{r}
		if r > 0xffff {
			units = []rune{0xd800 + (r-0x10000)>>10, 0xdc00 + (r-0x10000)&0x3ff}
		}
		for _, u := range units {
			pair := [2]byte{}
			pair[high], pair[1-high] = byte(u>>8), byte(u)
			b = append(b, pair[:]...)
		}
	}
	return string(b)
}

// What is said where a guess may be wrong, and what nobody can guess.
func TestShapesThatAreRefused(t *testing.T) {
	html := "<!DOCTYPE html>\n<html><title>Sign in</title>\n<p>Please sign in</p></html>\n"
	for _, c := range []struct {
		name, file, content, settings string
		kind                          error
		message                       string
	}{
		{"lines that may be a title", "f.csv", "name\nSmith, John\nDoe, Jane\n", "", driver.ErrBadData, "skip_rows"},
		{"a short row", "f.csv", "a,b,c\n1,2,3\n4,5\n", "", driver.ErrBadData, `ragged_rows to "fill"`},
		{"a total", "f.csv", "id,name\n1,a\n2,b\nTotal: 2\n", "", driver.ErrBadData, `bad_rows to "skip"`},
		{"a long row, filled", "f.csv", "a,b\n1,2\n3,4,5\n", `,"ragged_rows":"fill"`, driver.ErrBadData, "row 2 (after the header) has 3 fields"},
		{"names that fit no table of the lake", "f.csv", strings.Repeat(strings.Repeat("x", 200)+",", 6000) + "y\n" + strings.Repeat("1,", 6000) + "2\n", "", driver.ErrLimit, "6001 columns whose names take"},
		{"text behind quotes", "f.csv", "a,b\n1,\"x\"y\n", "", driver.ErrBadData, "row 1: text after"},
		{"Latin-1", "f.csv", "name\nM\xfcller\n", "", driver.ErrBadData, "connection_config.encoding"},
		{"not in the encoding", "f.csv", "name\nM\x81ller\n", `,"encoding":"windows-1252"`, driver.ErrBadData, "f.csv, byte 7: bytes that are no character"},
		{"half a pair", "f.csv", utf16("name\n", 1) + "\x3d\xd8a\x00", `,"encoding":"utf-16le"`, driver.ErrBadData, "byte 11"},
		{"half a unit", "f.csv", utf16("name\nx", 1) + "a", `,"encoding":"utf-16le"`, driver.ErrBadData, "byte 13"},
		{"UTF-16 without a mark", "f.csv", utf16("a,b\n1,2\n", 1), "", driver.ErrBadData, "utf-16le"},
		{"a mark that contradicts", "f.csv", "\xef\xbb\xbfa\n1\n", `,"encoding":"windows-1252"`, driver.ErrInvalidConfig, "leave the setting out"},
		{"no such encoding", "f.csv", "a\n1\n", `,"encoding":"klingon"`, driver.ErrInvalidConfig, "connection_config.encoding"},
		{"no such directive", "f.csv", "a\n1\n", `,"date_format":"%Q"`, driver.ErrInvalidConfig, "connection_config.date_format"},
		{"a format without a day", "f.csv", "a\n1\n", `,"date_format":"%m/%Y"`, driver.ErrInvalidConfig, "connection_config.date_format"},
		{"HTML", "f.csv", html, "", driver.ErrBadData, "HTML"},
		{"HTML that is said to be CSV", "f.csv", html, `,"format":"csv"`, driver.ErrBadData, "HTML"},
		{"HTML for JSON", "f.json", "\n <html>x</html>", "", driver.ErrBadData, "HTML"},
		{"HTML for Parquet", "f.parquet", html, "", driver.ErrBadData, "HTML"},
		{"XML", "f.csv", "<?xml version=\"1.0\"?>\n<rows/>\n", "", driver.ErrBadData, "XML"},
		{"YAML", "f.csv", "---\nname: x\nitems:\n  - a\n", "", driver.ErrBadData, "YAML"},
		{"YAML without a mark", "f.txt", "name: x\nport: 80\n", "", driver.ErrBadData, "YAML"},
		{"a pointer", "f.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:00ff\nsize 12\n", "", driver.ErrBadData, "Git LFS"},
		{"a pointer for Parquet", "f.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:00ff\nsize 12\n", "", driver.ErrBadData, "Git LFS"},
		{"JSON for CSV", "f.csv", "{\"error\": \"no such report\"}\n", "", driver.ErrBadData, "JSON"},
		{"a list for CSV", "f.csv", "[\n {\"a\": 1},\n {\"a\": 2}\n]\n", "", driver.ErrBadData, "JSON"},
		{"a conflict", "f.csv", "<<<<<<< HEAD\na,b\n=======\na,c\n>>>>>>> x\n", "", driver.ErrBadData, "merge conflict"},
		{"xz", "f.csv.xz", "\xfd7zXZ\x00\x00\x04", "", driver.ErrUnsupported, "xz"},
		{"lz4", "f.csv.lz4", "\x04\x22\x4d\x18abcd", "", driver.ErrUnsupported, "LZ4"},
		{"7z", "f.7z", "7z\xbc\xaf\x27\x1c\x00\x04", "", driver.ErrUnsupported, "7z"},
		{"PDF", "f.csv", "%PDF-1.7\n", "", driver.ErrUnsupported, "PDF"},
		{"compressed twice", "f.csv.gz", formatstest.Gzip(formatstest.Gzip("a,b\n1,2\n")), "", driver.ErrUnsupported, "twice"},
		{"an archive", "f.csv.gz", formatstest.Gzip("f.csv" + strings.Repeat("\x00", 252) + "ustar\x0000" + strings.Repeat("\x00", 300)), "", driver.ErrUnsupported, "tar archive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, rows, err := formatstest.Table(t, c.file, c.content, `{"path":"`+c.file+`"`+c.settings+`}`, driver.Limits{})
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.message) {
				t.Errorf("got %v, want %v: %s (%s)", err, c.kind, c.message, formatstest.Shape(got, rows))
			}
		})
	}
}

// A quote amid a field that comes late in a file turns what the blocks are cut
// by round: from there on the file is read otherwise, and loses no row.
func TestQuotesAmidFieldsLateInAFile(t *testing.T) {
	var b, want strings.Builder
	b.WriteString("n,s\n")
	line := func(n int, written, value string) {
		fmt.Fprintf(&b, "%d,%s\n", n, written)
		fmt.Fprintf(&want, "%d %s;", n, value)
	}
	const rows = 60_000
	plain := "plain text" + strings.Repeat(" and on", 16)
	for n := range rows {
		switch {
		case n == 40_000:
			line(n, `5" pipe`, `5" pipe`)
		case n > 40_000 && n%1000 == 0:
			line(n, "\"a\n, \"\"b\"\"\" ", "a\n, \"b\"")
		case n%1000 == 0:
			line(n, "\"c\nd\"", "c\nd")
		default:
			line(n, plain, plain)
		}
	}
	for name, content := range map[string]string{"f.csv": b.String(), "f.csv.gz": formatstest.Gzip(b.String())} {
		got, rows, err := formatstest.Table(t, name, content, `{"path":"`+name+`"}`, driver.Limits{})
		var text strings.Builder
		for _, row := range rows {
			text.WriteString(row[0] + " " + row[1] + ";")
		}
		if err != nil || got.RowEstimate != int64(len(rows)) || len(rows) != 60_000 || text.String() != want.String() {
			t.Errorf("%s: %d of %d rows, %v", name, len(rows), got.RowEstimate, err)
		}
	}
}
