package csv

import (
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/formats/input"
)

// Validate returns an ErrInvalidConfig that names the field that is wrong, of
// those about CSV.
func Validate(s *input.Settings) error {
	invalid := func(field, why string) error {
		return driver.InvalidField(field, "%s", why)
	}
	delimiter := s.Separator()
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
	case !slices.Contains([]string{"", "fail", input.Fill}, s.RaggedRows):
		return invalid("ragged_rows", "must be fail or fill")
	case !slices.Contains([]string{"", "fail", input.Skip}, s.BadRows):
		return invalid("bad_rows", "must be fail or skip")
	case !slices.Contains([]string{"", ".", ","}, s.Decimal):
		return invalid("decimal", `must be "." or ","`)
	}
	_, err := parseFormat(s.DateFormat)
	return err
}
