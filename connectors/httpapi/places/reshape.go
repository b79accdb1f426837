package places

import (
	"bytes"
	"encoding/json"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// mapKey is the column that holds the keys of records that came as a map.
const mapKey = "_key"

// Lines returns a document of one JSON object a line as a list, or nil where it
// is none.
func Lines(body []byte) []byte {
	if len(body) == 0 || body[0] != '{' {
		return nil
	}
	list := make([]byte, 0, len(body)+2)
	list = append(list, '[')
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if line[0] != '{' || !records.Valid(line) {
			return nil
		}
		if len(list) > 1 {
			list = append(list, ',')
		}
		list = append(list, line...)
	}
	return append(list, ']')
}

// AsList returns the records of a place that is a map or rows as a list of
// objects, nil where there are none.
func (p *Place) AsList(document []byte) ([]byte, error) {
	raw := records.Field(document, p.Path...)
	if p.Shape == "map" {
		return mapAsList(raw)
	}
	if len(raw) == 0 || raw[0] != '[' {
		return nil, nil
	}
	names := columnNames(records.Field(document, p.Header...))
	list := []byte{'['}
	for row := range records.Elements(raw) {
		if len(list) > 1 {
			list = append(list, ',')
		}
		list = append(list, '{')
		n := 0
		for value := range records.Elements(row) {
			if n < len(names) {
				list = AppendField(list, names[n], value, n == 0)
			}
			n++
		}
		if n != len(names) || row[0] != '[' {
			return nil, driver.E(driver.ErrBadData, nil, "a row has %d values for %d columns", n, len(names))
		}
		list = append(list, '}')
	}
	return append(list, ']'), nil
}

func mapAsList(object []byte) ([]byte, error) {
	list := []byte{'['}
	for key, value := range records.Fields(object) {
		if value[0] != '{' {
			return nil, driver.E(driver.ErrBadData, nil, "field %q is no record, as the others are; set connection_config.records_path or record_shape", key)
		}
		if len(list) > 1 {
			list = append(list, ',')
		}
		name, err := json.Marshal(string(key))
		if err != nil {
			return nil, err
		}
		list = append(list, '{')
		list = AppendField(list, mapKey, name, true)
		list = AppendFields(list, value)
	}
	return append(list, ']'), nil
}

// AppendField appends a field to an object that is being written.
func AppendField(to []byte, name string, value []byte, first bool) []byte {
	if !first {
		to = append(to, ',')
	}
	key, err := json.Marshal(name)
	if err != nil { // never of a string
		key = []byte(`""`)
	}
	return append(append(append(to, key...), ':'), value...)
}

// AppendFields appends the fields of an object and closes the one that is being
// written, which has some already.
func AppendFields(to, object []byte) []byte {
	rest := bytes.TrimLeft(object[1:], " \n\t\r")
	if rest[0] != '}' {
		to = append(to, ',')
	}
	return append(to, rest...)
}
