// Package json makes rows of JSON and NDJSON text: of a list, of one value a line,
// or of the records in an envelope.
package json

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/formats/input"
	"headwater/connectors/records"
)

// maxDocument bounds a JSON document that is one object, which is held in
// memory to find the records in it. Lists and NDJSON are streamed.
const maxDocument = 256 << 20

// What json_nan makes of NaN and Infinity, which are no JSON.
const (
	nanFloat = "float" // the floating point numbers that they mean, and text inside of objects and lists
	nanNull  = "null"
)

// Validate returns an ErrInvalidConfig that names the field that is wrong, of
// those about JSON.
func Validate(s *input.Settings) error {
	if !slices.Contains([]string{"", nanFloat, nanNull}, s.JSONNaN) {
		return driver.InvalidField("json_nan", "must be float or null")
	}
	return nil
}

// Records yields the raw records of a JSON or NDJSON file, valid until the next
// step, and stops at the first error.
func Records(in *input.Input) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		err := eachValue(in, func(raw []byte) error {
			if !yield(raw, nil) {
				return input.ErrStopped
			}
			return nil
		})
		if err != nil && err != input.ErrStopped {
			yield(nil, in.Failed(err))
		}
	}
}

func eachValue(in *input.Input, each func([]byte) error) error {
	st := &stream{in: in, row: in.Limits.MaxRowBytes}
	st.decoder = json.NewDecoder(st)
	if in.Settings.JSONNaN != "" {
		st.decoder = json.NewDecoder(records.NonFinite(st, in.Settings.JSONNaN == nanNull))
	}
	head, err := in.Peek(input.HeadSize)
	if err != nil && err != io.EOF {
		return err
	}
	text := bytes.TrimLeft(head, " \t\r\n")
	if len(text) == 0 {
		return driver.E(driver.ErrBadData, nil, "%s holds no JSON", in.Name)
	}
	if text[0] == '[' && in.Settings.RecordsPath == "" {
		if _, err := st.decoder.Token(); err != nil {
			return st.broken(err)
		}
		return st.elements(each)
	}
	if in.Format != "ndjson" {
		st.row = maxDocument
	}
	first, err := st.next()
	if err != nil {
		return err
	}
	st.row = in.Limits.MaxRowBytes
	first = bytes.Clone(first)
	second, err := st.next()
	if err == io.EOF {
		if err := unlike(in, first); err != nil {
			return err
		}
	}
	if err == io.EOF && in.Format != "ndjson" {
		return document(in, first, each)
	}
	if err != nil && err != io.EOF {
		return err
	}
	if err := each(first); err != nil {
		return err
	}
	for err == nil {
		if err := each(second); err != nil {
			return err
		}
		second, err = st.next()
	}
	if err == io.EOF {
		err = nil
	}
	return err
}

// document yields the records inside one object.
func document(in *input.Input, raw []byte, each func([]byte) error) error {
	list := records.List{Path: strings.Split(in.Settings.RecordsPath, ".")}
	if in.Settings.RecordsPath == "" {
		at, err := locate(raw, in.Table, in.Known)
		if err != nil {
			return driver.E(driver.ErrBadData, err, "%s", in.Name)
		}
		list = records.List{Path: at.path, Single: at.single}
		in.Note(at.note(in.Name))
	}
	found := list.Records(raw)
	if key := repeated(raw, list.Path); key != "" {
		return driver.E(driver.ErrBadData, nil, "%s has the key %q twice on the way to its records", in.Name, key)
	}
	switch {
	case list.Single:
		return each(found)
	case found == nil:
		return driver.E(driver.ErrInvalidConfig, nil, "connection_config.records_path: %s has no list at %s", in.Name, in.Settings.RecordsPath)
	}
	in.Note(savedPage(in.Name, raw, list.Path))
	for element := range records.Elements(found) {
		if err := each(element); err != nil {
			return err
		}
	}
	return nil
}

// repeated returns the key of a path that an object on the way has twice: which
// of the two is meant, no reader can tell.
func repeated(object []byte, path []string) string {
	for _, key := range path {
		var next []byte
		for k, value := range records.Fields(object) {
			if string(k) != key {
				continue
			}
			if next != nil {
				return key
			}
			next = value
		}
		object = next
	}
	return ""
}

// stream decodes JSON values, each of a bounded size.
type stream struct {
	in      *input.Input
	decoder *json.Decoder
	read    int64
	until   int64
	row     int64
	count   int64
	raw     json.RawMessage
}

// Read gives the decoder no more than one value may take.
func (s *stream) Read(p []byte) (int, error) {
	if s.until > 0 && s.read >= s.until {
		return 0, driver.E(driver.ErrLimit, nil, "%s, record %d is longer than %d bytes", s.in.Name, s.count, s.row)
	}
	if s.until > 0 {
		p = p[:min(int64(len(p)), s.until-s.read)]
	}
	n, err := s.in.Read(p)
	s.read += int64(n)
	return n, err
}

// next returns the next value, valid until the one after it, or io.EOF.
func (s *stream) next() ([]byte, error) {
	s.count++
	s.until = s.decoder.InputOffset() + s.row
	s.raw = s.raw[:0]
	if err := s.decoder.Decode(&s.raw); err != nil {
		return nil, s.broken(err)
	}
	return s.raw, nil
}

// elements yields the values of the array that the decoder is in.
func (s *stream) elements(each func([]byte) error) error {
	for s.decoder.More() {
		raw, err := s.next()
		if err == io.EOF {
			err = s.broken(io.ErrUnexpectedEOF)
		}
		if err != nil {
			return err
		}
		if err := each(raw); err != nil {
			return err
		}
	}
	if _, err := s.decoder.Token(); err != nil {
		return s.broken(cut(err))
	}
	if _, err := s.decoder.Token(); err != io.EOF {
		return driver.E(driver.ErrBadData, nil, "%s has text after the end of its list", s.in.Name)
	}
	return nil
}

// cut makes an end of file inside a value one that is not expected.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (s *stream) broken(err error) error {
	var syntax *json.SyntaxError
	switch {
	case err == io.EOF:
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return driver.E(driver.ErrBadData, nil, "%s, record %d: the file ends in the middle of it", s.in.Name, max(s.count, 1))
	case errors.As(err, &syntax) && notFinite(syntax.Error()):
		return driver.E(driver.ErrBadData, nil, "%s, record %d, near byte %d: NaN or Infinity, which is no JSON; set connection_config.json_nan to \"float\" to have the numbers that it means, or to \"null\"", s.in.Name, max(s.count, 1), s.decoder.InputOffset())
	case errors.As(err, &syntax) && strings.HasSuffix(syntax.Error(), "exceeded max depth"):
		return driver.E(driver.ErrLimit, nil, "%s, record %d has objects or lists more than 10,000 deep in each other", s.in.Name, max(s.count, 1))
	case errors.As(err, &syntax):
		// The library's text quotes a character of the data, but no more.
		return driver.E(driver.ErrBadData, err, "%s, record %d, near byte %d: the JSON is broken", s.in.Name, max(s.count, 1), s.decoder.InputOffset())
	}
	return err
}

// notFinite reports whether a syntax error of the library is about the first
// letter of NaN, Infinity or -Infinity.
func notFinite(message string) bool {
	for _, at := range []string{"'N' looking for beginning of value", "'I' looking for beginning of value", "'I' in numeric literal"} {
		if strings.HasSuffix(message, at) {
			return true
		}
	}
	return false
}

// Discover finds the fields and their types, and reads as far as the settings say.
// The table has no name.
func Discover(in *input.Input) (driver.Table, error) {
	var shape records.Shape
	var size int64
	whole := true
	for raw, err := range Records(in) {
		if err != nil {
			return driver.Table{}, err
		}
		if in.Settings.SampleRows > 0 && shape.Records() >= in.Settings.SampleRows || in.Settings.SampleRows == 0 && size >= input.SampleBytes {
			whole = false
			break
		}
		size += int64(len(raw))
		if err := shape.Record(raw, in.Limits); err != nil {
			return driver.Table{}, driver.E(errKind(err), err, "%s", in.Name)
		}
	}
	table := driver.Table{RowEstimate: shape.Records(), Blank: shape.Records() == 0, Notes: in.Notes}
	if !whole {
		table.RowEstimate = in.Estimate(shape.Records(), size)
	}
	var err error
	table.Columns, err = shape.Columns(in.Settings.ColumnTypes, !whole)
	return table, err
}

// errKind returns the kind of a driver's error.
func errKind(err error) error {
	var typed *driver.Error
	if errors.As(err, &typed) {
		return typed.Kind
	}
	return driver.ErrBadData
}

// Read yields the records as rows of t's columns: a field that a record lacks is
// NULL. It ends with the first error of yield, which releases what it gets.
func Read(ctx context.Context, in *input.Input, t driver.Table, yield func(driver.Batch) error) error {
	rows := records.NewRows(t, in.Limits, in.Found)
	defer rows.Release()
	for raw, err := range Records(in) {
		if err != nil {
			return err
		}
		full, err := rows.Record(raw)
		if err != nil {
			return err
		}
		if full {
			if err := yield(rows.Batch()); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	if rows.Rows() == 0 {
		return nil
	}
	return yield(rows.Batch())
}

// Lined reports whether each record at the beginning of an NDJSON file has a
// line of its own, as the format says and not every file does.
func Lined(in *input.Input) bool {
	head, err := in.Peek(input.HeadSize)
	if err != nil && err != io.EOF {
		return false
	}
	end := bytes.LastIndexByte(head, '\n')
	for line := range bytes.Lines(head[:end+1]) {
		if line = bytes.TrimSpace(line); len(line) > 0 && (line[0] != '{' || !records.Valid(line)) {
			return false
		}
	}
	return end > 0
}
