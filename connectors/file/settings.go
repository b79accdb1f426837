package file

import (
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// Settings configure a file, a folder or a pattern of files.
type Settings struct {
	Path        string            `json:"path" public:"true" jsonschema:"required,minLength=1,title=Path,description=A file or folder or pattern such as sales/*.csv.gz: a relative path below the files root,example=sales.csv"`
	Files       string            `json:"files,omitempty" public:"true" jsonschema:"title=Files,description=Whether the files of a folder or pattern are one table or a table each; one if they are alike when absent,enum=one_table,enum=table_per_file"`
	Recursive   bool              `json:"recursive,omitempty" public:"true" jsonschema:"title=Recursive,description=Whether the folders in a folder are read too; they are where it holds no file and they are named like partitions (year=2024)"`
	BadFiles    string            `json:"bad_files,omitempty" public:"true" jsonschema:"title=Bad files,description=What becomes of files among others that cannot be read: skip them and tell or fail,enum=skip,enum=fail"`
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
	ragged = "fill"
	skip   = "skip"
)

// Validate returns an ErrInvalidConfig that names the field that is wrong.
func (s *Settings) Validate() error {
	if _, err := cleanPath(s.Path); err != nil {
		return err
	}
	if !slices.Contains([]string{"", oneTable, tablePerFile}, s.Files) {
		return driver.E(driver.ErrInvalidConfig, nil, "connection_config.files must be one_table or table_per_file")
	}
	if !slices.Contains([]string{"", "fail", skip}, s.BadFiles) {
		return driver.E(driver.ErrInvalidConfig, nil, "connection_config.bad_files must be skip or fail")
	}
	if !slices.Contains([]string{"", "csv", "tsv", "json", "ndjson", "parquet"}, s.Format) {
		return driver.E(driver.ErrInvalidConfig, nil, "connection_config.format must be csv, tsv, json, ndjson or parquet")
	}
	if !slices.Contains([]string{"", "none", "gzip", "zstd", "bzip2"}, s.Compression) {
		return driver.E(driver.ErrInvalidConfig, nil, "connection_config.compression must be none, gzip, zstd or bzip2")
	}
	if !slices.Contains([]string{"", nanFloat, nanNull}, s.JSONNaN) {
		return driver.E(driver.ErrInvalidConfig, nil, "connection_config.json_nan must be float or null")
	}
	if _, err := encodingOf(s.Encoding); err != nil {
		return err
	}
	if err := s.validateCSV(); err != nil {
		return err
	}
	return records.CheckTypes(s.ColumnTypes)
}

func (s *Settings) validateCSV() error {
	invalid := func(field, why string) error {
		return driver.E(driver.ErrInvalidConfig, nil, "connection_config.%s %s", field, why)
	}
	delimiter := s.delimiter()
	switch {
	case len(delimiter) > 16 || strings.ContainsAny(delimiter, "\n\r\x00"):
		return invalid("delimiter", `must be up to 16 characters of one line, such as "," or "||"`)
	case s.Quote != nil && (len(*s.Quote) > 1 || strings.ContainsAny(*s.Quote, "\n\r\x00") || *s.Quote != "" && strings.Contains(delimiter, *s.Quote)):
		return invalid("quote", "must be one character, another than the delimiter, or empty for none")
	case len(s.Escape) > 1 || strings.ContainsAny(s.Escape, "\n\r\x00") || s.Escape != "" && strings.Contains(delimiter, s.Escape):
		return invalid("escape", `must be one character, another than the delimiter, such as "\\"`)
	case s.SkipRows != nil && (*s.SkipRows < 0 || *s.SkipRows > 1000):
		return invalid("skip_rows", "must be 0 to 1000")
	case len(s.Comment) > 16 || strings.ContainsAny(s.Comment, "\n\r\x00"):
		return invalid("comment", `must be up to 16 characters of one line, such as "#"`)
	case !slices.Contains([]string{"", "fail", ragged}, s.RaggedRows):
		return invalid("ragged_rows", "must be fail or fill")
	case !slices.Contains([]string{"", "fail", skip}, s.BadRows):
		return invalid("bad_rows", "must be fail or skip")
	case !slices.Contains([]string{"", ".", ","}, s.Decimal):
		return invalid("decimal", `must be "." or ","`)
	}
	_, err := parseFormat(s.DateFormat)
	return err
}

// delimiter returns the delimiter that is set: a tab also by its usual name.
func (s *Settings) delimiter() string {
	return strings.ReplaceAll(s.Delimiter, `\t`, "\t")
}
