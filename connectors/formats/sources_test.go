package formats_test

import (
	"fmt"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/formats"
	"headwater/connectors/formats/formatstest"
	"headwater/connectors/formats/input"
)

// Every format gives the same rows from bytes that can be read at any place, and
// from a stream that is read once and does not say how long it is.
func TestEverySourceGivesTheSameRows(t *testing.T) {
	parquet := string(formatstest.Parquet(t))
	var late strings.Builder
	late.WriteString("n,s\n")
	for n := range 150_000 { // over several blocks, with quotes that turn up when those behind are decoded
		text := strings.Repeat("x", 80)
		if n > 55_000 && n%10_000 == 0 {
			text = `5" pipe, "` + "y"
			text = strings.ReplaceAll(text, ",", ";")
		}
		fmt.Fprintf(&late, "%d,%s\n", n, text)
	}
	utf16 := "\xff\xfe" + strings.Join(strings.Split("id,name\n1,x\n", ""), "\x00") + "\x00"
	for name, c := range map[string]struct {
		content string
		rows    int
	}{
		"a.csv": {"id,name\n1,x\n2,\"y\nz\"\n", 2}, "a.tsv": {"id\tname\n1\tx\n", 1}, "a.csv.gz": {formatstest.Gzip("id,name\n1,x\n"), 1}, "a.csv.zst": {formatstest.Zstd("id,name\n1,x\n"), 1},
		"late.csv": {late.String(), 150_000}, "late.csv.gz": {formatstest.Gzip(late.String()), 150_000}, "utf16.csv": {utf16, 1},
		"a.json": {`[{"id":1},{"id":2}]`, 2}, "envelope.json": {`{"data":[{"id":1}],"count":1}`, 1}, "a.ndjson": {"{\"id\":1}\n{\"id\":2}\n", 2}, "a.ndjson.gz": {formatstest.Gzip("{\"id\":1}\n"), 1},
		"a.parquet": {parquet, 2}, "a.parquet.gz": {formatstest.Gzip(parquet), 2},
	} {
		for _, kind := range formatstest.Kinds {
			d := formatstest.DecodeFrom(t.Context(), kind, name, c.content, `{}`, driver.Limits{})
			if d.Err != nil || len(d.Rows) != c.rows {
				t.Errorf("%s, %s: %d rows, want %d (%v)", name, kind.Name, len(d.Rows), c.rows, d.Err)
			}
		}
		formatstest.Decode(t, name, c.content, `{}`, driver.Limits{}) // compares them
	}
}

// How many rows a large file has is estimated only where its size is known.
func TestEstimates(t *testing.T) {
	content := "n\n" + strings.Repeat("1\n", 600_000)
	for want, source := range map[bool]func(name, content string) input.Source{true: formatstest.Random, false: formatstest.Once} {
		in, err := input.Open(t.Context(), source("a.csv", content), input.Settings{SampleRows: 1000}, driver.Limits{}.WithDefaults())
		if err != nil {
			t.Fatal(err)
		}
		table, err := formats.Discover(t.Context(), in)
		in.Close()
		if known := table.RowEstimate > 500_000 && table.RowEstimate < 700_000; err != nil || known != want || !want && table.RowEstimate != -1 {
			t.Errorf("estimated at %d rows, %v", table.RowEstimate, err)
		}
	}
}
