package records

import (
	"testing"

	"headwater/connectors/driver"
)

// What a sample told may be otherwise the next time, what the settings say not.
func TestSampledColumns(t *testing.T) {
	var s Shape
	if err := s.Record([]byte(`{"a":"x","b":null,"c":1}`), driver.Limits{}); err != nil {
		t.Fatal(err)
	}
	columns, err := s.Columns(map[string]string{"c": "string"}, false)
	if err != nil || len(columns) != 3 {
		t.Fatal(columns, err)
	}
	if !columns[0].Sampled || !columns[1].Sampled || columns[1].SourceType != driver.Unseen || columns[2].Sampled {
		t.Errorf("%+v", columns)
	}
}
