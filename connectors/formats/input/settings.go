package input

import (
	"slices"
	"strings"

	"headwater/connectors/driver"
)

// Settings say how a file is written, where that is not to be found out, and what
// its table is to be like. The settings of a driver that reads files embed them.
type Settings struct {
	Format      string            `json:"format,omitempty" public:"true" jsonschema:"title=Format,description=Found by ending and content when absent,enum=csv,enum=tsv,enum=json,enum=ndjson,enum=parquet"`
	Compression string            `json:"compression,omitempty" public:"true" jsonschema:"title=Compression,description=Found by content when absent,enum=none,enum=gzip,enum=zstd,enum=bzip2"`
	Encoding    string            `json:"encoding,omitempty" public:"true" jsonschema:"title=Encoding,description=UTF-8 or what a mark at the beginning says when absent; else a name such as windows-1252 or iso-8859-1 or utf-16le"`
	Delimiter   string            `json:"delimiter,omitempty" public:"true" jsonschema:"title=Delimiter,description=What separates the fields of a CSV file and may be several characters; found when absent,maxLength=16"`
	Quote       *string           `json:"quote,omitempty" public:"true" jsonschema:"title=Quote,description=What encloses fields of a CSV file; found when absent and empty for none,maxLength=1"`
	Escape      string            `json:"escape,omitempty" public:"true" jsonschema:"title=Escape,description=What stands before a quote inside a quoted field of a CSV file beside another quote; found when absent,maxLength=1"`
	Header      *bool             `json:"header,omitempty" public:"true" jsonschema:"title=Header,description=Whether the first row of a CSV file holds the names; found when absent"`
	SkipRows    *int              `json:"skip_rows,omitempty" public:"true" jsonschema:"title=Skip rows,description=How many lines stand before the header or first row of a CSV file; found when absent,minimum=0,maximum=1000"`
	Comment     string            `json:"comment,omitempty" public:"true" jsonschema:"title=Comment,description=What lines of a CSV file begin with that are no rows,maxLength=16"`
	RaggedRows  string            `json:"ragged_rows,omitempty" public:"true" jsonschema:"title=Ragged rows,description=What becomes of CSV rows with too few fields: fail or fill with NULL,enum=fail,enum=fill"`
	BadRows     string            `json:"bad_rows,omitempty" public:"true" jsonschema:"title=Bad rows,description=What becomes of CSV rows that cannot be read: fail or skip them and tell how many,enum=fail,enum=skip"`
	NullValues  []string          `json:"null_values,omitempty" public:"true" jsonschema:"title=Null values,description=Unquoted values of a CSV file that mean NULL beside the empty one"`
	Decimal     string            `json:"decimal,omitempty" public:"true" jsonschema:"title=Decimal separator,description=What stands before the fraction of numbers in a CSV file,enum=.,enum=\\,"`
	DateFormat  string            `json:"date_format,omitempty" public:"true" jsonschema:"title=Date format,description=How a CSV file writes dates or times such as %d.%m.%Y or %m/%d/%Y %H:%M; ISO 8601 when absent,maxLength=64"`
	RecordsPath string            `json:"records_path,omitempty" public:"true" jsonschema:"title=Records path,description=The dotted path to the list of records in a JSON file; found when absent"`
	JSONNaN     string            `json:"json_nan,omitempty" public:"true" jsonschema:"title=NaN in JSON,description=What NaN and Infinity in a JSON file become; an error when absent,enum=float,enum=null"`
	PrimaryKey  []string          `json:"primary_key,omitempty" public:"true" jsonschema:"title=Primary key,description=Columns that identify a row"`
	Cursor      string            `json:"cursor,omitempty" public:"true" jsonschema:"title=Cursor,description=The column that incremental syncs follow"`
	SampleRows  int64             `json:"sample_rows,omitempty" public:"true" jsonschema:"title=Sample rows,description=How many rows decide the types: 0 is every row of the first 64 MiB and -1 every row,minimum=-1"`
	ColumnTypes map[string]string `json:"column_types,omitempty" public:"true" jsonschema:"title=Column types,description=Types by column name that replace those found such as string or decimal(15\\,2)"`
}

// What becomes of rows that are not like the others.
const (
	Fill = "fill" // of ragged_rows: with NULL
	Skip = "skip" // of bad_rows: left out and counted
)

// Validate returns an ErrInvalidConfig that names the field that is wrong, of
// those that are the same for every format.
func (s *Settings) Validate() error {
	if !slices.Contains([]string{"", "csv", "tsv", "json", "ndjson", "parquet"}, s.Format) {
		return driver.InvalidField("format", "must be csv, tsv, json, ndjson or parquet")
	}
	if !slices.Contains([]string{"", "none", "gzip", "zstd", "bzip2"}, s.Compression) {
		return driver.InvalidField("compression", "must be none, gzip, zstd or bzip2")
	}
	_, err := encodingOf(s.Encoding)
	return err
}

// Separator returns the delimiter that is set: a tab also by its usual name.
func (s *Settings) Separator() string {
	return strings.ReplaceAll(s.Delimiter, `\t`, "\t")
}
