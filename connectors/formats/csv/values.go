package csv

import (
	"slices"

	"headwater/connectors/driver"
	"headwater/connectors/formats/input"
)

// sampled returns the columns of t that a part of the file alone was seen to
// hold floating point numbers in: the rest is held to what that part was taken
// for. Where the whole file was seen it is so, and where the settings or what
// landed before say the type, the value alone counts.
func sampled(in *input.Input, t driver.Table) (columns []int) {
	if in.Compression == "" && in.Source.Size >= 0 && in.Source.Size < input.SampleBytes && in.Settings.SampleRows == 0 || in.Settings.SampleRows < 0 {
		return nil
	}
	for i, c := range t.Columns {
		at := slices.IndexFunc(in.Found, func(k driver.Column) bool { return k.Name == c.Name && k.Type == c.Type })
		if _, said := in.Settings.ColumnTypes[c.Name]; !said && at >= 0 {
			columns = append(columns, i)
		}
	}
	return columns
}

// holdsEmpty reports whether a quoted empty field is a value of the type.
func holdsEmpty(t driver.Type) bool {
	return t.Kind == driver.String || t.Kind == driver.Bytes
}
