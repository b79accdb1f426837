package file

import (
	"slices"

	"headwater/connectors/driver"
	"headwater/connectors/formats"
	"headwater/connectors/formats/input"
)

// Settings configure a file, a folder or a pattern of files.
type Settings struct {
	Path      string `json:"path" public:"true" jsonschema:"required,minLength=1,title=Path,description=A file or folder or pattern such as sales/*.csv.gz: a relative path below the files root,example=sales.csv"`
	Files     string `json:"files,omitempty" public:"true" jsonschema:"title=Files,description=Whether the files of a folder or pattern are one table or a table each; one if they are alike when absent,enum=one_table,enum=table_per_file"`
	Recursive bool   `json:"recursive,omitempty" public:"true" jsonschema:"title=Recursive,description=Whether the folders in a folder are read too; they are where it holds no file and they are named like partitions (year=2024)"`
	BadFiles  string `json:"bad_files,omitempty" public:"true" jsonschema:"title=Bad files,description=What becomes of files among others that cannot be read: skip them and tell or fail,enum=skip,enum=fail"`
	input.Settings
}

// Validate returns an ErrInvalidConfig that names the field that is wrong.
func (s *Settings) Validate() error {
	if _, err := cleanPath(s.Path); err != nil {
		return err
	}
	if !slices.Contains([]string{"", oneTable, tablePerFile}, s.Files) {
		return driver.InvalidField("files", "must be one_table or table_per_file")
	}
	if !slices.Contains([]string{"", "fail", input.Skip}, s.BadFiles) {
		return driver.InvalidField("bad_files", "must be skip or fail")
	}
	return formats.Validate(&s.Settings)
}
