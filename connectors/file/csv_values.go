package file

import (
	"slices"

	"headwater/connectors/driver"
)

// sampled returns the columns of t that a part of the file alone was seen to
// hold floating point numbers in: the rest is held to what that part was taken
// for. Where the whole file was seen it is so, and where the settings or what
// landed before say the type, the value alone counts.
func (s *source) sampled(in *input, t driver.Table) (columns []int) {
	if in.compressed == "" && in.size < sampleBytes && s.settings.SampleRows == 0 || s.settings.SampleRows < 0 {
		return nil
	}
	for i, c := range t.Columns {
		at := slices.IndexFunc(s.known[t.Name], func(k driver.Column) bool { return k.Name == c.Name && k.Type == c.Type })
		if _, said := s.settings.ColumnTypes[c.Name]; !said && at >= 0 {
			columns = append(columns, i)
		}
	}
	return columns
}

// holdsEmpty reports whether a quoted empty field is a value of the type.
func holdsEmpty(t driver.Type) bool {
	return t.Kind == driver.String || t.Kind == driver.Bytes
}
