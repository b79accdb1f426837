package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"headwater/connectors/driver"
	"headwater/connectors/file"
	"headwater/connectors/formats/formatstest"
	"headwater/connectors/formats/input"
)

// TestWhatCannotBeReadDoesNotConnect checks files whose first rows do not fit
// what the settings, or the file, say of them.
func TestWhatCannotBeReadDoesNotConnect(t *testing.T) {
	builder := array.NewTime32Builder(memory.DefaultAllocator, arrow.FixedWidthTypes.Time32ms.(*arrow.Time32Type))
	builder.Append(90_000_000)
	record := array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "c", Type: arrow.FixedWidthTypes.Time32ms}}, nil), []arrow.Array{builder.NewArray()}, 1)
	clock := string(formatstest.WriteParquet(t, record, pqarrow.DefaultWriterProps()))
	for _, c := range []struct{ name, content, settings, message string }{
		{"a.csv", "id,doc\n1,{}\n2,01\n", `,"column_types":{"doc":"json"}`, "row 2"},
		{"a.csv", "id,doc\n1,{}\n2,[1]\n", `,"column_types":{"doc":"json"}`, ""},
		{"a.csv", "id,doc\n1,x\n", `,"column_types":{"doc":"int64"}`, "row 1"},
		{"a.ndjson", `{"n":"1"}` + "\n" + `{"n":"x"}`, `,"column_types":{"n":"int64"}`, "record 2"},
		{"a.ndjson", `{"n":"1"}`, `,"column_types":{"n":"int64"}`, ""},
		{"a.parquet", clock, "", "row 1"},
		{"a.parquet", clock, `,"column_types":{"c":"string"}`, ""},
	} {
		files, _ := folder(t, map[string]string{c.name: c.content})
		src, err := open(t, files, `{"path":"`+c.name+`"`+c.settings+`}`, driver.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		switch err := src.Check(t.Context()); {
		case c.message == "" && err != nil, c.message != "" && (!errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), c.message)):
			t.Errorf("%s with %s: %v, want %q", c.name, c.settings, err, c.message)
		}
	}
}

// TestCorpus reads every Parquet, JSON and CSV file below the folder that the
// environment names, such as a copy of apache/parquet-testing: each is rows or a
// typed error.
func TestCorpus(t *testing.T) {
	root := os.Getenv("HEADWATER_TEST_CORPUS")
	if root == "" {
		t.Skip("HEADWATER_TEST_CORPUS names no folder")
	}
	read, refused := 0, 0
	for _, pattern := range []string{"*", "*/*", "*/*/*"} {
		paths, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, path := range paths {
			name, err := filepath.Rel(root, path)
			if format := input.FormatOf(name); err != nil || format == "" {
				continue
			}
			src, err := file.Driver{}.Open(t.Context(), driver.Config{Settings: []byte(`{"path":"` + filepath.ToSlash(name) + `"}`), Files: os.DirFS(root)})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			tables, err := src.Discover(t.Context())
			if err == nil {
				for batch, failed := range src.Read(t.Context(), tables[0], driver.Cursor{}) {
					if err = failed; err == nil {
						batch.Record.Release()
					}
				}
			}
			var typed *driver.Error
			switch {
			case err == nil:
				read++
			case errors.As(err, &typed):
				refused++
				t.Log(err)
			default:
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	t.Logf("%d files read, %d refused", read, refused)
}
