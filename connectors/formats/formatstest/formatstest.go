// Package formatstest decodes contents as the sources of files do, for tests.
package formatstest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/formats"
	"headwater/connectors/formats/input"
)

// Null is what a NULL is in rows.
const Null = drivertest.Null

// Gzip compresses a text.
func Gzip(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s)) // into memory
	w.Close()
	return b.String()
}

// Zstd compresses a text.
func Zstd(s string) string {
	w, _ := zstd.NewWriter(nil)
	defer w.Close()
	return string(w.EncodeAll([]byte(s), nil))
}

// Shape is a table as columns and rows in one text.
func Shape(t driver.Table, rows [][]string) string {
	var columns []string
	for _, c := range t.Columns {
		columns = append(columns, c.Name+":"+c.Type.String())
	}
	return strings.ReplaceAll(fmt.Sprint(columns, " ", rows), Null, "NULL")
}

// settings are those of a source of files.
type settings struct {
	Path string `json:"path"`
	input.Settings
}

// Decoded is what a content became.
type Decoded struct {
	Table driver.Table
	Rows  [][]string
	Told  []string // by the read
	Err   error
}

// Kind is a way in which the bytes of a file can be had.
type Kind struct {
	Name   string
	Source func(name, content string) input.Source
}

// Kinds are a source that can be read at random and over again, as a disk or a
// bucket is, and a stream in pieces that can be read once and does not say how
// long it is.
var Kinds = []Kind{{"at random", Random}, {"once", Once}}

// Random returns a source that can be read at random and over again.
func Random(name, content string) input.Source {
	src := input.Source{Name: name, Table: tableName(name), Bytes: strings.NewReader(content), At: strings.NewReader(content), Size: int64(len(content))}
	return src
}

// Once returns a stream.
func Once(name, content string) input.Source {
	stream := struct{ io.Reader }{iotest.HalfReader(strings.NewReader(content))}
	return input.Source{Name: name, Table: tableName(name), Bytes: stream, Size: -1}
}

func tableName(name string) string {
	base, _ := input.WithoutCompression(path.Base(name))
	return strings.TrimSuffix(base, path.Ext(base))
}

// Table decodes the one table of a content from every kind of source, and fails
// the test if they differ.
func Table(t testing.TB, name, content, settings string, limits driver.Limits) (driver.Table, [][]string, error) {
	t.Helper()
	d := Decode(t, name, content, settings, limits)
	return d.Table, d.Rows, d.Err
}

// Decode is Table with what the read told.
func Decode(t testing.TB, name, content, settings string, limits driver.Limits) Decoded {
	t.Helper()
	first := DecodeFrom(t.Context(), Kinds[0], name, content, settings, limits)
	for _, kind := range Kinds[1:] {
		other := DecodeFrom(t.Context(), kind, name, content, settings, limits)
		if !slices.EqualFunc(first.Rows, other.Rows, slices.Equal) || !slices.Equal(first.Table.Columns, other.Table.Columns) || fmt.Sprint(first.Err) != fmt.Sprint(other.Err) || !slices.Equal(first.Told, other.Told) {
			t.Errorf("%s is not the same %s:\n%.300s (%v, %q)\nand %s:\n%.300s (%v, %q)", name, Kinds[0].Name, Shape(first.Table, first.Rows), first.Err, first.Told, kind.Name, Shape(other.Table, other.Rows), other.Err, other.Told)
		}
	}
	return first
}

// DecodeFrom decodes a content from one kind of source: it is opened once to find
// its columns, and once more to read its rows.
func DecodeFrom(ctx context.Context, kind Kind, name, content, text string, limits driver.Limits) (d Decoded) {
	var s settings
	if d.Err = driver.Decode(json.RawMessage(text), &s); d.Err != nil {
		return d
	}
	if d.Err = formats.Validate(&s.Settings); d.Err != nil {
		return d
	}
	limits = limits.WithDefaults()
	open := func() (*input.Input, error) {
		src := kind.Source(name, content)
		if src.At != nil {
			src.Reopen = func(ctx context.Context) (*input.Input, error) {
				return input.Open(ctx, kind.Source(name, content), s.Settings, limits)
			}
		}
		return input.Open(ctx, src, s.Settings, limits)
	}
	in, err := open()
	if err != nil {
		d.Err = err
		return d
	}
	d.Table, d.Err = formats.Discover(ctx, in)
	found := d.Table.Columns
	in.Close()
	if d.Err == nil {
		d.Table.Name, d.Table.Kind = in.Table, "file"
		d.Err = formats.Finish(&d.Table, &s.Settings, limits)
	}
	if d.Err == nil {
		in, d.Err = open()
	}
	if d.Err != nil {
		d.Table = driver.Table{}
		d.Err = in.Failed(d.Err)
		return d
	}
	defer in.Close()
	in.Known, in.Found = &input.Known{}, found
	for _, c := range d.Table.Columns {
		in.Known.Names = append(in.Known.Names, c.Name)
	}
	d.Err = formats.Read(ctx, in, d.Table, func(b driver.Batch) error {
		d.Rows = append(d.Rows, Rows(b)...)
		d.Told = append(d.Told, b.Notes...)
		b.Record.Release()
		return nil
	})
	if d.Err != nil {
		d.Err = in.Failed(d.Err)
	}
	return d
}

// Rows returns the rows of a batch as text.
func Rows(b driver.Batch) (rows [][]string) {
	for i := range int(b.Record.NumRows()) {
		var row []string
		for c := range int(b.Record.NumCols()) {
			row = append(row, drivertest.Text(b.Record.Column(c), i))
		}
		rows = append(rows, row)
	}
	return rows
}
