// Package formats makes rows of the bytes of files: it hands an opened file to the
// decoder of its format. It and what is below it know no disk.
package formats

import (
	"context"

	"headwater/connectors/driver"
	"headwater/connectors/formats/csv"
	"headwater/connectors/formats/input"
	"headwater/connectors/formats/json"
	"headwater/connectors/formats/parquet"
	"headwater/connectors/records"
)

// Validate returns an ErrInvalidConfig that names the field that is wrong.
func Validate(s *input.Settings) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if err := json.Validate(s); err != nil {
		return err
	}
	if err := csv.Validate(s); err != nil {
		return err
	}
	return records.CheckTypes(s.ColumnTypes)
}

// Family returns the format of a file whose name leaves lines and delimiters out:
// csv, json or parquet. Files of one family may be one table.
func Family(in *input.Input) string {
	switch in.Format {
	case "parquet":
		return "parquet"
	case "csv", "tsv":
		return "csv"
	}
	return "json"
}

// Check reads the beginning of a file, and returns a typed error if that is not
// what the format wants.
func Check(ctx context.Context, in *input.Input) (err error) {
	switch Family(in) {
	case "parquet":
		_, err = parquet.Open(in)
	case "csv":
		_, err = csv.Open(in)
	default:
		for _, err = range json.Records(in) {
			break // the first record is enough
		}
	}
	return err
}

// Discover reads a file as far as its types need, and returns the columns, the
// notes and about how many rows there are. The table has no name.
func Discover(ctx context.Context, in *input.Input) (driver.Table, error) {
	switch Family(in) {
	case "parquet":
		return parquet.Discover(in)
	case "csv":
		return csv.Discover(ctx, in)
	}
	return json.Discover(in)
}

// Read yields the rows of t's columns, of which the file must have all. It ends
// with the first error of yield. What yield gets it releases.
func Read(ctx context.Context, in *input.Input, t driver.Table, yield func(driver.Batch) error) error {
	switch Family(in) {
	case "parquet":
		return parquet.Read(ctx, in, t, yield)
	case "csv":
		return csv.Read(ctx, in, t, yield)
	}
	return json.Read(ctx, in, t, yield)
}

// ReadSome is Read for a file that may lack some of t's columns. only gets the
// names of those that it has, nil where every record may have others, before the
// first batch, and returns the table to read.
func ReadSome(ctx context.Context, in *input.Input, only func(names []string) driver.Table, yield func(driver.Batch) error) error {
	switch Family(in) {
	case "parquet":
		f, err := parquet.Open(in)
		if err != nil {
			return err
		}
		return f.Read(ctx, only(f.Names()), yield)
	case "csv":
		f, err := csv.Open(in)
		if err != nil {
			return err
		}
		return f.Read(ctx, only(f.Names()), yield)
	}
	return json.Read(ctx, in, only(nil), yield)
}
